"""Retention of logged predictions: older rows are removed, and each removal leaves a record.

The log refuses every deletion but this one, so a gap is explained by a record or somebody tampered
with the log. Age is measured on the replay's clock, from the T of a prediction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from pipeline.features.windows import EPOCH, instant
from pipeline.records import rollout_ledger
from pipeline.records.request_log import APPEND_ONLY, TABLE, exists, no_changes, open_engine
from pipeline.shared import clock
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import RolloutRefused

REMOVALS = sa.Table(
    "removals",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("answers", sa.Integer, nullable=False),
    sa.Column("first_id", sa.BigInteger, nullable=False),
    sa.Column("last_id", sa.BigInteger, nullable=False),
    sa.Column("first_predict_at", sa.Integer, nullable=False),
    sa.Column("last_predict_at", sa.Integer, nullable=False),
    sa.Column("before", sa.Integer, nullable=False),
    sa.Column("at", sa.Integer, nullable=False),
    sqlite_autoincrement=True,
)
"""One row a removal: the number of predictions, their ids and T, and the limit: T below `before`,
removed at the replay's instant `at`; both in minutes since EPOCH."""
_REMOVALS_APPEND_ONLY = no_changes("removals", "removals are only ever added")


def prune(until: str | None = None) -> str:
    """Remove predictions older than configs/serve.yaml allows; `until` replaces the present.

    Raises:
        DayUnknown: `until` is no instant.
        RolloutRefused: a rollout in progress needs some of them.
        StorageFailed: the log cannot be written.
    """
    config = load(ServeConfig)
    stands = rollout_ledger.now(clock.arrived_at(load(IngestConfig).as_of))
    now = pd.Timestamp(stands if until is None else rollout_ledger.parse_instant(until))
    limit = now - pd.Timedelta(days=config.log_days)
    _require_not_needed(limit)
    rule = f"kept for {config.log_days} days, to {limit:%Y-%m-%d %H:%M}Z"
    removed = remove_predictions(config.log_url.get_secret_value(), _minute(limit), _minute(now))
    if removed is None:
        return f"0 answers of before are in the log, answers are {rule}"
    first, last = (instant(int(removed[f"{end}_predict_at"])) for end in ("first", "last"))
    return (
        f"{removed['answers']:,} answers removed, {first:%Y-%m-%d %H:%M}Z to "
        f"{last:%Y-%m-%d %H:%M}Z, ids {removed['first_id']} to {removed['last_id']}: {rule}; "
        "recorded as a removal in the log"
    )


def _require_not_needed(limit: pd.Timestamp) -> None:
    """Refuse if the evidence of a rollout in progress begins before `limit`."""
    known = rollout_ledger.entries()
    if not known or not rollout_ledger.is_unfinished(known[-1].move):
        return
    name = known[-1].move.rollout
    begun = next(entry.move for entry in known if entry.move.rollout == name)
    ahead = pd.Timedelta(minutes=load(FeaturesConfig).horizon_minutes)
    first = pd.Timestamp(begun.first or begun.at) - ahead
    if limit > first:
        raise RolloutRefused(
            f"{name} is unfinished at {known[-1].move.event!r}, and its evidence begins at "
            f"{first:%Y-%m-%d %H:%M}Z: nothing up to {limit:%Y-%m-%d %H:%M}Z is removed before it "
            "is decided; let it end, or end it with `make rollback`"
        )


def remove_predictions(url: str, before: int, at: int) -> dict[str, Any] | None:
    """Remove the predictions with a T before a minute; returns the record, None without any.

    A prediction without a T, whose features came in the request, goes with the rows logged after
    it. One transaction: a process that is killed leaves everything as it was.
    """
    if not exists(url):
        return None
    with _exclusive_transaction(url) as connection:
        old = TABLE.c.predict_at < before
        last = sa.select(sa.func.max(TABLE.c.id)).where(old).scalar_subquery()
        aged = old | (TABLE.c.predict_at.is_(None) & (TABLE.c.id < last))
        record = connection.execute(_record(aged)).mappings().one()
        if not record["answers"]:
            return None
        _delete(connection, sa.delete(TABLE).where(aged))
        removal = {**record, "before": before, "at": at}
        connection.execute(sa.insert(REMOVALS), removal)
        return removal


def _record(aged: Any) -> Any:
    names = (("first", sa.func.min), ("last", sa.func.max))
    ends = [f(TABLE.c[c]).label(f"{n}_{c}") for c in ("id", "predict_at") for n, f in names]
    return sa.select(sa.func.count().label("answers"), *ends).where(aged)


def _delete(connection: sa.Connection, statement: Any) -> None:
    """Delete rows; SQLite's trigger is dropped and restored within the same transaction."""
    if connection.dialect.name != "sqlite":
        connection.execute(statement)
        return
    connection.exec_driver_sql("DROP TRIGGER IF EXISTS answers_no_delete")
    connection.execute(statement)
    connection.exec_driver_sql(APPEND_ONLY["answers_no_delete"])


@contextmanager
def _exclusive_transaction(url: str) -> Iterator[sa.Connection]:
    """Open a transaction without other writers; servers wait, and lose nothing."""
    with open_engine(url) as engine, engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA secure_delete=ON")  # nor left in free pages
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.execute(CreateTable(REMOVALS, if_not_exists=True))
        if connection.dialect.name == "sqlite":
            for statement in _REMOVALS_APPEND_ONLY.values():
                connection.exec_driver_sql(statement)
        yield connection
        connection.commit()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def removals(url: str) -> pd.DataFrame:
    """All removals so far, oldest first."""
    nothing = pd.DataFrame(columns=REMOVALS.c.keys())
    if not exists(url):
        return nothing
    with open_engine(url) as engine, engine.connect() as connection:
        if not sa.inspect(connection).has_table(REMOVALS.name):
            return nothing
        found = connection.execute(sa.select(REMOVALS).order_by(REMOVALS.c.id)).all()
    return pd.DataFrame(found, columns=REMOVALS.c.keys())


def _minute(at: pd.Timestamp) -> int:
    return int((at - EPOCH) // pd.Timedelta(minutes=1))
