"""Registered versions, from MLflow's database without MLflow: evidence, approvals, aliases."""

import json
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cockpit.reading import Missing, open_database, read_config
from pipeline.shared.config.register import RegisterConfig

_WHAT = "the model registry"
_APPROVAL = "approval."


@dataclass(frozen=True)
class Approval:
    """A promotion as the registry recorded it: by whom, and the version before."""

    by: str
    before: str


@dataclass(frozen=True)
class Version:
    """A registered version with its tags, its run's metrics, and its run's artifacts."""

    number: str
    tags: dict[str, str]
    metrics: dict[str, float]
    artifacts: Path | None
    approvals: list[Approval] = field(default_factory=list)

    @property
    def releases(self) -> set[str]:
        """Its release, and those before it was evaluated again."""
        return {self.tags.get("release", ""), *self.tags.get("releases_before", "").split()}


@dataclass(frozen=True)
class Registry:
    """The model's versions by number, and its aliases."""

    model: str
    versions: dict[str, Version]
    aliases: dict[str, str]


def read(folder: Path) -> Registry | Missing:
    """Read the registry of a project's folder; one on a server is for its own window."""
    config = read_config(folder, RegisterConfig)
    if isinstance(config, Missing):
        return config
    if config.database is None:
        return Missing(_WHAT, "a server keeps it", "make ui TOOL=mlflow")
    path = folder / config.database
    if not path.is_file():
        return Missing(_WHAT, f"{config.database} is not there yet", "make run")
    try:
        return _read(path, folder, config.model_name)
    except sqlite3.Error as error:
        if "locked" in str(error):
            why = f"{config.database} is locked by another program"
            return Missing(_WHAT, why, f"fuser {config.database}")
        return Missing(_WHAT, f"{config.database} cannot be read: {error}", "make repair")


def _read(path: Path, folder: Path, model: str) -> Registry:
    with open_database(path) as connection:
        aliases = dict(
            connection.execute(
                "SELECT alias, version FROM registered_model_aliases WHERE name = ?", (model,)
            )
        )
        rows = connection.execute(
            "SELECT v.version, v.run_id, r.artifact_uri FROM model_versions v "
            "LEFT JOIN runs r ON r.run_uuid = v.run_id WHERE v.name = ? ORDER BY v.version",
            (model,),
        ).fetchall()
        versions = {
            str(number): Version(
                str(number),
                tags := _tags(connection, model, number),
                _metrics(connection, run),
                _folder(folder, uri),
                _approvals(tags),
            )
            for number, run, uri in rows
        }
    return Registry(model, versions, {name: str(number) for name, number in aliases.items()})


def _tags(connection: sqlite3.Connection, model: str, number: int) -> dict[str, str]:
    text = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
    return dict(connection.execute(text, (model, number)))


def _metrics(connection: sqlite3.Connection, run: str) -> dict[str, float]:
    text = "SELECT key, value FROM latest_metrics WHERE run_uuid = ? AND NOT is_nan"
    return dict(connection.execute(text, (run,)))


def _folder(folder: Path, uri: str | None) -> Path | None:
    """The artifacts of a run if they are files below this folder."""
    if not uri or "://" in uri:
        return None
    return folder / uri


def _approvals(tags: dict[str, str]) -> list[Approval]:
    found = []
    for name in sorted(name for name in tags if name.startswith(_APPROVAL)):
        with suppress(ValueError, TypeError):
            value: dict[str, Any] = json.loads(tags[name])
            found.append(Approval(str(value.get("by", "")), str(value.get("before", ""))))
    return found
