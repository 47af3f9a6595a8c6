"""One prediction: what the request log and the label ledger hold about it."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cockpit.reading import Missing, open_database, read_config
from pipeline.shared.config.serve import ServeConfig

LABELS = Path("state/monitor/labels.db")
_WHAT = "the request log"
_SQLITE = "sqlite:///"
_COLUMNS = "request_id, row, arm, version, release, flight, predict_at, flags, risk, seconds"
_EPOCH = datetime(2012, 12, 1, tzinfo=UTC)
"""The origin of the log's minutes, as in pipeline/features/windows.py, which loads pandas."""
_SHOWN = 5


@dataclass(frozen=True)
class Response:
    """A logged response to one flight of a request: who gave it, and the risk."""

    request_id: str
    row: int
    arm: str
    version: str
    release: str
    flight: str | None
    predicted_at: datetime | None
    flags: str
    risk: float
    milliseconds: float


@dataclass(frozen=True)
class Label:
    """A flight's label (ground truth), and when it was known and received."""

    late: bool
    known_at: datetime
    arrived_at: datetime


@dataclass(frozen=True)
class Prediction:
    """Every response to a request, its label if one has arrived."""

    responses: list[Response]
    label: Label | None


def find(folder: Path, name: str) -> Prediction | Missing:
    """Find a request by its id, or by its flight's name: "2013-06-27/UA/1545/EWR"."""
    path = _path(folder)
    if isinstance(path, Missing):
        return path
    text = f"SELECT {_COLUMNS} FROM answers WHERE request_id = ? OR flight = ? ORDER BY id LIMIT 50"
    try:
        with open_database(path) as connection:
            rows = connection.execute(text, (name, name)).fetchall()
    except sqlite3.Error as error:
        return Missing(_WHAT, f"{path.name} cannot be read: {error}", "make repair")
    if not rows:
        why = f"the log has no request and no flight {name[:80]!r}"
        return Missing("this prediction", why, "make explain REQUEST=2013-04-18/UA/1545/EWR")
    responses = [_response(row) for row in rows]
    flight = next((one.flight for one in responses if one.flight), None)
    return Prediction(responses, _label(folder / LABELS, flight) if flight else None)


def newest(folder: Path) -> list[Response] | Missing:
    """The newest responses, as examples to look at."""
    path = _path(folder)
    if isinstance(path, Missing):
        return path
    text = (
        f"SELECT {_COLUMNS} FROM answers WHERE flight IS NOT NULL AND arm != 'shadow' "
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
    told = dict(zip(_COLUMNS.split(", "), row, strict=True))
    minute, seconds = told.pop("predict_at"), told.pop("seconds")
    at = None if minute is None else _EPOCH + timedelta(minutes=minute)
    return Response(**told, predicted_at=at, milliseconds=1000 * seconds)


def _label(path: Path, flight: str) -> Label | None:
    if not path.is_file():
        return None
    text = (
        "SELECT late, known_at, arrived_at FROM labels WHERE flight = ? "
        "ORDER BY arrived_at DESC, revision DESC LIMIT 1"
    )
    try:
        with open_database(path) as connection:
            row = connection.execute(text, (flight,)).fetchone()
    except sqlite3.Error:
        return None
    return Label(bool(row[0]), _instant(row[1]), _instant(row[2])) if row else None


def _instant(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
