"""The checks of the hash chain's links."""

import hashlib
import json

from exercises.workbench.checking import check, expect, holds

NOTHING = "0" * 64
ENTRIES = ["version 1 serves", "canary begins", "version 2 serves"]


def _digest(before: str, number: int, text: str) -> str:
    return hashlib.sha256(f"{before} {number} {text}".encode()).hexdigest()


def _lines() -> list[list[object]]:
    """The copy's lines of three entries, as the recorded ledgers have them."""
    before, lines = NOTHING, []
    for number, text in enumerate(ENTRIES, start=1):
        before = _digest(before, number, text)
        lines.append([number, text, before])
    return lines


def _links(texts):
    """Beside the solution: the links of some texts, each built on those before."""
    from pipeline.records.hash_chain import next_link

    known = []
    for text in texts:
        known.append(next_link(known, text))
    return known


def _parsed(lines):
    """Beside the solution: the lines of a copy up to the first that is no link."""
    from pipeline.records.hash_chain import _parse_link

    known = []
    for line in lines:
        link = _parse_link(known, line)
        if link is None:
            break
        known.append(link)
    return [link.text for link in known]


def _read(subject, lines) -> list[str]:
    return subject.do(_parsed, [json.dumps(line).encode() for line in lines])


@check(2)
def test_the_first_link_follows_nothing(subject):
    """Number 1, and NOTHING in place of a hash before."""
    seen = subject.do(_links, ENTRIES[:1])[0]
    expected = [1, ENTRIES[0], NOTHING, _digest(NOTHING, 1, ENTRIES[0])]
    expect([seen.number, seen.text, seen.before, seen.hash], expected)


@check(2)
def test_a_link_holds_the_one_before(subject):
    """So a rewritten entry changes every hash after it."""
    seen = [link.hash for link in subject.do(_links, ENTRIES)]
    expect(seen, [line[2] for line in _lines()], why="the hash is of what was before, too")


@check(1)
def test_the_lines_of_a_copy_are_read_as_written(subject):
    """A copy that nobody touched is whole."""
    expect(_read(subject, _lines()), ENTRIES)


@check(2)
def test_a_rewritten_line_is_found_at_its_place(subject):
    """The entries before it are right, from it on nothing counts."""
    lines = _lines()
    lines[1][1] = "version 2 serves"
    expect(_read(subject, lines), ENTRIES[:1])


@check(2)
def test_a_line_in_another_place_is_found(subject):
    """An order of events is a statement as well."""
    lines = _lines()
    expect(_read(subject, [lines[0], lines[2]]), ENTRIES[:1], why="an entry was cut out")


@check(2, hidden=True)
def test_a_line_with_another_number_is_found(subject):
    """The number is under the hash, and must be the one that is written."""
    lines = _lines()
    lines[2][0] = 7
    expect(_read(subject, lines), ENTRIES[:2])


@check(2, hidden=True)
def test_a_line_that_is_none_is_no_link(subject):
    """A process that was killed leaves half a line."""
    whole = [json.dumps(line).encode() for line in _lines()]
    for broken in (b"", b'[2, "canary b', b"[1, 2]", b"7", b'{"number": 2}', b"null"):
        seen = subject.do(_parsed, [whole[0], broken, whole[1]])
        holds(seen == ENTRIES[:1], "one link, and no error", f"{seen} with {broken!r}")
