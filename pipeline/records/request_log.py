"""The request log: every prediction of a server, once, in a table that only grows.

If one arm of one release predicts a request twice, the first row stays. request_log_writer.py adds
rows, retention.py removes those that are too old, and everything else only reads.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from pipeline.features.definitions import NAME, NUMERIC, VIEWS
from pipeline.shared import databases
from pipeline.shared.databases import database_refusal, require_made
from pipeline.shared.errors import PipelineError, StorageFailed
from pipeline.shared.files import own_temporary, publish, storage_failure
from pipeline.shared.secrets import mask_address

_MAX_NAMES = 10_000
"""Names that one query may name: databases have a limit."""


class LoggedPrediction(NamedTuple):
    """One row of the request log, in the order of its columns; `name` is the event's, in NAME.

    `features` holds NUMERIC and `known_at` VIEWS in the bytes of `pack`; None where the features
    came in the request. `flags` is JSON. `answered_at` (seconds since 1970) and `seconds` (from the
    request's first byte to the response) serve operations only: point-in-time questions use
    `predict_at` (minutes since EPOCH).
    """

    request_id: str
    row: int
    arm: str
    version: str
    release: str
    name: str | None
    predict_at: int | None
    features: bytes | None
    known_at: bytes | None
    flags: str
    risk: float
    answered_at: float
    seconds: float


TABLE = sa.Table(
    "answers",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("row", sa.Integer, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("release", sa.String(64), nullable=False),
    sa.Column(NAME, sa.Text),
    sa.Column("predict_at", sa.Integer),
    sa.Column("features", sa.LargeBinary),
    sa.Column("known_at", sa.LargeBinary),
    sa.Column("flags", sa.Text, nullable=False),
    sa.Column("risk", sa.Double, nullable=False),
    sa.Column("answered_at", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.UniqueConstraint("request_id", "row", "arm", "release"),
    sqlite_autoincrement=True,
)
"""`id` only grows, so a reader can resume where it stopped."""
FIELDS = [column.name for column in TABLE.c if column.name != "id"]
"""The columns that a `LoggedPrediction` fills, in its order."""


def no_changes(table: str, reason: str) -> dict[str, str]:
    """The SQLite triggers, by name, that make a table append-only."""
    return {
        f"{table}_no_{what.lower()}": f"CREATE TRIGGER IF NOT EXISTS {table}_no_{what.lower()} "
        f"BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, '{reason}'); END"
        for what in ("UPDATE", "DELETE")
    }


APPEND_ONLY = no_changes("answers", "answers are only ever added")
"""SQLite's triggers stop even the owner of the file; a database server uses grants. Only
pipeline/records/retention.py removes rows, when they are too old."""


def prepare(url: str) -> None:
    """Create the log if there is none; any number of servers may do so at once.

    Raises:
        StorageFailed: it cannot be created or opened.
    """
    try:
        if (path := _file(url)) is not None:
            _make_file(path)
            return
        engine = make_engine(url)
        with engine.begin() as connection:
            connection.execute(CreateTable(TABLE, if_not_exists=True))
        engine.dispose()
    except (OSError, sa.exc.DBAPIError) as error:
        raise log_refusal(url, error) from None  # it may repeat an address


def _make_file(path: Path) -> None:
    """Create a complete database under its name in one step; an existing one stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_file():
        require_made(path, "request log")
        return
    temporary = own_temporary(path)
    temporary.touch(mode=0o600)
    engine = sa.create_engine(f"sqlite:///{temporary}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.execute(CreateTable(TABLE))
        for statement in APPEND_ONLY.values():
            connection.exec_driver_sql(statement)
    engine.dispose()  # folds the journal into the file
    publish(temporary, path)


def log_refusal(url: str, error: Exception) -> PipelineError:
    """The refusal for a log that cannot be read or written, without its password."""
    refusal: PipelineError | None = None
    if (path := _file(url)) is not None:
        if isinstance(error, OSError):
            refusal = storage_failure(path, error)
        else:
            refusal = database_refusal(path, "request log", error)
    return refusal or StorageFailed(
        f"the request log {mask_address(url)} cannot be opened ({type(error).__name__}); see "
        "log_url in configs/serve.yaml and PIPELINE_LOG_URL, then run the same again"
    )


def _file(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def exists(url: str) -> bool:
    """Whether there is a log; a database server only shows it when it is read."""
    return (path := _file(url)) is None or path.is_file()


@contextlib.contextmanager
def open_engine(url: str) -> Iterator[sa.Engine]:
    """Connect to the log's database; disconnects on exit.

    Raises:
        StorageFailed: it cannot be read or written, or another program locks it.
        ArtifactTampered: it is no database.
    """
    if (path := _file(url)) is not None:
        require_made(path, "request log")
    engine = make_engine(url)
    try:
        yield engine
    except sa.exc.DBAPIError as error:
        raise log_refusal(url, error) from None  # it may repeat an address
    finally:
        engine.dispose()


def make_engine(url: str) -> sa.Engine:
    """An engine for the log's database, which connects when it is used."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _: Any) -> None:
    """Let champion and challenger, which write to one file, wait for each other."""
    connection.execute(f"PRAGMA busy_timeout={databases.BUSY_SECONDS * 1000:.0f}")
    connection.execute("PRAGMA synchronous=NORMAL")


def pack(values: np.ndarray, kind: str) -> list[bytes]:
    """Encode each row of a matrix, little-endian: "<f4" for features, "<i8" for known_at."""
    return [row.tobytes() for row in np.ascontiguousarray(values, dtype=kind)]


def read_predictions(
    url: str, since: int = 0, limit: int | None = None, **equal: Any
) -> pd.DataFrame:
    """Read the rows with an `id` above `since`, in order; `equal` filters columns by value.

    Empty without a log.
    """
    wanted = sa.select(TABLE).where(TABLE.c.id > int(since)).order_by(TABLE.c.id).limit(limit)
    for name, value in equal.items():
        wanted = wanted.where(TABLE.c[name] == value)
    if not exists(url):
        return pd.DataFrame(columns=TABLE.c.keys())
    with open_engine(url) as engine, engine.connect() as connection:
        found = connection.execute(wanted).all()
    return pd.DataFrame(found, columns=TABLE.c.keys())


def count(url: str, arms: Sequence[str], names: Sequence[str]) -> int:
    """Count, within the database, the predictions of some arms for some events."""
    if not exists(url):
        return 0
    many = sa.select(sa.func.count()).where(TABLE.c.arm.in_(arms))
    parts = [names[at : at + _MAX_NAMES] for at in range(0, len(names), _MAX_NAMES)]
    with open_engine(url) as engine, engine.connect() as connection:
        found = [connection.execute(many.where(TABLE.c[NAME].in_(part))) for part in parts]
        return sum(int(one.scalar_one()) for one in found)


def last_id(url: str) -> int:
    """The `id` of the last row; 0 without one."""
    if not exists(url):
        return 0
    with open_engine(url) as engine, engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.max(TABLE.c.id))).scalar() or 0)


def features_of(answers: pd.DataFrame) -> np.ndarray:
    """The features of logged predictions, a row of NUMERIC each; NaN if sent in the request."""
    return _unpack(answers["features"], "<f4", len(NUMERIC), np.nan)


def known_at_of(answers: pd.DataFrame) -> np.ndarray:
    """The instants at which they were known, a row of VIEWS each; NEVER where nothing was."""
    return _unpack(answers["known_at"], "<i8", len(VIEWS), np.iinfo("int64").min)


def _unpack(column: pd.Series, kind: str, width: int, absent: float) -> np.ndarray:
    nothing = np.full(width, absent, dtype=kind)
    rows = [nothing if content is None else np.frombuffer(content, kind) for content in column]
    return np.array(rows, dtype=kind).reshape(len(rows), width)
