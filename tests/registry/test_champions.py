"""The ledger says who is champion: the alias follows, an emptied registry makes no first one."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from pipeline.evaluate import gate as evaluate
from pipeline.monitor import monitored_model as monitored
from pipeline.records import rollout_ledger
from pipeline.records.hash_chain import copy_path
from pipeline.register import register
from pipeline.register.register import promote
from pipeline.registry import champions, versions
from pipeline.registry import release_loader as served
from pipeline.registry.release_loader import export
from pipeline.reproduce.lineage_report import lineage
from pipeline.rollout import who_served
from pipeline.rollout.rollback import rollback
from pipeline.rollout.state import sides
from pipeline.serve.schedule import champion_of
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import RegistryRefused
from pipeline.shared.files import file_hash
from pipeline.shared.secrets import Address
from tests.patience import PATIENCE
from tests.rollout.test_state import event
from tests.rules.tree import ROOT
from tests.shared import project

pytestmark = [pytest.mark.slow, pytest.mark.answer("rollback")]

NEW_ALL = {"challenger": 10_000}
READERS: dict[str, Callable[[], object]] = {
    "evaluate": evaluate.run,
    "lineage": lineage,
    "monitor": monitored.live_champion,
    "serve": lambda: champion_of(load(FeaturesConfig)),
    "serve-http": lambda: export("champion"),
}
WRITERS: dict[str, Callable[[], object]] = {
    "register": register.run,
    "promote": promote,
    "rollout": who_served.run,
    "canary": sides,
}


def client():
    url = load(RegisterConfig).tracking_url.get_secret_value()
    return mlflow.MlflowClient(url, url)


def alias():
    found = versions.version_of_alias(load(RegisterConfig), versions.CHAMPION)
    return found and found.number


def events():
    return [entry.move.event for entry in rollout_ledger.entries()]


@pytest.fixture(autouse=True)
def planted_features(monkeypatch):
    """The features that the small project's models were trained with are those that are served."""
    for module in (served, sys.modules["pipeline.serve.schedule"]):
        monkeypatch.setattr(module, "service_version", lambda _: "planted-1")


def empty_the_registry(folder):
    """Another file in its place, as a process sees it that starts after the first was deleted."""
    project.configure("register", tracking_url=f"sqlite:///{folder}/{project.STATE}/again.db")


# The registry was emptied or replaced, or the ledger was lost.


@pytest.mark.parametrize("command", [*READERS, *WRITERS])
def test_an_emptied_registry_has_no_first_champion_whoever_asks(registered, command):
    empty_the_registry(registered)
    with pytest.raises(
        RegistryRefused,
        match=r"state/rollout/ledger\.db says that version 1 \(\w+\) since 'registered' "
        r"\(entry 1\) is champion, sqlite:///.*again\.db holds 0 version\(s\) \[\].*`make repair`",
    ):
        {**READERS, **WRITERS}[command]()
    assert events() == ["registered"]
    assert not Path("state/again.db").exists()


@pytest.mark.parametrize("command", [*READERS, *WRITERS])
def test_another_registry_in_its_place_is_named_with_both_releases(registered, command):
    config = load(RegisterConfig)
    champion = versions.version_of_alias(config, versions.CHAMPION)
    versions.set_tags(config, champion, {"release": "f" * 64})
    told = rf"version 1 \({champion.tags['release'][:8]}\).* version 1 is release ffffffff: another"
    with pytest.raises(RegistryRefused, match=told):
        {**READERS, **WRITERS}[command]()
    assert events() == ["registered"]


@pytest.mark.long
@pytest.mark.parametrize("command", [*READERS, *WRITERS, "rollback"])
@pytest.mark.parametrize("alias_too", [False, True], ids=["ledger", "ledger and alias"])
def test_a_lost_ledger_is_no_empty_one(registered, command, alias_too):
    shutil.rmtree("state/rollout")
    if alias_too:
        client().delete_registered_model_alias("flight-delay", "champion")
    with pytest.raises(
        RegistryRefused, match=r"says that version 1 is champion, state/rollout/ledger\.db has 0 en"
    ):
        {**READERS, **WRITERS, "rollback": rollback}[command]()
    assert not rollout_ledger.LEDGER.exists()


def test_releases_that_were_served_make_no_room_for_a_first_champion(registered):
    export("champion")
    (model,) = Path("state/serve/releases").glob("*/model.onnx")
    shutil.rmtree("state/rollout")
    empty_the_registry(registered)
    with pytest.raises(
        RegistryRefused,
        match=rf"0 other version\(s\) \[\] and state/serve/releases/ 1 release\(s\) \['"
        rf"{model.parent.name}'\]: something served before; `make repair`",
    ):
        register.run()
    assert rollout_ledger.entries() == []


@pytest.mark.answer("model-registry")
def test_versions_without_a_champion_make_no_room_for_another_first_one(challenged):
    shutil.rmtree("state/rollout")
    for name in ("champion", "challenger"):
        client().delete_registered_model_alias("flight-delay", name)
        client().delete_registered_model_tag("flight-delay", name)
    with pytest.raises(RegistryRefused, match=r"holds 1 other version\(s\) \['1'\]"):
        champions.require_first(load(RegisterConfig), file_hash(Path("data/train/model.onnx")))


@pytest.mark.long
def test_where_everything_is_gone_the_next_model_is_the_first(registered):
    shutil.rmtree("state")
    empty_the_registry(registered)
    assert "now champion, the first" in register.run()
    assert (events(), alias()) == (["registered"], "1")


def test_a_registry_on_a_server_is_shared_by_checkouts_that_have_no_ledger():
    config = load(RegisterConfig).model_copy(
        update={"tracking_url": Address("https://localhost:1")}
    )
    version = versions.Version("3", "d" * 64, "run", {"release": "a" * 64})
    held = versions.RegistryContents({"3": version}, {"champion": "3"}, {})
    assert champions._without_ledger(config, held) == version


# The alias lags behind, or was set by other means.


def lag(both, how):
    """Leave the alias at version 1, where it must not be, or nowhere."""
    event("promoted", both, shares=NEW_ALL)
    if how == "deleted":
        client().delete_registered_model_alias("flight-delay", "champion")
        return "is not set"
    return "is version 1"


@pytest.fixture
def both(challenged):
    return sides()


@pytest.mark.answer("model-registry")
@pytest.mark.parametrize("how", ["behind", "deleted"])
@pytest.mark.parametrize("command", ["lineage", "serve-http", "monitor"])
def test_a_reader_goes_by_the_ledger_and_says_how_the_alias_differs(both, command, how, capsys):
    told = lag(both, how)
    read = str(READERS[command]())
    said = capsys.readouterr().err
    assert "the ledger says version 2 (" in said
    assert "since 'promoted' (entry 2), the alias champion in sqlite:///" in said
    assert f"{told}; the ledger counts, `make rollout` mends the alias" in said
    assert "no longer holds" not in said
    assert both[1].release in read or "version 2" in read or "number='2'" in read


@pytest.mark.parametrize("how", ["behind", "deleted"])
@pytest.mark.parametrize("command", WRITERS)
def test_a_writer_lets_the_alias_follow_first(both, command, how, capsys):
    told = lag(both, how)
    WRITERS[command]()
    assert f"{told}; the alias was mended" in capsys.readouterr().err
    assert alias() == "2"
    assert events() == ["registered", "promoted"]
    assert len(versions.approvals(versions.get_version(load(RegisterConfig), "2"))) == 1


@pytest.mark.answer("model-registry")
def test_an_alias_that_was_set_by_hand_changes_nothing_but_what_is_said(both, capsys):
    versions.set_alias(load(RegisterConfig), versions.CHAMPION, "2")
    assert champions.current(load(RegisterConfig)).number == "1"
    assert "the alias champion in sqlite:///" in capsys.readouterr().err
    who_served.run()
    assert alias() == "1"


def test_on_a_server_an_alias_that_another_checkout_may_have_set_is_left(both):
    server = load(RegisterConfig).model_copy(
        update={"tracking_url": Address("https://localhost:1")}
    )
    for number, refused in (("1", False), ("2", True), (None, False)):
        held = versions.RegistryContents({}, {"champion": number} if number else {}, {})
        if refused:
            with pytest.raises(RegistryRefused, match="never served here: another checkout"):
                champions._require_ours(server, held, "the ledger says version 1")
        else:
            champions._require_ours(server, held, "the ledger says version 1")


def test_a_rollback_goes_through_though_the_registry_cannot_follow(both):
    event("promoted", both, shares=NEW_ALL)
    champions.update_alias(load(RegisterConfig))
    for side in both:
        export(side.version)
    empty_the_registry(Path.cwd())
    words = rollback()
    assert "version 1 (" in words.partition(" serves all")[0]
    assert "BUT the registry could not follow: state/rollout/ledger.db says" in words
    assert events()[-1] == "rolled back"


def test_a_version_that_is_judged_anew_is_still_the_one_that_served(both):
    """Its model is the same; the ledger knows it by the release of before."""
    config = load(RegisterConfig)
    first = versions.get_version(config, "1")
    again = {"release": "e" * 64, "releases_before": first.tags["release"]}
    versions.set_tags(config, first, again)
    assert champions.current(config).number == "1"


# Whoever is killed between two writes.


class Killed(BaseException):
    """Ends a command at once, as SIGKILL does between two writes."""


def kill_before(write, monkeypatch):
    """Let a command be killed before its n-th write; the names of the writes, as they come."""
    count = []

    def counted(original):
        def wrapper(*args, **kwargs):
            count.append(original.__name__)
            if len(count) == write:
                raise Killed
            return original(*args, **kwargs)

        return wrapper

    monkeypatch.setattr(rollout_ledger, "append", counted(rollout_ledger.append))
    for name in (
        "set_registered_model_alias",
        "set_registered_model_tag",
        "set_model_version_tag",
    ):
        method = counted(getattr(mlflow.MlflowClient, name))
        monkeypatch.setattr(mlflow.MlflowClient, name, method)
    return count


PROMOTES = ["append", *(f"set_{w}" for w in ("model_version_tag", "registered_model_tag"))]
PROMOTES.append("set_registered_model_alias")


@pytest.mark.parametrize("write", range(1, len(PROMOTES) + 2))
def test_a_promotion_that_was_killed_at_any_write_is_done_once_by_the_same_again(
    challenged, monkeypatch, write
):
    with monkeypatch.context() as until:
        count = kill_before(write, until)
        if write <= len(PROMOTES):
            with pytest.raises(Killed):
                promote()
        else:
            promote()
        assert count == PROMOTES[:write]
    before = "1" if write == 1 else "2"
    assert champions.current(load(RegisterConfig)).number == before
    promote()
    assert events() == ["registered", "promoted by hand"]
    assert alias() == "2"
    version = versions.get_version(load(RegisterConfig), "2")
    assert [one["before"] for one in versions.approvals(version)] == ["version 1"]
    assert promote() == "version 2 is champion already: nothing to do"


@pytest.mark.long
@pytest.mark.parametrize("write", range(1, 6))
def test_a_first_registration_that_was_killed_at_any_write_is_done_once(judged, monkeypatch, write):
    config = load(RegisterConfig)
    with monkeypatch.context() as until:
        kill_before(write, until)
        if write < 5:
            with pytest.raises(Killed):
                register.run()
        else:
            register.run()
    register.run()
    assert (events(), alias()) == (["registered"], "1")
    champion = champions.current(config)
    assert len(versions.approvals(champion)) == 1
    assert [v.number for v in versions.registry_contents(config).versions.values()] == ["1"]


@pytest.mark.parametrize("write", range(1, 6))
def test_a_rollback_that_was_killed_at_any_write_is_done_once(both, monkeypatch, write):
    event("promoted", both, shares=NEW_ALL)
    champions.update_alias(load(RegisterConfig))
    with monkeypatch.context() as until:
        kill_before(write, until)
        if write < 5:
            with pytest.raises(Killed):
                rollback()
        else:
            rollback()
    rollback()
    assert events() == ["registered", "promoted", "rolled back"]
    assert alias() == "1"
    assert champions.current(load(RegisterConfig)).number == "1"


_KILLED = """
import os, signal, sys
from pipeline.registry import champions
from pipeline.register.register import promote
real = champions._approve_and_set_alias
champions._approve_and_set_alias = lambda *told: os.kill(os.getpid(), signal.SIGKILL)
promote()
"""


@pytest.mark.long
def test_a_real_kill_between_ledger_and_alias_is_noticed_and_mended(challenged, capsys):
    command = [sys.executable, "-c", _KILLED]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, timeout=PATIENCE, check=False, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (events(), alias()) == (["registered", "promoted by hand"], "1")
    assert len(copy_path(rollout_ledger.LEDGER).read_text().splitlines()) == 2
    assert champions.current(load(RegisterConfig)).number == "2"
    assert "is version 1; the ledger counts" in capsys.readouterr().err
    promote()
    assert (events(), alias()) == (["registered", "promoted by hand"], "2")
