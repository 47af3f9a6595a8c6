"""kill -9 in each stage, then `make run` again: it ends as if nothing had been."""

import random
import re
import sqlite3
import sys
import time
from contextlib import closing

import pytest

from tests import needs
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(3600)]

# What a stage has said or DVC says of it when it begins, what then shows that it is at work, and
# how many seconds more it may have. Names that begin with a dot are files being written.
MOMENTS = {
    "ingest": ("> python -m pipeline ingest", "data/ingest/flights/2013-01.parquet", 0.2),
    "validate": ("> python -m pipeline validate", "data/validate/report.json", 0.2),
    "features": ("> python -m pipeline features", "data/features/.rows.parquet.*", 0.0),
    "train": ("> python -m pipeline train", "state/*mlflow.db*", 1.0),
    "evaluate": ("> python -m pipeline evaluate", "data/evaluate/metrics.json", 0.0),
    "register": ("\nevaluate ", "state/artifacts/*/artifacts/verdict/verdict.json", 0.0),
    "monitor": ("\nregister ", "data/monitor/*drift.html*", 0.0),
}

# Forks, so that MLflow is loaded once: each child makes a database of its own and is killed when it
# is a fifth, two fifths ... of a whole one; then another child has to get on with what is there.
DATABASE = """
import contextlib, os, signal, sys, time
from pathlib import Path
from pipeline.shared.secrets import Address
from pipeline.registry import versions
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig

def ask(place):
    url = Address(f"sqlite:///{place}/mlflow.db")
    versions.find_version(load(RegisterConfig).model_copy(update={"tracking_url": url}), "0" * 64)

def child(place):
    if not (pid := os.fork()):
        ask(place)
        os._exit(0)
    return pid

def size(place):
    with contextlib.suppress(FileNotFoundError):
        return max((path.stat().st_size for path in place.iterdir()), default=0)
    return 0

folder = Path(sys.argv[1])
ask(folder / "whole")
whole = size(folder / "whole")
for part in (0.2, 0.35, 0.5, 0.65, 0.8):
    place = folder / str(part)
    place.mkdir()
    first = child(place)
    while size(place) < part * whole:
        time.sleep(0.0005)
    os.kill(first, signal.SIGKILL)
    killed = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    again = os.waitstatus_to_exitcode(os.waitpid(child(place), 0)[1])
    left = sorted(path.name for path in place.iterdir())
    print("at", part, "killed", killed, "then", again, "with", *left, flush=True)
"""


@pytest.fixture(scope="module")
def killed(small, shelf):
    """A twin of the small project whose run was killed in each stage, going on each time."""
    folder = life.clone(small.folder, shelf / "killed")
    life.git(folder, "reset", "--quiet", "--hard", "HEAD~1")
    chance = random.Random(2013)
    last_words = {}
    for stage, (begun, at_work, seconds) in MOMENTS.items():
        process = life.start(folder, "make", "champion")
        _until(process, folder, lambda b=begun: b in life.words(folder))
        _until(process, folder, lambda a=at_work: next(folder.glob(a), None))
        time.sleep(chance.uniform(0, seconds))
        life.kill(process)
        last_words[stage] = life.words(folder)
    return life.Life(folder, life.run(folder, "make", "champion")), last_words


def _until(process, folder, seen):
    deadline = time.monotonic() + life.PATIENCE
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError(life.words(folder))
        if process.poll() is not None:
            life.kill(process)
            raise AssertionError(f"ended before its moment: {life.words(folder)}")
        time.sleep(0.001)


def test_every_stage_was_killed_at_its_work(killed):
    finished = {s for s, words in killed[1].items() if re.search(rf"^{s} +\d", words, re.MULTILINE)}
    assert list(killed[1]) == list(MOMENTS)
    assert finished == set()


def test_the_run_after_the_kills_ends_well(killed):
    killed[0].done.well()
    assert "run: done in" in killed[0].done.words


@pytest.mark.parametrize(
    "path",
    [
        "dvc.lock",
        "data/ingest/manifest.json",
        "data/validate/report.json",
        "data/train/training.json",
        "data/train/reference.csv",
        "data/evaluate/verdict.json",
        "data/monitor/drift.json",
    ],
)
def test_it_ends_as_the_undisturbed_run_in_the_other_copy(small, killed, path):
    assert (killed[0].folder / path).read_text() == (small.folder / path).read_text()


def test_there_is_one_version_and_it_is_champion(killed):
    with closing(sqlite3.connect(killed[0].folder / "state/mlflow.db")) as database:
        versions = database.execute("SELECT name, version FROM model_versions").fetchall()
        query = "SELECT alias, name, version FROM registered_model_aliases"
        aliases = database.execute(query).fetchall()
    assert versions == [("flight-delay", 1)]
    assert aliases == [("champion", "flight-delay", 1)]


def test_nothing_half_written_is_left(killed):
    assert life.half_written(killed[0].folder) == []


@needs.unless(sys.platform == "linux", "Linux")
def test_a_registry_that_was_killed_in_the_making_is_made_again(small, tmp_path):
    done = life.run(small.folder, "python", "-c", DATABASE, str(tmp_path)).well()
    said = re.findall(r"^at \S+ killed (\S+) then (\S+) with (.+)$", done.words, re.MULTILINE)
    assert said == [("-9", "0", "mlflow.db")] * 5, done.words
