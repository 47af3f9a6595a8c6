"""What the tests of the store do in processes of their own: to be killed, or in another time zone.

Started as `python -m tests.features.elsewhere WHAT FOLDER`; what it is to do lies in FOLDER, as
task.pickle, and what came of it will lie there as done.pickle.
"""

import contextlib
import importlib
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.features.definitions import VIEWS
from pipeline.features.online_store import open_store
from pipeline.features.point_in_time import with_features
from pipeline.features.windows import NEVER, instant
from tests.patience import PATIENCE
from tests.rules import tree

ONLINE = "online-flights.db"
"""Where Feast keeps what goes online at sqlite:///FOLDER/online.db."""


def run(what, folder, environment=None, **task):
    """What a process of its own made of a task."""
    (folder / "task.pickle").write_bytes(pickle.dumps(task))
    done = subprocess.run(
        [sys.executable, "-m", "tests.features.elsewhere", what, folder],
        cwd=tree.ROOT,
        env=tree.environment(PYTHONPATH=str(tree.ROOT), **(environment or {})),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return pickle.loads((folder / "done.pickle").read_bytes())


def online(folder, column="value"):
    """Every value of an online store, as its file holds it: by table, entity and feature."""
    with contextlib.closing(sqlite3.connect(folder / ONLINE)) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master")]
        return {
            (table, entity, feature): value
            for table in tables
            if table.startswith("flights_") and not table.endswith("_ek")  # an index
            for entity, feature, value in file.execute(
                f'SELECT entity_key, feature_name, {column} FROM "{table}"'
            )
        }


def seen(view, rows):
    """The rows of a view as something to compare, whether they were read or made."""
    names = sorted(set(rows.columns) - {"entity"})
    values = rows[names].astype("float64").to_numpy()
    return {
        (view, str(entity), *(None if np.isnan(value) else value for value in row))
        for entity, row in zip(rows["entity"], values, strict=True)
    }


def killed(folder, config, serve, first, until, entities, kills):
    """Materialize up to one instant after another, and be killed; then materialize the next.

    For each time: the minute at which the watermark was left, the next instant, all that is online
    after it, and whether a transaction had been left open. And what another process read meanwhile.
    """
    _load_everything()
    store = (folder, config, serve)
    chance, left = random.Random(2013), []
    reader = _forked(_reads, *store, entities)
    for number in range(kills):
        writer = _forked(_materializes, *store, first, until)
        _wait(folder / f"{ONLINE}-journal", chance.uniform(0.1, 0.9), in_a_write=number % 2 == 0)
        os.kill(writer, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == -signal.SIGKILL
        torn = (folder / f"{ONLINE}-journal").exists()
        _ended(_forked(_recovers, *store, first, until))
        left.append((*pickle.loads((folder / "recovered.pickle").read_bytes()), torn))
    (folder / "enough").touch()
    _ended(reader)
    return left, pickle.loads((folder / "read.pickle").read_bytes())


def _wait(journal, seconds, in_a_write):
    begun = time.monotonic()
    while time.monotonic() < begun + seconds or (in_a_write and not journal.exists()):
        if time.monotonic() > begun + PATIENCE:
            raise TimeoutError("nothing was written")
        time.sleep(0 if in_a_write else 0.01)


def _stands(store, first):
    stands = min(store.watermarks().values())
    return first if stands == NEVER else stands


def _materializes(folder, config, serve, first, until):
    with open_store(config, serve, folder / "views") as store:
        stands = _stands(store, first)
        for minute in until:
            if minute > stands:
                store.materialize(VIEWS, instant(stands), instant(minute))
                stands = minute


def _recovers(folder, config, serve, first, until):
    with open_store(config, serve, folder / "views") as store:
        stands = _stands(store, first)
        following = min(minute for minute in until if minute > stands)
        store.materialize(VIEWS, instant(stands), instant(following))
    told = stands, following, online(folder)
    (folder / "recovered.pickle").write_bytes(pickle.dumps(told))


def _reads(folder, config, serve, entities):
    met = set()
    with open_store(config, serve, folder / "views") as store:
        while not (folder / "enough").exists():
            for view, names in entities.items():
                met |= seen(view, store.rows(view, names))
            time.sleep(0.05)
    (folder / "read.pickle").write_bytes(pickle.dumps(met))


def _load_everything():
    """Before the first fork, so that every child is at work at once."""
    for name in (
        "feast.infra.compute_engines.local.compute",
        "feast.infra.offline_stores.duckdb",
        "feast.infra.online_stores.sqlite",
        "ibis.backends.duckdb",
    ):
        importlib.import_module(name)


def _forked(task, *of):
    if pid := os.fork():
        return pid
    try:
        task(*of)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _ended(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def joined_and_read(folder, config, serve, nights):
    """For each night its requests by the offline join, and as read when their rows are online."""
    done = {"zone": time.tzname}
    for night, (first, asked) in nights.items():
        with open_store(config, serve[night], folder / night / "views") as store:
            offline, read, since = store.historical(asked), [], instant(first)
            for at, of in asked.groupby("predict_at"):
                store.materialize(VIEWS, since, at)
                read.append(with_features(of, store.online(of).values))
                since = at
        done[night] = offline, pd.concat(read)
    return done


if __name__ == "__main__":
    what, place = sys.argv[1], Path(sys.argv[2])
    task = pickle.loads((place / "task.pickle").read_bytes())
    done = {"killed": killed, "joined_and_read": joined_and_read}[what](place, **task)
    (place / "done.pickle").write_bytes(pickle.dumps(done))
