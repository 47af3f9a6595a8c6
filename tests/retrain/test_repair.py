"""What of the state is broken is named with what still stands, and rebuilt from that alone."""

import contextlib
import hashlib
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipeline.monitor.performance import label_ledger
from pipeline.records import hash_chain, request_log, rollout_ledger
from pipeline.records.hash_chain import copy_path
from pipeline.register.register import promote
from pipeline.registry import champions, client
from pipeline.registry import versions as tracking
from pipeline.registry.release import exported_releases
from pipeline.registry.release_loader import export
from pipeline.retrain import journal
from pipeline.retrain.repair import repair
from pipeline.retrain.repair_records import label_findings
from pipeline.retrain.training_windows import DECISIONS
from pipeline.shared import databases
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import ROLLOUT
from pipeline.shared.errors import ArtifactTampered, PipelineError, StorageFailed
from pipeline.shared.files import file_hash, write_parquet
from tests.patience import PATIENCE
from tests.rules.test_state import listed
from tests.rules.tree import ROOT
from tests.shared import project

pytestmark = pytest.mark.slow

_ANSWERED = ("champion", "1", "a" * 64, "f", 1, None, None, "{}", 0.5, 1.0, 0.1)
LOG, ONLINE = Path("state/serve/log.db"), Path("state/feast/online-flights.db")
JOURNAL, LABELS = journal.JOURNAL, label_ledger.LABEL_LEDGER


def cut(path):
    """As after a disk that was full, or a copy that was not finished."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def overwritten(path):
    """A page in the middle is another one."""
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 600] = b"\xff" * 600
    path.write_bytes(content)


def gone(path):
    path.unlink()


def sql(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for name in ("no_change", "no_loss"):
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            connection.execute(statement)


def with_state(shelf):
    """A project with two champions so far, both exported, and every file that repair knows."""
    promote()
    for number in ("1", "2"):
        export(number)
    journal.add(pd.Timestamp("2013-04-02T10:00Z"), "day", {"day": "2013-04-01", "labels": 0})
    journal.add(pd.Timestamp("2013-04-03T10:00Z"), "day", {"day": "2013-04-02", "labels": 0})
    request_log.prepare(f"sqlite:///{LOG}")
    answers = [(f"{number:04}" + 200 * "x", 0, *_ANSWERED) for number in range(300)]
    with contextlib.closing(sqlite3.connect(LOG)) as connection, connection:
        names = ", ".join(f'"{name}"' for name in request_log.FIELDS)
        marks = ", ".join("?" * len(request_log.FIELDS))
        connection.executemany(f"INSERT INTO answers ({names}) VALUES ({marks})", answers)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with label_ledger.open_database(LABELS, label_ledger._SCHEMA, "label ledger"):
        pass
    ONLINE.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(ONLINE)) as connection, connection:
        connection.execute("CREATE TABLE features (entity BLOB)")
        connection.executemany("INSERT INTO features VALUES (?)", [(bytes(99),)] * 200)
    DECISIONS.parent.mkdir(parents=True, exist_ok=True)
    line = '{"month": "2013-0%d", "why": "asked", "moved": {"ingest.as_of": ["a", "b"]}}\n'
    DECISIONS.write_text(line % 4 + line % 5)


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lived")
    project.copy(project.made("challenged", project.shared(tmp_path_factory)), folder)
    with contextlib.chdir(folder):
        with_state(folder)
    return folder


@pytest.fixture
def whole(lived, tmp_path, monkeypatch):
    project.copy(lived, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder=Path()):
    """Every file of state and data by its content; what tools write as they look is left out."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in ("state", "data")
        for path in (folder / top).rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal", ".lock"))
    }


def pipeline(*command):
    """A command in a process of its own: MLflow keeps a database open that was moved aside."""
    return subprocess.run(
        [sys.executable, "-m", "simulation", *command],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_where_nothing_is_broken_nothing_is_proposed_or_done(whole):
    before = files()
    assert repair() == repair(yes=True) == "nothing is broken"
    assert files() == before


def test_every_file_of_a_project_has_its_row_on_the_page(whole):
    assert {path for path in files() if not listed(path)} == set()


CHAINS = {
    "cut": (rollout_ledger.LEDGER, cut),
    "emptied": (rollout_ledger.LEDGER, emptied),
    "overwritten": (rollout_ledger.LEDGER, overwritten),
    "gone": (rollout_ledger.LEDGER, gone),
    "an entry rewritten": (
        rollout_ledger.LEDGER,
        lambda p: sql(p, "UPDATE ledger SET entry = replace(entry, '\"1\"', '\"3\"')"),
    ),
    "the last entry taken out": (
        rollout_ledger.LEDGER,
        lambda p: sql(p, "DELETE FROM ledger WHERE number = 2"),
    ),
    "another database": (
        rollout_ledger.LEDGER,
        lambda p: sql(p, "ALTER TABLE ledger RENAME TO letters"),
    ),
    "its copy rewritten": (
        copy_path(rollout_ledger.LEDGER),
        lambda p: p.write_text(p.read_text().replace("registered", "promoted", 1)),
    ),
    "the journal cut": (JOURNAL, cut),
    "the journal gone": (JOURNAL, gone),
}


@pytest.mark.long
@pytest.mark.parametrize("case", CHAINS)
def test_a_broken_chain_is_named_and_rebuilt_from_its_copy(whole, case):
    path, damage = CHAINS[case]
    read = journal.events if path == JOURNAL else rollout_ledger.entries
    entries = read()
    damage(path)
    broken = path.read_bytes() if path.exists() else None
    with pytest.raises(ArtifactTampered, match=r"`make repair` shows what still stands"):
        read()
    before = files()
    proposed = repair()
    assert files() == before
    assert re.search(r"^1 broken, 1 of them can be repaired here; nothing was changed", proposed)
    assert f"1. {path}: " in proposed
    assert "make clean" not in proposed
    assert repair(yes=True) == "1 repaired; every file of state holds"
    assert read() == entries
    assert (
        len(
            copy_path(JOURNAL if path == JOURNAL else rollout_ledger.LEDGER).read_text().split("\n")
        )
        == 3
    )
    aside = path.with_name(f"{path.name}.broken")
    assert (aside.read_bytes() if aside.exists() else None) == broken
    assert repair() == "nothing is broken"


def test_a_ledger_and_its_copy_that_contradict_each_other_are_left_to_a_person(whole):
    """Whoever rewrites a chain with all its hashes leaves another copy."""
    entries = rollout_ledger.entries()
    told = entries[1].move.model_copy(update={"by": "nobody"})
    rollout_ledger.LEDGER.unlink()
    shutil.copy(copy_path(rollout_ledger.LEDGER), "copy")
    copy_path(rollout_ledger.LEDGER).unlink()
    for move in (entries[0].move, told):
        rollout_ledger.append(move)
    shutil.copy("copy", copy_path(rollout_ledger.LEDGER))
    with pytest.raises(
        ArtifactTampered, match=r"holds 2 entries .* its copy .* 2, and the first 1"
    ):
        rollout_ledger.entries()
    before = files()
    assert "agree in 1 entries, then hold 1 and 1 others" in repair()
    with pytest.raises(ArtifactTampered, match="0 repaired, 1 left that nothing here rebuilds"):
        repair(yes=True)
    assert files() == before


def test_a_ledger_that_is_lost_with_its_copy_is_begun_from_the_registry(whole):
    shutil.rmtree(rollout_ledger.LEDGER.parent)
    proposed = repair()
    assert "state/rollout/ledger.db: it is gone, and its copy with it" in proposed
    assert ") was champion after the registry's alias: approved by " in proposed
    repair(yes=True)
    (entry,) = rollout_ledger.entries()
    assert (entry.move.event, entry.move.champion.version) == ("registered", "2")
    assert entry.move.by.startswith("repair, after the registry's alias: approved by ")
    assert champions.current(load(RegisterConfig)).number == "2"


@pytest.mark.long
def test_where_ledger_and_registry_are_gone_the_last_answer_says_who_was_champion(whole):
    """The releases are all that is left, and what the servers logged."""
    release = tracking.get_version(load(RegisterConfig), "2").tag("release")
    with contextlib.closing(sqlite3.connect(LOG)) as connection, connection:
        for name in request_log.APPEND_ONLY:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE answers SET release = ? WHERE id > 290", (release,))
    shutil.rmtree(rollout_ledger.LEDGER.parent)
    Path("state/mlflow.db").unlink()
    refused = pipeline("register")
    assert refused.returncode == 1
    assert "2 release(s)" in refused.stderr
    proposed = pipeline("repair").stdout
    assert "was champion after the request log: it gave the last answer, 300" in proposed
    done = pipeline("repair", "--yes")
    assert "2 repaired; every file of state holds" in done.stdout, done.stderr
    assert "flight-delay version 2: commit" in pipeline("lineage").stdout


def test_where_no_answer_says_so_either_a_person_decides(whole):
    shutil.rmtree(rollout_ledger.LEDGER.parent)
    Path("state/mlflow.db").unlink()
    LOG.unlink()
    done = pipeline("repair", "--yes")
    assert done.returncode == 1
    assert "2 whole release(s) that were registered; no answer says who served" in done.stderr
    assert "mv state state-before" in done.stderr


def test_a_promotion_that_the_copy_lacks_is_added_from_its_approval(whole):
    """Killed between the ledger and its copy; and then the ledger was cut."""
    copy = copy_path(rollout_ledger.LEDGER)
    lines = copy.read_text().splitlines(keepends=True)
    copy.write_text(lines[0])
    cut(rollout_ledger.LEDGER)
    assert "the registry knows of a later promotion, which is added: repair, after" in repair()
    repair(yes=True)
    first, second = (entry.move for entry in rollout_ledger.entries())
    assert (first.event, second.event) == ("registered", "promoted by hand")
    assert rollout_ledger.champion(second).version == "2"
    assert second.by.startswith("repair, after the registry: approved by ")


def test_of_a_ledger_and_a_copy_that_are_both_broken_what_can_be_read_is_kept(whole):
    first, _ = rollout_ledger.entries()
    emptied(rollout_ledger.LEDGER)
    copy = copy_path(rollout_ledger.LEDGER)
    lines = copy.read_text().splitlines(keepends=True)
    copy.write_text(lines[0] + lines[1].replace("promoted", "demoted"))
    assert "1 entries can be read" in repair()
    repair(yes=True)
    kept, later = rollout_ledger.entries()
    assert kept == first
    assert later.move.by.startswith("repair, after the registry: approved by ")


@pytest.mark.long
@pytest.mark.parametrize("killed", ["before the chain is written", "before its copy is"])
def test_whoever_is_killed_while_both_are_written_anew_leaves_what_could_be_read(
    whole, monkeypatch, killed
):
    entries, copy = rollout_ledger.entries(), copy_path(rollout_ledger.LEDGER)
    sql(rollout_ledger.LEDGER, "INSERT INTO ledger VALUES (3, 'another', 'f')")
    copy.write_text("another\n" + copy.read_text())

    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hash_chain, "write_chain" if "chain" in killed else "_line", kill)
        with pytest.raises(KeyboardInterrupt):
            repair(yes=True)
    assert "write the " in repair()
    repair(yes=True)
    assert rollout_ledger.entries() == entries
    assert len(copy.read_text().splitlines()) == len(entries)


def test_more_repairs_than_in_one_run_are_not_called_all(whole, monkeypatch):
    monkeypatch.setattr(sys.modules["pipeline.retrain.repair"], "_MOST", 1)
    cut(ONLINE)
    DECISIONS.write_text("no move\n")
    with pytest.raises(ArtifactTampered, match="1 repaired, as many as in one run"):
        repair(yes=True)
    assert repair(yes=True) == "1 repaired; every file of state holds"


REGISTRY = {
    "cut": cut,
    "emptied": emptied,
    "overwritten": overwritten,
    "gone": gone,
    "another database": lambda path: (gone(path), sql(path, "CREATE TABLE letters (text)")),
    "made anew": lambda path: (gone(path), client.make_store(path)),
}


@pytest.mark.long
@pytest.mark.parametrize("case", REGISTRY)
def test_the_repair_of_a_lost_registry_is_proposed(whole, case):
    path = Path("state/mlflow.db").absolute()
    REGISTRY[case](path)
    proposed = repair()
    assert f"1. {path}: " in proposed
    assert "2 version(s) [1, 2] with whole releases in state/serve/releases/" in proposed


@pytest.mark.long
@pytest.mark.parametrize("case", ["overwritten", "gone"])
def test_a_lost_registry_is_made_again_from_the_releases_with_the_ledgers_alias(whole, case):
    path = Path("state/mlflow.db").absolute()
    entries = rollout_ledger.entries()
    REGISTRY[case](path)
    refused = pipeline("lineage")
    assert refused.returncode == 1
    assert re.fullmatch(r"lineage: (ArtifactTampered|RegistryRefused): [^\n]+\n", refused.stderr)
    assert "make repair" in refused.stderr
    assert "make clean" not in refused.stderr
    done = pipeline("repair", "--yes")
    assert "1 repaired; every file of state holds" in done.stdout, done.stdout + done.stderr
    told = pipeline("lineage")
    assert told.returncode == 0, told.stderr
    assert "flight-delay version 2: commit" in told.stdout
    assert told.stderr == ""
    assert "all hashes hold" in pipeline("rollout").stdout
    assert rollout_ledger.entries() == entries
    kept = path.with_name("mlflow.db.broken")
    assert kept.exists() == (case != "gone")


def test_a_registry_that_another_program_holds_is_not_taken_for_a_broken_one(whole, monkeypatch):
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.5)
    path = Path("state/mlflow.db").absolute()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageFailed, match="the registry, is locked by another program"):
            repair(yes=True)
    assert not path.with_name("mlflow.db.broken").exists()
    assert repair(yes=True) == "nothing is broken"


def test_a_registry_whose_releases_are_gone_too_is_left_and_says_so(whole):
    shutil.rmtree("state/serve")
    shutil.rmtree("state/artifacts")
    Path("state/mlflow.db").unlink()
    done = pipeline("repair", "--yes")
    assert done.returncode == 1
    assert "0 version(s) [] with whole releases" in done.stderr
    assert "mv state state-before" in done.stderr


def versions():
    config = load(RegisterConfig)
    return {
        v.number: tracking.fetch_model(config, v)
        for v in tracking.registry_contents(config).versions.values()
    }


def model_rewritten():
    versions()["1"].write_bytes(b"another model")


def papers_gone():
    config = load(RegisterConfig)
    version = tracking.get_version(config, "2")
    place = f"release/{version.tag('release')[:12]}"
    shutil.rmtree(tracking.folder_of(config, version, place))


def tag_rewritten():
    config = load(RegisterConfig)
    tracking.set_tags(
        config, tracking.get_version(config, "2"), {"window": "2013-01-08..2013-01-09"}
    )


def export_rewritten():
    (exported_releases()[0] / "model.onnx").write_bytes(b"another model")


def export_without_a_paper():
    (exported_releases()[1] / "papers/dvc.lock").unlink()


def export_misplaced():
    (exported_releases()[0] / "placed.json").write_text("{}")


STORED = [
    model_rewritten,
    papers_gone,
    tag_rewritten,
    export_rewritten,
    export_without_a_paper,
    export_misplaced,
]


@pytest.mark.long
@pytest.mark.parametrize("damage", STORED, ids=lambda one: one.__name__)
def test_of_registry_and_release_store_each_gives_the_other_its_releases_back(whole, damage):
    right = {number: file_hash(path) for number, path in versions().items()}
    damage()
    before = files()
    assert "1 broken, 1 of them can be repaired here" in repair()
    assert files() == before
    assert repair(yes=True) == "1 repaired; every file of state holds"
    assert {number: file_hash(path) for number, path in versions().items()} == right


def test_a_release_that_is_broken_in_both_is_left_with_its_name(whole):
    export_rewritten()
    (number,) = [n for n, p in versions().items() if file_hash(p)[:9] and _exported_as(n)]
    versions()[number].write_bytes(b"another model")
    assert "2 broken, 0 of them can be repaired here" in repair()
    with pytest.raises(ArtifactTampered, match="0 repaired, 2 left that nothing here rebuilds"):
        repair(yes=True)


def _exported_as(number):
    release = tracking.get_version(load(RegisterConfig), number).tag("release")
    return release.startswith(exported_releases()[0].name)


@pytest.mark.parametrize("damage", [cut, emptied, overwritten])
def test_of_a_broken_request_log_what_can_be_read_goes_into_a_new_one(whole, damage):
    damage(LOG)
    broken = LOG.read_bytes()
    with pytest.raises(PipelineError, match="is no request log"):
        request_log.read_predictions(f"sqlite:///{LOG}")
    told = re.search(r"(\d+) answers can be read", repair())
    repair(yes=True)
    kept = request_log.read_predictions(f"sqlite:///{LOG}")
    assert len(kept) == int(told[1]) < 300
    assert kept["request_id"].str[:4].tolist() == [f"{n:04}" for n in range(len(kept))]
    assert LOG.with_name("log.db.broken").read_bytes() == broken


@pytest.mark.parametrize("damage", [cut, overwritten])
def test_a_broken_online_store_is_begun_anew(whole, damage):
    damage(ONLINE)
    assert f"1. {ONLINE}: " in (proposed := repair())
    assert "`make materialize` fills it" in proposed
    repair(yes=True)
    assert not ONLINE.exists()
    assert ONLINE.with_name(f"{ONLINE.name}.broken").exists()


def test_labels_that_the_journal_counted_and_that_are_gone_are_named(whole):
    event = {"day": "2013-04-03", "labels": 9}
    journal.add(pd.Timestamp("2013-04-04T10:00Z"), "day", event)
    assert "it holds 0 labels, the journal counted 9" in repair()


def test_labels_without_the_ledger_that_dates_them_are_left_and_named(whole):
    journal.add(pd.Timestamp("2013-04-04T10:00Z"), "day", {"day": "2013-04-03", "labels": 9})
    (found,) = label_findings([])
    assert found.act is None
    assert "the rollout ledger, which says from when on" in found.stands


def test_a_label_ledger_that_its_reader_refuses_is_a_finding_and_no_refusal_of_repair(whole):
    sql(LABELS, "DROP TABLE labels", "CREATE TABLE labels (text)")
    told = repair()
    assert f"{LABELS}: {LABELS} is no label ledger of " in told
    assert "receive the label files of these days again" in told


def test_moves_of_the_calendar_that_cannot_be_read_are_named_and_the_others_kept(whole):
    lines = DECISIONS.read_text()
    DECISIONS.write_text(lines + '{"month": "2013-0')
    assert "1 of 3 lines are no moves of the calendar" in repair()
    repair(yes=True)
    assert DECISIONS.read_text() == lines


def test_evidence_that_was_rewritten_is_named_and_left(whole):
    folder = ROLLOUT / "0003-canary"
    write_parquet(folder / "evidence-01.parquet", pd.DataFrame({"code": [200]}))
    last = rollout_ledger.entries()[-1].move
    changes = {"event": "paused", "rollout": folder.name, "shares": {"champion": 10_000}}
    evidence = {"evidence-01.parquet": "f" * 64}
    rollout_ledger.append(
        last.model_copy(update={**changes, "champion": last.challenger} | {"evidence": evidence})
    )
    told = repair()
    assert "data/rollout/0003-canary/evidence-01.parquet: its SHA-256 is " in told
    assert "in entry 3 of the ledger" in told
    assert "left    a backup's" in told


def test_what_is_moved_aside_twice_keeps_both(whole):
    for _ in range(2):
        cut(rollout_ledger.LEDGER)
        repair(yes=True)
    assert Path("state/rollout/ledger.db.broken").exists()
    assert Path("state/rollout/ledger.db.broken-2").exists()
