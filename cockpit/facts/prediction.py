"""One prediction: what the request log and the label ledger hold about it."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cockpit.reading import Missing, open_database, read_config
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.nouns import Words

LABELS = Path("state/monitor/labels.db")
_WHAT = "the request log"
_SQLITE = "sqlite:///"
_COLUMNS = "request_id, row, arm, version, release, {name}, predict_at, flags, risk, seconds"
_EPOCH = datetime(2012, 12, 1, tzinfo=UTC)
"""The origin of the log's minutes, as in pipeline/features/windows.py, which loads pandas."""
_SHOWN = 5


@dataclass(frozen=True)
class Response:
    """A logged response to one event of a request: who gave it, and the risk."""

    request_id: str
    row: int
    arm: str
    version: str
    release: str
    name: str | None
    predicted_at: datetime | None
    flags: str
    risk: float
    milliseconds: float


@dataclass(frozen=True)
class Label:
    """An event's label (ground truth), and when it was known and received."""

    positive: bool
    known_at: datetime
    arrived_at: datetime


@dataclass(frozen=True)
class Prediction:
    """Every response to a request, its label if one has arrived."""

    responses: list[Response]
    label: Label | None


def find(folder: Path, name: str, words: Words) -> Prediction | Missing:
    """Find a request by its id, or by the name of its event, as `words` has an example."""
    path = _path(folder)
    if isinstance(path, Missing):
        return path
    key = words.name_key
    where = f"request_id = ? OR {key} = ? ORDER BY id LIMIT 50"
    text = f"SELECT {_COLUMNS.format(name=key)} FROM answers WHERE {where}"
    try:
        with open_database(path) as connection:
            rows = connection.execute(text, (name, name)).fetchall()
    except sqlite3.Error as error:
        return Missing(_WHAT, f"{path.name} cannot be read: {error}", "make repair")
    if not rows:
        why = f"the log has no request and no {words.event} {name[:80]!r}"
        return Missing("this prediction", why, f"make explain REQUEST={words.example}")
    responses = [_response(row) for row in rows]
    known = next((one.name for one in responses if one.name), None)
    label = _label(folder / LABELS, known, key) if known else None
    return Prediction(responses, label)


def newest(folder: Path, words: Words) -> list[Response] | Missing:
    """The newest responses, as examples to look at."""
    path = _path(folder)
    if isinstance(path, Missing):
        return path
    text = (
        f"SELECT {_COLUMNS.format(name=words.name_key)} FROM answers "
        f"WHERE {words.name_key} IS NOT NULL AND arm != 'shadow' "
        "ORDER BY id DESC LIMIT ?"
    )
    try:
        with open_database(path) as connection:
            return [_response(row) for row in connection.execute(text, (_SHOWN,))]
    except sqlite3.Error as error:
        return Missing(_WHAT, f"{path.name} cannot be read: {error}", "make repair")


def _path(folder: Path) -> Path | Missing:
    config = read_config(folder, ServeConfig)
    if isinstance(config, Missing):
        return config
    url = config.log_url.get_secret_value()
    if not url.startswith(_SQLITE):
        return Missing(_WHAT, "a database server keeps it", "make explain REQUEST=ID")
    path = folder / url.removeprefix(_SQLITE)
    if not path.is_file():
        return Missing(_WHAT, "nothing was served here yet", "make canary")
    return path


def _response(row: tuple[Any, ...]) -> Response:
    told = dict(zip(_COLUMNS.format(name="name").split(", "), row, strict=True))
    minute, seconds = told.pop("predict_at"), told.pop("seconds")
    at = None if minute is None else _EPOCH + timedelta(minutes=minute)
    return Response(**told, predicted_at=at, milliseconds=1000 * seconds)


def _label(path: Path, name: str, key: str) -> Label | None:
    if not path.is_file():
        return None
    text = (
        f"SELECT late, known_at, arrived_at FROM labels WHERE {key} = ? "
        "ORDER BY arrived_at DESC, revision DESC LIMIT 1"
    )
    try:
        with open_database(path) as connection:
            row = connection.execute(text, (name,)).fetchone()
    except sqlite3.Error:
        return None
    return Label(bool(row[0]), _instant(row[1]), _instant(row[2])) if row else None


def _instant(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
