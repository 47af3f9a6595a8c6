"""The story of `make run`, whole: it takes minutes, and ends with seven events."""

import json
import re

import pytest

from pipeline.records import rollout_ledger
from tests.flow import life

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    pytest.mark.answer("closed-loop"),
]


@pytest.fixture(scope="module")
def replayed(full, shelf):
    folder = life.twin(full.folder, shelf / "replayed")
    return life.Life(folder, life.run(folder, "make", "replay").well())


def test_it_ends_with_seven_events_each_with_its_file_and_its_answer(replayed):
    events = re.findall(
        r"^(\d)\. \S+ .*: .+\n +-> (\S+); make answer Q=(\S+)$", replayed.done.words, re.M
    )
    assert [number for number, _, _ in events] == list("1234567")
    places = [path for _, path, _ in events]
    assert [path for path in places if not path.startswith("state/replay/")] == []
    assert [path for path in places if not (replayed.folder / path).exists()] == []
    pages = {path.stem for path in (life.ROOT / "docs/answers").glob("*.md")}
    assert {answer for _, _, answer in events} <= pages


def test_it_tells_what_the_readme_shows(replayed):
    """The same in the same order, until the first canary on the same days.

    When a canary has seen enough depends on milliseconds, and so does all that follows.
    """
    event = re.compile(
        r"^\d\. (?:to )?(\S+)  ((?:INJECTED: )?[^:]+(?:: promoted|: rolled back|: refused)?)", re.M
    )
    shown = event.findall((life.ROOT / "docs/run.txt").read_text("utf-8").replace("\n   ", " "))
    told = event.findall(replayed.done.words)
    assert told[:4] == shown[:4]
    assert [what for _, what in told] == [what for _, what in shown]
    ends = [what.rpartition(": ")[2] for _, what in told[4:]]
    assert ends == ["promoted", "rolled back", "refused"]


def test_the_checkout_is_as_it_was(replayed):
    assert life.git(replayed.folder, "status", "--porcelain") == ""
    events = [e.move.event for e in rollout_ledger.entries(replayed.folder / rollout_ledger.LEDGER)]
    assert events == ["registered"]


def test_the_same_again_tells_the_same(replayed):
    done = life.run(replayed.folder, "make", "replay").well()
    assert done.words.splitlines()[-14:] == replayed.done.words.splitlines()[-14:]


def test_a_run_with_nothing_to_do_says_what_stands_and_another_change_is_noticed(replayed):
    life.run(replayed.folder, "make", "run").well()
    again = life.run(replayed.folder, "make", "run").well()
    assert re.fullmatch(
        r"run: nothing has changed: version 1 \(\w{8}\) is champion, 7 events in state/replay/run; "
        r"`make replay` shows them\s*",
        again.words,
    )
    page = replayed.folder / "data/evaluate/verdict.html"
    before = page.read_bytes()
    page.write_bytes(before + b" ")
    assert "Running stage 'evaluate'" in life.run(replayed.folder, "make", "run").well().words
    assert page.read_bytes() == before


def test_one_can_go_on_where_it_ended_and_take_back_its_promotion(replayed):
    folder = replayed.folder / "state/replay/run"
    life.run(folder, "make", "features").well()
    manifest = json.loads((folder / "data/ingest/manifest.json").read_text())
    assert manifest["as_of"] == "2013-06-23"
    said = life.run(folder, "make", "rollback").well().words
    assert "nothing to take back; `make rollback VERSION=1` goes further" in said
    life.run(folder, "make", "rollback", "VERSION=1").well()
    assert rollout_ledger.entries(folder / rollout_ledger.LEDGER)[-1].move.champion.version == "1"
