"""Back to the version before, from wherever the ledger stands."""

import shutil
from collections.abc import Callable

import pytest

from pipeline.records import rollout_ledger
from pipeline.registry import release_loader as served
from pipeline.registry import versions
from pipeline.registry.release_loader import export_folder
from pipeline.rollout.rollback import rollback
from pipeline.rollout.state import sides
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import ArtifactTampered, RolloutRefused
from pipeline.shared.installation import REPLAYS
from tests.rollout.test_state import champion, event
from tests.rules.tree import ROOT
from tests.shared.moves import move, registered

pytestmark = [pytest.mark.slow, pytest.mark.answer("rollback")]
ALL, NEW_ALL = {"champion": 10_000}, {"challenger": 10_000}
STEP = {"champion": 5_000, "control": 2_500, "challenger": 2_500}


@pytest.fixture
def both(challenged, monkeypatch):
    """A champion of the features that this checkout serves, and its challenger."""
    monkeypatch.setattr(served, "service_version", lambda _: "planted-1")
    return sides()


@pytest.mark.parametrize(
    ("last", "shares"),
    [
        ("shadow", ALL),
        ("canary", STEP),
        ("step", STEP),
        ("blue-green", ALL),
        ("switched", NEW_ALL),
        ("switched back", ALL),
        ("promoted", NEW_ALL),
        ("baked", NEW_ALL),
        ("promoted by hand", NEW_ALL),
    ],
)
def test_whatever_goes_on_or_was_promoted_is_taken_back(
    both, last, shares, record_property: Callable[[str, object], None]
):
    before = event(last, both, shares=shares)
    if shares == NEW_ALL and last != "switched":
        versions.set_alias(load(RegisterConfig), "champion", "2")
    told = rollback()
    move = rollout_ledger.entries()[-1].move
    assert (move.event, move.rollout, move.shares) == ("rolled back", before.move.rollout, ALL)
    assert (move.champion, move.challenger) == both
    assert move.by.startswith("hand of ")
    assert "no server runs" in told
    assert champion() == "1"
    share = move.shares["champion"] / rollout_ledger.WHOLE
    record_property("share of the traffic at the old version, from each of 9 states", share)


@pytest.mark.parametrize("last", ["rolled back", "shadow failed", "paused", "inconclusive"])
def test_where_the_champion_serves_all_already_there_is_nothing_to_take_back(both, last):
    event(last, both)
    assert "nothing to take back" in rollback()
    assert len(rollout_ledger.entries()) == 2


@pytest.mark.parametrize("last", ["promoted", "baked"])
def test_after_a_canary_of_the_champion_beside_itself_there_is_nothing_to_take_back(both, last):
    event(last, (both[0], both[0]), shares=ALL)
    assert "nothing to take back" in rollback()
    assert len(rollout_ledger.entries()) == 2


def test_twice_is_once(both, record_property: Callable[[str, object], None]):
    event("promoted", both, shares=NEW_ALL)
    rollback()
    after = rollout_ledger.entries()
    assert "nothing to take back" in rollback()
    assert rollout_ledger.entries() == after
    more = len(rollout_ledger.entries()) - len(after)
    record_property("entries that a second rollback adds to the ledger", more)


def test_a_champion_that_is_bad_after_an_ended_canary_goes_back_to_one_that_is_named(both):
    old, new = both
    event("promoted", both, shares=NEW_ALL)
    versions.set_alias(load(RegisterConfig), "champion", "2")
    slow = new.model_copy(update={"fault": "slow"})
    event("rolled back", (new, slow))
    assert "`make rollback VERSION=1` goes further" in rollback()
    assert champion() == "2"
    assert rollback("1").startswith(f"{old.label} ")
    move = rollout_ledger.entries()[-1].move
    assert (move.event, move.champion, move.challenger, move.shares) == (
        "rolled back",
        old,
        new,
        ALL,
    )
    assert champion() == "1"
    assert "serves all already" in rollback("1")
    assert rollback().endswith("nothing to take back")  # who was taken out is not offered


def test_only_a_version_that_served_can_be_named_and_not_amid_a_rollout(both):
    with pytest.raises(RolloutRefused, match="version 2 never served here, 1 did: 1"):
        rollback("2")
    event("canary", both, shares=STEP)
    with pytest.raises(RolloutRefused, match=r"unfinished at 'canary'.*without a version"):
        rollback("2")
    with pytest.raises(RolloutRefused, match="unfinished at 'canary'"):  # it does not serve all
        rollback("1")
    assert len(rollout_ledger.entries()) == 2


def test_a_rollback_that_was_killed_before_the_alias_moved_is_completed_by_the_next(both):
    versions.set_alias(load(RegisterConfig), "champion", "2")
    event("rolled back", both)
    rollback()
    assert champion() == "1"


def test_before_the_first_release_there_is_nothing_to_go_back_to(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RolloutRefused, match="0 entries, 2 are needed"):
        rollback()


def test_the_first_champion_has_none_before_it(both):
    with pytest.raises(RolloutRefused, match=r"the first of 1 champion.*; `make canary` promotes"):
        rollback()
    assert len(rollout_ledger.entries()) == 1


def replay(name, *moves):
    """A replay's ledger beside this project's own."""
    path = REPLAYS / name / rollout_ledger.LEDGER
    path.parent.mkdir(parents=True)
    for one in moves:
        rollout_ledger.append(one, path)
    return path


def test_the_first_champion_is_refused_with_the_replay_in_which_two_have_served(both):
    first, second = registered(), move("promoted", shares=NEW_ALL)
    replay("another", first)
    with pytest.raises(RolloutRefused, match="; `make canary` promotes"):
        rollback()
    path = replay("run", first, second)
    with pytest.raises(
        RolloutRefused, match=r"with 2 champions: `cd state/replay/run`, then .* VERSION=1`$"
    ):
        rollback()
    path.write_bytes(b"not a ledger")
    with pytest.raises(RolloutRefused, match="; `make canary` promotes"):
        rollback()
    assert len(rollout_ledger.entries()) == 1


def test_a_version_that_does_not_load_is_refused_before_anything_changes(both):
    event("promoted", both, shares=NEW_ALL)
    versions.set_alias(load(RegisterConfig), "champion", "2")
    (export_folder(both[0].release) / "model.onnx").write_bytes(b"another model")
    with pytest.raises(ArtifactTampered):
        rollback()
    assert rollout_ledger.entries()[-1].move.event == "promoted"
    assert champion() == "2"


def test_a_version_that_is_not_exported_here_any_more_is_exported_again(both):
    import shutil

    event("promoted", both, shares=NEW_ALL)
    shutil.rmtree(export_folder(both[0].release))
    rollback()
    assert rollout_ledger.entries()[-1].move.event == "rolled back"
