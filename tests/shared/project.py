"""A small project in a folder of its own: a git checkout with configs, data and a planted signal.

Nothing in it is faked but the flights: DVC has a graph and a remote in its folder, MLflow keeps its
registry in SQLite below state/, models are real ONNX files. MLflow remembers each database by its
URL, so every project names its own in full; no path in a database does, so a copy is whole.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline import train
from pipeline.evaluate import gate as evaluate
from pipeline.features.definitions import FEATURES
from pipeline.features.feature_table import ROWS, SERVICE
from pipeline.register import register
from pipeline.shared import dvc as dvcs
from pipeline.shared import git as gits
from pipeline.shared.contracts import INGEST, FeatureService, Manifest, Snapshot
from pipeline.shared.files import content_hash, write_json, write_parquet
from tests.builders import feature_rows
from tests.rules.tree import ROOT

STATE = "state"
SMALL: dict[str, dict[str, Any]] = {
    "train": {
        "window": {"first": "2013-01-08", "last": "2013-02-28"},
        "boosting.max_iter": 10,  # passes, and leaves room for a better one
        "boosting.learning_rate": 0.15,
        "boosting.min_samples_leaf": 30,
        "min_rows": 1_000,
    },
    "evaluate": {
        "window": {"first": "2013-03-01", "last": "2013-03-31"},
        "bootstrap.draws": 500,
        "slices.min_positives": 40,
        "behaviour.rows": 300,
        "behaviour.calm_morning.aircraft_arr_delay": 0,
        "behaviour.stormy_evening_min": 0.5,
    },
    "monitor": {"window": {"first": "2013-03-01", "last": "2013-03-31"}, "html": "none"},
}


def configure(stage: str, **changes: Any) -> None:
    """Change keys of configs/<stage>.yaml in the working folder; a dot leads into a section."""
    path = Path("configs") / f"{stage}.yaml"
    values = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *above, last = key.split(".")
        section = values
        for part in above:
            section = section[part]
        section[last] = value
    path.write_text(yaml.safe_dump(values))


def git(*arguments: str) -> str:
    """Run git in the working folder, with none of the developer's own settings."""
    return gits.own(Path(), *arguments).decode(errors="replace").strip()


def commit() -> str:
    """Commit everything in the working folder and return the commit."""
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", "as it is")
    return git("rev-parse", "HEAD")


def dvc(*arguments: str) -> str:
    """Run DVC in the working folder; what it said."""
    return dvcs.run(Path(), *arguments).strip()


def small_graph() -> dict[str, Any]:
    """The project's graph without the stage and the files that a planted table does not have."""
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    del graph["validate"]
    graph["ingest"]["outs"] = ["data/ingest/manifest.json"]
    graph["features"]["outs"].remove("data/features/views")
    for stage in graph.values():
        stage["deps"] = [
            path
            for path in stage["deps"]
            if not path.startswith(("pipeline/", "data/validate/", "data/ingest/flights"))
        ]
    return {"stages": graph}


def locked() -> None:
    """Let dvc.lock say what the stages have read and written, as `dvc repro` would have."""
    dvc("commit", "--force")


def arrive(months: dict[str, pd.DataFrame]) -> None:
    """Write a manifest of these months and their rows as the table of features."""
    snapshots = [
        Snapshot(
            table="flights",
            month=month,
            path=f"data/ingest/flights/{month}.parquet",
            rows=len(rows),
            first=rows["sched_dep_utc"].min().isoformat(),
            last=rows["sched_dep_utc"].max().isoformat(),
            content_hash=content_hash(rows),
            file_hash="f" * 64,
        )
        for month, rows in months.items()
    ]
    manifest = Manifest(source="builders", as_of=max(months), files={}, snapshots=snapshots)
    write_json(INGEST / "manifest.json", manifest.model_dump())
    write_parquet(ROWS, pd.concat(months.values(), ignore_index=True))
    write_json(SERVICE, FeatureService(version="planted-1", features=FEATURES).model_dump())


def start(folder: Path) -> None:
    """Make the working folder, which is `folder`, a project in which nothing was trained yet."""
    shutil.copytree(ROOT / "configs", "configs")
    for stage, changes in SMALL.items():
        configure(stage, **changes)
    point_at(folder)
    Path("requirements.lock").write_text("numpy==2.4.0\n")
    Path("dvc.yaml").write_text(yaml.safe_dump(small_graph()))
    Path("dvc.lock").write_text("schema: '2.0'\n")
    Path(".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, Path(".dvc") / name)
    shutil.copy(ROOT / ".dvcignore", ".dvcignore")
    # Where the registry is says nothing about a model, and every copy has its own.
    Path(".gitignore").write_text("/state/\n/data/\n/configs/register.yaml\n")
    rows = pd.concat(
        [feature_rows(), feature_rows(1_860, "2013-03-01", 31, seed=1)], ignore_index=True
    )
    arrive({f"2013-0{month}": part for month, part in rows.groupby("month")})
    git("init", "--quiet")
    commit()


def point_at(folder: Path) -> None:
    """Let the working folder's config name a registry in `folder`."""
    configure(
        "register",
        tracking_url=f"sqlite:///{folder}/{STATE}/mlflow.db",
        artifacts_url=f"{STATE}/artifacts",
    )


def copy(source: Path, to: Path) -> None:
    """Copy a project with its registry: the store moves, and its lineage stays as it was."""
    shutil.copytree(source, to, dirs_exist_ok=True)
    with contextlib.chdir(to):
        point_at(to)
    if not (to / STATE).is_dir():
        return
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()  # else MLflow writes a run's files to where they were


def judge(iterations: int) -> None:
    """Train a challenger of so many trees, and let the gate judge it."""
    configure("train", **{"boosting.max_iter": iterations})
    train.run()
    settle()


def settle() -> None:
    """Let the gate judge what was trained, and the graph's lock say so."""
    evaluate.run()
    locked()


def challenge() -> None:
    """Register a challenger of the champion that is better than it."""
    judge(20)
    register.run()


STEPS: dict[str, Callable[[], Any]] = {
    "started": lambda: start(Path.cwd()),
    "trained": train.run,
    "judged": settle,
    "registered": register.run,
    "challenged": challenge,
}
"""How far a project can be, and the stage that takes it there."""


def made(step: str, shelf: Path) -> Path:
    """A project that is so far, kept on `shelf`: made once by one process, and then only copied."""
    folder, done = shelf / f"project-{step}", shelf / f"project-{step}.done"
    with (shelf / f"project-{step}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # of an earlier step only under that of a later one
        if done.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if position := list(STEPS).index(step):
            copy(made(list(STEPS)[position - 1], shelf), folder)
        with contextlib.chdir(folder):
            STEPS[step]()
        done.touch()
    return folder


def shared(shelf: pytest.TempPathFactory) -> Path:
    """The folder that all processes of a run of tests share, and no other run."""
    own = shelf.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def enter(
    step: str, shelf: pytest.TempPathFactory, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Make `folder` a project that is so far, and work in it."""
    copy(made(step, shared(shelf)), folder)
    monkeypatch.chdir(folder)
    return folder
