"""One command takes the published data to a champion, without a network, and once is enough."""

import json
import re
import sqlite3
from contextlib import closing

import pytest

from tests.flow import life
from tests.rules import tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
RUN = [*tree.graph(), "register", "monitor"]
"""The stages of DVC, then what `make champion` asks of the registry."""


def test_a_run_ends_with_a_champion_and_each_stage_says_what_it_did(small):
    said = re.findall(r"^([a-z]+) +\d+\.\d s  \S", small.done.words, re.MULTILINE)
    assert said == RUN
    assert "registered, now champion" in small.done.words


def test_a_run_needs_no_network(small, cut_off):
    if not cut_off:
        pytest.skip("this machine lets nobody take the network away (unshare)")
    assert re.search(r"^interfaces: lo$", small.done.words, re.MULTILINE)


def test_a_run_leaves_nothing_half_written(small):
    assert life.half_written(small.folder) == []


def test_a_run_changes_nothing_in_the_checkout_but_the_lock_and_what_data_records(small):
    changed = life.git(small.folder, "show", "--name-only", "--format=", "HEAD").split()
    assert {path for path in changed if not path.startswith("data/")} == {"dvc.lock"}
    assert life.git(small.folder, "status", "--porcelain") == ""


def test_a_second_run_does_nothing_and_says_so(small, shelf):
    folder = life.twin(small.folder, shelf / "again")
    before = (folder / "dvc.lock").read_bytes()
    done = life.run(folder, "make", "champion").well()
    assert re.findall(r"Stage '(\w+)' didn't change", done.words) == RUN[:5]
    assert "is already champion: nothing to do" in done.words
    assert "stands: nothing that it rests on has changed" in done.words
    assert "> python" not in done.words
    assert (folder / "dvc.lock").read_bytes() == before


@pytest.mark.long
def test_mlflow_runs_an_entry_point_and_records_it(small, shelf):
    folder = life.twin(small.folder, shelf / "mlflow")
    trained = (folder / "data/train/training.json").read_bytes()
    entry = ["mlflow", "run", ".", "--env-manager", "local", "-e", "train"]
    life.run(folder, *entry, "--experiment-name", "x", MLFLOW_DISABLE_TELEMETRY="true").well()
    assert _runs(folder / "mlflow.db") == [("x", "FINISHED", None)]
    digest = json.loads(trained)["digest"]
    assert _runs(folder / "state/mlflow.db") == [("flight-delay", "FINISHED", digest)] * 2
    assert (folder / "data/train/training.json").read_bytes() == trained
    assert life.git(folder, "status", "--porcelain") == ""


def _runs(database):
    """The runs of trainings; a verdict is a run nested in one."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT e.name, r.status, t.value FROM runs r JOIN experiments e USING (experiment_id) "
            "LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'model_digest' "
            "WHERE r.run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"
        ).fetchall()
