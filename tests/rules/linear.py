"""Whether a regular expression takes time linear in its text, read off its parsed form.

Python's `re` backtracks: it takes more than linear time on some text where two ways through the
pattern can read the same text again and again (Weber and Seidl, 1991): two repetitions overlap, as
in `a*a*b`, one lies within another, as in `(a+)+b`, or search tries one anew at each place, as
`\\w+@`. The pattern becomes an automaton over classes of characters, in which two such ways are
looked for. A look-around of several characters is read as if it might hold, so that a pattern may
be refused without need. No clock is asked, and nothing is matched.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

ALPHABET = [chr(code) for code in range(128)] + list("éßſKİ٣ \u2028中")
BOUND = 1_000
"""A repetition of at most so many is a constant factor; one of more counts as unbounded."""
START, ACCEPT = 0, 1
Guard = Callable[[str, str], bool]
"""Whether an empty step may be taken between one character and the next."""


def _class_of(kind: Any, value: Any, flags: int) -> Callable[[str], bool]:
    """The characters that a single-character item of a parsed pattern takes."""
    if kind is op.ANY:
        return lambda c: bool(flags & re.DOTALL) or c != "\n"
    folded = (lambda c: {c, c.lower(), c.upper()}) if flags & re.IGNORECASE else (lambda c: {c})
    if kind is op.LITERAL:
        return lambda c: bool(folded(c) & folded(chr(value)))
    if kind is op.NOT_LITERAL:
        return lambda c: not folded(c) & folded(chr(value))
    source = "".join(map(_source, value))
    return re.compile(f"[{source}]", flags & (re.IGNORECASE | re.ASCII)).fullmatch  # type: ignore


def _source(item: tuple[Any, Any]) -> str:
    kind, value = item
    if kind is op.NEGATE:
        return "^"
    if kind is op.LITERAL:
        return f"\\U{value:08x}"
    if kind is op.RANGE:
        return f"\\U{value[0]:08x}-\\U{value[1]:08x}"
    return {
        op.CATEGORY_DIGIT: r"\d",
        op.CATEGORY_NOT_DIGIT: r"\D",
        op.CATEGORY_SPACE: r"\s",
        op.CATEGORY_NOT_SPACE: r"\S",
        op.CATEGORY_WORD: r"\w",
        op.CATEGORY_NOT_WORD: r"\W",
    }[value]


def _word(char: str) -> bool:
    return char.isalnum() or char == "_"


@dataclass
class Automaton:
    """A pattern as states, steps that take a character, and empty steps with what they demand."""

    takes: dict[int, tuple[Callable[[str], bool], int]] = field(default_factory=dict)
    empty: dict[int, list[tuple[Guard | None, int]]] = field(default_factory=dict)
    states: int = 2

    def new(self) -> int:
        self.states += 1
        return self.states - 1

    def join(self, begin: int, end: int, guard: Guard | None = None) -> None:
        self.empty.setdefault(begin, []).append((guard, end))

    def add(self, items: Any, begin: int, flags: int, bounded: bool) -> int:
        """Append parsed items after a state; the state after them."""
        for kind, value in items:
            begin = self._item(kind, value, begin, flags, bounded)
        return begin

    def _item(self, kind: Any, value: Any, begin: int, flags: int, bounded: bool) -> int:
        if kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            end = self.new()
            self.takes[begin] = (_class_of(kind, value, flags), end)
            after = self.new()  # a state has one way on, so that none is taken for another
            self.join(end, after)
            return after
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            return self._repeat(*value, begin, flags, bounded)
        if kind is op.SUBPATTERN:
            _, added, removed, inner = value
            return self._apart(inner, begin, (flags | added) & ~removed, bounded)
        if kind is op.ATOMIC_GROUP:
            return self._apart(value, begin, flags, bounded)
        end = self.new()
        if kind is op.BRANCH:
            for way in value[1]:
                self.join(self._apart(way, begin, flags, bounded), end)
        elif kind is op.AT:
            self.join(begin, end, _place(value, flags))
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            self.join(begin, end, self._look(kind, *value, begin, flags, bounded))
        else:
            raise NotImplementedError(f"{kind} in a pattern: say in linear.py what it costs")
        return end

    def _apart(self, items: Any, begin: int, flags: int, bounded: bool) -> int:
        own = self.new()
        self.join(begin, own)
        return self.add(items, own, flags, bounded)

    def _repeat(
        self, least: int, most: Any, items: Any, begin: int, flags: int, bounded: bool
    ) -> int:
        """So many copies, then a loop; with `bounded`, one of few repetitions is no loop."""
        for _ in range(min(least, 2)):
            begin = self._apart(items, begin, flags, bounded)
        end = self.new()
        if most == least:
            self.join(begin, end)
            return end
        if most is op.MAXREPEAT or most > BOUND or not bounded:
            again = self.new()
            self.join(begin, again)
            self.join(self._apart(items, again, flags, bounded), again)
            self.join(again, end)
            return end
        for _ in range(min(int(most) - least, 2)):
            self.join(begin, end)
            begin = self._apart(items, begin, flags, bounded)
        self.join(begin, end)
        return end

    def _look(
        self, kind: Any, way: int, items: Any, begin: int, flags: int, bounded: bool
    ) -> Guard:
        """What a look ahead or behind demands, as far as one character tells; ahead, it reads."""
        wanted = kind is op.ASSERT
        single = len(items) == 1 and items[0][0] in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN)
        if way < 0:
            last = items[len(items) - 1] if len(items) and (single or wanted) else (None, None)
            while last[0] in (op.MAX_REPEAT, op.SUBPATTERN):
                last = last[1][-1][len(last[1][-1]) - 1]
            if last[0] in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
                behind = _class_of(*last, flags)
                return lambda before, _: bool(before and behind(before)) == wanted
            return lambda *_: True
        if single:
            ahead = _class_of(*items[0], flags)
            return lambda _, after: bool(after and ahead(after)) == wanted
        self._apart(items, begin, flags, bounded)  # read, and then gone on from here
        return lambda *_: True


def _place(value: Any, flags: int) -> Guard:
    """What an anchor demands. A text's beginning comes once, and nothing repeats there."""
    lines = bool(flags & re.MULTILINE)
    return {
        op.AT_BEGINNING: lambda before, _: lines and before == "\n",
        op.AT_BEGINNING_STRING: lambda *_: False,
        op.AT_BOUNDARY: lambda before, after: _word(before) != _word(after),
        op.AT_NON_BOUNDARY: lambda before, after: _word(before) == _word(after),
        op.AT_END: lambda _, after: after in ("", "\n"),
        op.AT_END_STRING: lambda _, after: after == "",
    }[value]


@dataclass(frozen=True)
class Ways:
    """The steps of an automaton: from a state, with the character before, by a character."""

    automaton: Automaton
    many: bool
    """Whether the next match is looked for where this one ended, as sub does."""

    @cached_property
    def sure(self) -> set[int]:
        """The states after which the pattern has matched, whatever follows."""
        back: dict[int, list[int]] = {}
        for begin, ways in self.automaton.empty.items():
            for guard, end in ways:
                if guard is None:
                    back.setdefault(end, []).append(begin)
        return _closure({ACCEPT}, lambda state: back.get(state, []))

    @cached_property
    def atoms(self) -> list[str]:
        """One character for each way in which the pattern tells characters apart."""
        tells = [taken for taken, _ in self.automaton.takes.values()]
        kinds: dict[Any, str] = {}
        for char in ALPHABET:
            told = tuple(bool(taken(char)) for taken in tells)
            kinds.setdefault((told, _word(char), char == "\n"), char)
        return list(kinds.values())

    @cached_property
    def states(self) -> list[int]:
        """Where a text can have led."""
        return sorted({START, *(end for _, end in self.automaton.takes.values())})

    @cached_property
    def steps(self) -> dict[tuple[int, str, str], dict[int, int]]:
        """Where each state leads, and by how many ways, two for more."""
        told = ((s, a, b) for s in self.states for a in self.atoms for b in self.atoms)
        return {key: ends for key in told if (ends := self._ends(*key))}

    def _ends(self, state: int, before: str, char: str) -> dict[int, int]:
        ends: dict[int, int] = {}
        for place in self._reached(state, before, char):
            taken = self.automaton.takes.get(place)
            if taken and taken[0](char):
                ends[taken[1]] = min(2, ends.get(taken[1], 0) + 1)
        return ends

    def _reached(self, state: int, before: str, char: str) -> Iterator[int]:
        """Where empty steps lead, once for each way; a loop of none is not gone twice."""
        waiting = [(state, frozenset([state]))]
        while waiting:
            place, seen = waiting.pop()
            yield place
            for guard, end in self.automaton.empty.get(place, []):
                if end not in seen and (guard is None or guard(before, char)):
                    waiting.append((end, seen | {end}))

    @cached_property
    def beyond(self) -> dict[int, set[int]]:
        """The states that each state leads to, by whatever text."""
        nexts: dict[int, set[int]] = {}
        for (state, _, _), ends in self.steps.items():
            nexts.setdefault(state, set()).update(ends)
        return {
            state: _closure(nexts.get(state, set()), lambda s: nexts.get(s, set()))
            for state in self.states
        }

    def after(self, state: int, before: str, char: str, until: int, sure: bool) -> dict[int, int]:
        """Where a state leads on a way to another; without `sure`, not through a match."""
        ends = self.steps.get((state, before, char), {})
        return {
            end: many
            for end, many in ends.items()
            if (end == until or until in self.beyond[end]) and (sure or end not in self.sure)
        }


def _closure(starts: set[int], nexts: Callable[[int], Any]) -> set[int]:
    found, waiting = set(starts), list(starts)
    while waiting:
        for state in nexts(waiting.pop()):
            if state not in found:
                found.add(state)
                waiting.append(state)
    return found


def _ways(pattern: str, flags: int, how: str, bounded: bool) -> Ways:
    tree = _parser.parse(pattern, flags)
    automaton = Automaton()
    first = automaton.new()
    automaton.join(START, first)
    if how in ("search", "findall") and bounded:
        automaton.takes[START] = (lambda _: True, START)
    last = automaton.add(tree, first, tree.state.flags, bounded)
    end: Guard | None = (lambda _, after: after == "") if how == "fullmatch" else None
    automaton.join(last, ACCEPT, end)
    return Ways(automaton, how == "findall")


def _repeats(ways: Ways) -> str:
    """A text that can be read in two ways again and again, or an empty one."""
    loops = [s for s in ways.states if s not in ways.sure and s in ways.beyond[s]]
    for state in loops:
        if text := _twice(ways, state):
            return text
    for first in loops:
        for second in loops:
            later = first != second and second in ways.beyond[first]
            if later and (text := _between(ways, first, second)):
                return text
    return ""


def _twice(ways: Ways, state: int) -> str:
    """A text that leads from a state back to it in two ways."""

    def go(place: Any, before: str, char: str) -> Iterator[Any]:
        left, right, apart = place
        lefts, rights = (ways.after(one, before, char, state, False) for one in (left, right))
        for one, many in lefts.items():
            for other in rights:
                yield one, other, apart or one != other or many > 1

    return _search(ways, (state, state, False), go, (state, state, True))


def _between(ways: Ways, first: int, second: int) -> str:
    """A text that leads from the first state to itself and to the second, and from that to itself.

    A search that begins anew may have to read beyond a match, and end with that match all the same.
    """
    beyond = first == START and ways.many

    def go(place: Any, before: str, char: str) -> Iterator[Any]:
        for one in ways.after(place[0], before, char, first, False):
            for middle in ways.after(place[1], before, char, second, beyond):
                for other in ways.after(place[2], before, char, second, False):
                    yield one, middle, other

    return _search(ways, (first, first, second), go, (first, second, second))


def _search(ways: Ways, begin: Any, go: Any, goal: Any) -> str:
    """The shortest text from a place to another, such that it can follow itself."""
    for before in ways.atoms:
        waiting = deque([((begin, before), "")])
        seen = {(begin, before)}
        while waiting:
            (place, last), text = waiting.popleft()
            for char in ways.atoms:
                for following in go(place, last, char):
                    if following == goal and char == before:
                        return text + char
                    if (following, char) not in seen:
                        seen.add((following, char))
                        waiting.append(((following, char), text + char))
    return ""


def slow(pattern: str | bytes, flags: int = 0, how: str = "findall") -> str:
    """A text whose repetition a pattern reads in more than linear time; empty if there is none.

    `how` is findall, search, match or fullmatch. A repetition of at most BOUND may be tried at each
    place, which costs a constant factor, but none may overlap another: that would be its square.
    """
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    flags &= ~re.UNICODE
    return _repeats(_ways(text, flags, how, True)) or _repeats(_ways(text, flags, how, False))
