"""The checks of `make repair` on online stores, the request log, labels, moves and evidence."""

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from pipeline.features.windows import ZONE
from pipeline.monitor.performance import label_ledger
from pipeline.records import request_log as log
from pipeline.records.rollout_ledger import Entry
from pipeline.retrain import journal
from pipeline.retrain.loop import YEAR
from pipeline.retrain.repair_findings import RepairFinding, set_aside
from pipeline.retrain.replayed_predictions import ReplayedYear
from pipeline.retrain.signals import Monitor, missing_labels
from pipeline.retrain.training_windows import DECISIONS, CalendarMove
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.contracts import ROLLOUT
from pipeline.shared.databases import find_damage
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import file_hash, own_temporary, write_text

_SQLITE = "sqlite:///"
_LAST = "SELECT release, id FROM answers WHERE arm IN ('champion', 'control') ORDER BY id DESC"
_COLUMNS = [column.name for column in log.TABLE.columns]


def online_stores() -> Iterator[RepairFinding]:
    """Online stores in files; each can be materialized again from the feature views."""
    url = load(ServeConfig).online_url.get_secret_value()
    if not url.startswith(_SQLITE):
        return
    path = Path(url.removeprefix(_SQLITE))
    for store in sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")):
        if wrong := find_damage(store):
            yield RepairFinding(
                store,
                wrong,
                "data/features/views, from which every value in it came",
                "begin an empty one: `make materialize` fills it, and each replay and rollout its "
                "own; until then answers lack these features and are flagged",
                partial(set_aside, store),
            )


def request_log() -> Iterator[RepairFinding]:
    """The request log; from a broken one, the readable answers are kept."""
    url = load(ServeConfig).log_url.get_secret_value()
    path = Path(url.removeprefix(_SQLITE))
    if not (url.startswith(_SQLITE) and path.is_file() and (wrong := find_damage(path))):
        return
    rows = _readable(path)
    yield RepairFinding(
        path,
        wrong,
        f"{len(rows)} answers can be read; what decided a rollout is in {ROLLOUT}/, by its digest",
        "begin a new log with these answers; the others are lost",
        lambda: _begin_log(path),
    )


def _readable(path: Path) -> list[tuple[object, ...]]:
    """The answers of a log up to its first broken page."""
    found: list[tuple[object, ...]] = []
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    with (
        contextlib.suppress(sqlite3.DatabaseError),
        contextlib.closing(sqlite3.connect(path)) as connection,
    ):
        found.extend(connection.execute(f"SELECT {names} FROM answers ORDER BY id"))  # our names
    return found


def last_served() -> tuple[str, str]:
    """The last release that served as champion, and when, by the request log; "" if none."""
    path = Path(load(ServeConfig).log_url.get_secret_value().removeprefix(_SQLITE))
    if not path.is_file() or find_damage(path):
        return "", ""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute(_LAST).fetchone()
    return (found[0], f"it gave the last answer, {found[1]}") if found else ("", "")


def _begin_log(path: Path) -> None:
    """Replace a broken log by a new one, which is filled before it takes the place."""
    rows, new = _readable(path), own_temporary(path)
    log.prepare(f"{_SQLITE}{new}")
    marks = ", ".join("?" * len(_COLUMNS))
    with contextlib.closing(sqlite3.connect(new)) as connection, connection:
        connection.executemany(f"INSERT OR IGNORE INTO answers VALUES ({marks})", rows)
    set_aside(path)
    new.rename(path)


def label_findings(known: list[Entry]) -> Iterator[RepairFinding]:
    """The label ledger against the journal, which counted each day's labels."""
    path = label_ledger.LABEL_LEDGER
    try:
        days = [e.told["day"] for e in journal.events() if e.kind == "day"]
    except ArtifactTampered:
        return  # the journal comes first
    if not (wrong := _wrong_labels(path)):
        return
    if days and not known:
        yield RepairFinding(
            path,
            wrong,
            f"the journal counted the labels of {len(days)} days; the rollout ledger, which says "
            "from when on they were received, is empty",
            "a backup's, of the rollout ledger or of the labels",
        )
        return
    yield RepairFinding(
        path,
        wrong,
        f"the journal counted the labels of {len(days)} days, and their source has them",
        "receive the label files of these days again, each at its instant",
        lambda: _receive_again(path, known, days),
    )


def _wrong_labels(path: Path) -> str:
    """The label ledger's fault, measured against the journal's counts; "" if it has none."""
    wrong = find_damage(path) if path.is_file() and path.stat().st_size else ""
    try:
        return wrong or missing_labels(label_ledger.read_events())
    except ArtifactTampered as refusal:
        return str(refusal).partition(";")[0]


def _receive_again(path: Path, known: list[Entry], days: list[str]) -> None:
    year = ReplayedYear.of(YEAR) if days else None
    set_aside(path)
    if year is None:
        return
    began = pd.Timestamp(known[0].move.at).tz_convert(ZONE)
    monitor = Monitor(year, label_ledger.read_events())
    for day in days:
        monitor.receive(f"{began:%Y-%m-%d}", day)


def calendar_moves() -> Iterator[RepairFinding]:
    """The record of calendar moves; unreadable lines are dropped."""
    text = DECISIONS.read_text(encoding="utf-8", errors="replace") if DECISIONS.is_file() else ""
    lines = text.splitlines()
    good = [line for line in lines if _is_move(line)]
    if len(good) < len(lines):
        yield RepairFinding(
            DECISIONS,
            f"{len(lines) - len(good)} of {len(lines)} lines are no moves of the calendar",
            f"{len(good)} lines can be read; what the windows are now is in configs/, where they "
            "were before in git",
            "keep the lines that can be read",
            lambda: _keep_lines(good),
        )


def _is_move(line: str) -> bool:
    try:
        CalendarMove.model_validate_json(line)
    except ValidationError:
        return False
    return True


def _keep_lines(lines: list[str]) -> None:
    set_aside(DECISIONS)
    write_text(DECISIONS, "".join(f"{line}\n" for line in lines))


def evidence(known: list[Entry]) -> Iterator[RepairFinding]:
    """The evidence behind rollout decisions, by the ledger's digests; it cannot be rebuilt."""
    for entry in known:
        for name, sealed in entry.move.evidence.items():
            path = ROLLOUT / entry.move.rollout / name
            found = file_hash(path)[:12] if path.is_file() else "nothing"
            if found != sealed[:12]:
                yield RepairFinding(
                    path,
                    f"its SHA-256 is {found}, the ledger recorded {sealed[:12]}",
                    f"the decision itself, with its numbers, in entry {entry.number} of the ledger",
                    "a backup's: what users got then is nowhere else",
                )
