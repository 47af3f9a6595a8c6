"""The closed loop, real and small: weeks of a model, an attempt, a canary; killed, fed nothing."""

import re
import time

import pytest
import yaml

from exercises.drill import configure, replace_once
from pipeline.records import rollout_ledger
from pipeline.records.request_log import read_predictions
from pipeline.records.rollout_ledger import LEDGER
from pipeline.retrain import journal
from pipeline.shared.callers import SHADOW
from tests.flow import life
from tests.patience import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    pytest.mark.answer("closed-loop"),
]

UNTIL = "2013-03-17"
LOOP = ("python", "-m", "simulation", "loop")


def quick(folder):
    """The small project's champion is old by March 4; a canary is short."""
    policy = {"max_age_days": 30, "cooldown_days": 21, "min_fresh_labels": 100}
    configure(folder, "retrain", **{f"policy.{key}": value for key, value in policy.items()})
    steps = [{"set_weight": 25, "days": 1, "min_requests": 100}]
    canary = {"steps": steps, "max_days": 4, "bake_days": 0.5}
    configure(folder, "rollout", **{f"canary.{key}": value for key, value in canary.items()})
    life.commit(folder)
    return folder


def events(folder):
    return journal.events(folder / journal.JOURNAL)


def moves(folder):
    return [entry.move.event for entry in rollout_ledger.entries(folder / LEDGER)]


@pytest.fixture
def planted(ready, shelf):
    """A copy of `ready` with one edit of its code, committed."""

    def copied(name, path, old, new):
        folder = life.twin(ready, shelf / name)
        replace_once(folder / path, old, new)
        life.commit(folder)
        return folder

    return copied


@pytest.fixture(scope="module")
def ready(small, shelf):
    """A champion that was trained on January and serves since March 1."""
    return quick(life.twin(small.folder, shelf / "loop"))


@pytest.fixture(scope="module")
def looped(ready, shelf):
    folder = life.twin(ready, shelf / "looped")
    return life.Life(folder, life.run(folder, *LOOP, f"--until={UNTIL}").well())


def test_a_model_that_grew_old_is_replaced_step_by_step(looped):
    steps = [e.told["step"] for e in events(looped.folder) if e.kind == "step"]
    assert steps == ["calendar", "data", "guards", "gate", "register", "shadow", "canary"]
    assert [e.told["result"] for e in events(looped.folder) if e.kind == "ended"] == ["promoted"]
    assert moves(looped.folder)[-2:] == ["promoted", "baked"]
    assert "1 promoted; version 2" in looped.done.words


def test_only_the_challenger_answers_the_copies(looped):
    """Another release's answers would be held against its model: no spare stands in for it."""
    log = read_predictions(f"sqlite:///{looped.folder / 'state/serve/log.db'}")
    copies = log[log["arm"] == SHADOW]
    rollouts = [entry.move for entry in rollout_ledger.entries(looped.folder / LEDGER)]
    challenger = next(move.challenger for move in rollouts if move.mirrored)
    assert len(copies) > 200
    assert set(copies["release"]) == {challenger.release}


def test_every_day_is_over_once_and_its_labels_came(looped):
    days = [e.told for e in events(looped.folder) if e.kind == "day"]
    assert [day["day"] for day in days] == [f"2013-03-{n:02}" for n in range(1, 18)]
    assert all(day["labels"] >= day["rows"] for day in days)
    served = {version for day in days for version in day["versions"]}
    assert served == {"1", "2"}


def test_a_check_says_what_was_known_and_why(looped):
    checks = [e.told for e in events(looped.folder) if e.kind == "check"]
    assert checks[0]["decision"]["action"] == "retrain"
    assert checks[0]["decision"]["triggers"] == ["schedule"]
    assert checks[0]["signals"]["skew"] == 0


def test_every_decision_comes_out_again(looped):
    done = life.run(looped.folder, "python", "-m", "simulation", "decisions").well()
    assert re.search(r"\d decisions come out again, number by number", done.words)
    assert "2013-03-04  retrain" in done.words


def test_the_same_again_does_nothing(looped):
    before = journal.last_hash(looped.folder / journal.JOURNAL)
    done = life.run(looped.folder, *LOOP, f"--until={UNTIL}").well()
    assert journal.last_hash(looped.folder / journal.JOURNAL) == before
    assert "attempts: 1 promoted" in done.words


def test_nothing_is_left_half_written_or_running(looped):
    assert life.half_written(looped.folder) == []


@pytest.mark.parametrize("after", ["data", "gate", "register", "shadow", "canary"])
def test_killed_at_any_step_it_goes_on_to_the_same_end(looped, ready, shelf, after):
    folder = life.twin(ready, shelf / f"killed-{after}")
    process = life.start(folder, *LOOP, f"--until={UNTIL}")
    until(lambda: f"{after} ..." in life.words(folder), lambda: life.words(folder))
    time.sleep(3)  # within the step
    life.kill(process)
    life.run(folder, *LOOP, f"--until={UNTIL}").well()
    assert journal.last_hash(folder / journal.JOURNAL) == journal.last_hash(
        looped.folder / journal.JOURNAL
    )


def test_a_clock_that_jumps_gives_the_same_journal(looped, ready, shelf):
    folder = life.twin(ready, shelf / "jumps")
    for day in ("2013-03-02", "2013-03-05", UNTIL):
        life.run(folder, *LOOP, f"--until={day}").well()
    assert journal.last_hash(folder / journal.JOURNAL) == journal.last_hash(
        looped.folder / journal.JOURNAL
    )
    done = life.run(folder, *LOOP, "--until=2013-03-05").well()
    assert f"days to {UNTIL}" in done.words


def test_labels_that_come_late_block_and_then_count(planted):
    folder = planted(
        "late",
        "pipeline/retrain/signals.py",
        '    told = told[told["arrived_at"] <= now]\n',
        '    late = pd.Timedelta(days=3 if "2013-03-02" <= day <= "2013-03-06" else 0)\n'
        '    told = told[told["arrived_at"] + late <= now]\n',
    )
    done = life.run(folder, *LOOP, "--until=2013-03-09").well()
    assert re.search(r"03-04  block: the label feed is late: the newest came \d+ h ago", done.words)
    days = [e.told for e in events(folder) if e.kind == "day"]
    assert days[1]["labels"] == 0
    assert sum(day["labels"] for day in days) >= sum(day["rows"] for day in days)
    assert moves(folder) == ["registered"]


def test_a_training_that_fails_leaves_the_champion_and_is_tried_again_later(planted):
    folder = planted(
        "fails",
        "pipeline/train.py",
        "    model, training = _fit(config, names, judged, frame)\n",
        '    raise RuntimeError("out of memory")\n',
    )
    done = life.run(folder, *LOOP, "--until=2013-03-16").well()
    ended = [e.told for e in events(folder) if e.kind == "ended"]
    assert [one["result"] for one in ended] == ["failed"]
    assert ended[0]["why"].startswith("GraphFailed")
    assert "7 days since an attempt that was failed, wanted are 14" in done.words
    assert moves(folder) == ["registered"]


def test_after_data_that_were_refused_the_loop_goes_on_with_those_from_before(planted):
    folder = planted(
        "refused",
        "pipeline/validate/__init__.py",
        "    snapshots = read_snapshots(manifest)\n",
        "    snapshots = read_snapshots(manifest)\n"
        '    if manifest.as_of > "2013-02":\n'
        '        raise DataRejected("planted")\n',
    )
    life.run(folder, *LOOP, "--until=2013-03-05").well()
    assert [e.told["result"] for e in events(folder) if e.kind == "ended"] == ["refused data"]
    life.run(folder, *LOOP, "--until=2013-03-08").well()
    assert [e.told["day"] for e in events(folder) if e.kind == "day"][-1] == "2013-03-08"
    assert yaml.safe_load((folder / "configs/ingest.yaml").read_text())["as_of"] == "2013-02"
    assert moves(folder) == ["registered"]
