"""The writer of the request log, beside the serving path.

A prediction waits in memory until one thread writes it in a batch, so a slow disk delays no
response; when too many wait, the newest are counted and dropped. A killed server loses the
predictions of the last FLUSH_SECONDS and the batch in progress; one that ends in order writes
everything.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

import sqlalchemy as sa

from pipeline.records.request_log import FIELDS, make_engine, prepare

FLUSH_SECONDS = 0.1
_BATCH = 1_000
_SIZES = tuple(2**power for power in range(9, -1, -1))
"""Rows per INSERT statement: few different statements, and few of them for any batch."""


class Log:
    """A request log that is open for writing; `open_log` creates and closes it."""

    def __init__(self, url: str, limit: int):
        """At most `limit` predictions wait at a time."""
        self._engine, self._limit = make_engine(url), limit
        self._waiting: list[tuple[Any, ...]] = []
        self._lock, self._some = threading.Lock(), threading.Event()
        self._enough, self._closing = threading.Event(), False
        self.written = self.duplicates = self.dropped = self.failed = 0
        """Rows written, rows already there, rows given up, and failed attempts to write."""
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def add(self, answers: Sequence[tuple[Any, ...]]) -> None:
        """Queue rows, with the columns of `Prediction`, for writing; returns at once."""
        with self._lock:
            room = max(0, self._limit - len(self._waiting))
            if room < len(answers):
                self.dropped += len(answers) - room
                answers = answers[:room]
            self._waiting += answers
            enough = len(self._waiting) >= _BATCH
        if not self._some.is_set():  # faster than setting it again
            self._some.set()
        if enough:
            self._enough.set()

    @property
    def waiting(self) -> int:
        """The number of rows that wait to be written."""
        return len(self._waiting)

    def close(self) -> None:
        """Write the waiting rows and stop; rows that cannot be written are dropped and counted."""
        self._closing = True
        self._some.set()
        self._enough.set()
        self._thread.join()
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._engine.dispose()

    def _write(self) -> None:
        while not self._closing or self._waiting:
            self._some.wait()
            self._enough.wait(FLUSH_SECONDS)
            self._some.clear()
            self._enough.clear()
            batch = self._waiting[:_BATCH]
            if not batch:
                continue
            done = self._insert_all(batch)
            with self._lock:
                del self._waiting[: len(batch) if done else 0]
                left = bool(self._waiting)
            if not done and self._closing:
                return
            if left:
                self._some.set()

    def _insert_all(self, batch: list[tuple[Any, ...]]) -> bool:
        try:
            with self._engine.begin() as connection:
                new = sum(_insert(connection, part) for part in _parts(batch))
        except sa.exc.DBAPIError as error:
            self.failed += 1
            if self.failed == 1:  # once: the metrics say how often
                sys.stderr.write(f"server: the request log cannot be written: {error.orig}\n")
            return False
        self.written += new
        self.duplicates += len(batch) - new
        return True


def _parts(batch: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Split a batch into parts of few sizes, so that their statements stay prepared."""
    at = 0
    for size in _SIZES:
        while len(batch) - at >= size:
            yield batch[at : at + size]
            at += size


def _insert(connection: sa.Connection, rows: list[tuple[Any, ...]]) -> int:
    """Insert rows in one statement, skipping duplicates; returns the number of new rows.

    The driver releases the interpreter once a statement: with one statement a row, it and the event
    loop would take the interpreter from each other thousands of times a second.
    """
    text = _statement(len(rows), "?" if connection.dialect.name == "sqlite" else "%s")
    return int(connection.exec_driver_sql(text, tuple(chain.from_iterable(rows))).rowcount)


@cache
def _statement(rows: int, mark: str) -> str:
    names = ", ".join(f'"{name}"' for name in FIELDS)
    row = f"({', '.join([mark] * len(FIELDS))})"
    return f"INSERT INTO answers ({names}) VALUES {', '.join([row] * rows)} ON CONFLICT DO NOTHING"


@contextlib.contextmanager
def open_log(url: str, limit: int) -> Iterator[Log]:
    """Open a log; on exit its waiting rows are written and it is closed.

    Raises:
        StorageFailed: it cannot be created or opened.
    """
    prepare(url)
    log = Log(url, limit)
    try:
        yield log
    finally:
        log.close()
