"""Traffic that nobody has seen: the flights after what has arrived, asked for as time passes.

No label of theirs is known to anybody here before its time. What becomes known goes into the online
store when it does, and each flight is asked for at its T, over HTTP and through the proxy.
"""

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import local
from typing import Any

import numpy as np
import orjson
import pandas as pd
import xxhash

from pipeline import ingest
from pipeline.features import windows
from pipeline.features.build import accepted
from pipeline.features.definitions import VIEWS
from pipeline.features.feast_repository import table
from pipeline.features.names import flight_names
from pipeline.features.online_store import Store
from pipeline.features.point_in_time import as_of, historical
from pipeline.features.windows import entity_names, instant, minutes
from pipeline.records.rollout_ledger import WHOLE
from pipeline.shared import clock
from pipeline.shared.callers import CALLER_KEY
from pipeline.shared.config import FeaturesConfig, IngestConfig, load
from pipeline.shared.errors import DayUnknown

DAY = 24 * 60
CLIENTS = 6
"""Users that ask at once; each keeps its connection."""
BATCH, BATCHED = 4, 0.25
"""Of the groups of so many flights that are asked for at one moment, this share is asked for in one
request: a server that gives the rows of a batch in another order is right about each single one."""
_BATCH_SALT = "batch"
_BODY = ["carrier", "flight", "origin", "dest", "tailnum", "block_minutes", "distance"]


@dataclass(frozen=True)
class Traffic:
    """Some days of flights in the order in which they are asked for, and what is known by when.

    `asked` has a row per flight, its features as the offline join gives them, `name` (its id) and
    `body` (the request's JSON); `at` its T in minutes; `feed` the rows of each view that some
    flight meets, each with the minute at which it is `pushed`.
    """

    asked: pd.DataFrame
    at: np.ndarray
    feed: dict[str, pd.DataFrame]

    def since(self, place: int) -> "Traffic":
        """What is left after so many flights; what was pushed before is pushed at once."""
        at = self.at[place:]
        now = int(at[0]) // 15 * 15 if len(at) else 0
        feed = {
            view: rows.assign(pushed=rows["pushed"].clip(lower=now))
            for view, rows in self.feed.items()
        }
        return Traffic(self.asked[place:].reset_index(drop=True), at, feed)


@dataclass(frozen=True)
class Ahead:
    """All that may still be asked for, made ready once by who will ask often.

    `flights` are the year's with their features as the offline join gives them, `views` the rows
    of each view until the year's end.
    """

    flights: pd.DataFrame
    views: dict[str, pd.DataFrame]

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> Traffic:
        """The traffic of the flights that leave in [first, last), as far as the year goes.

        Raises:
            DayUnknown: it ends before the first.
        """
        _require_published(self.flights, first)
        chosen = self.flights["sched_dep_utc"].between(first, last, inclusive="left")
        order = ["predict_at", "carrier", "flight", "origin"]
        frame = self.flights[chosen].sort_values(order, ignore_index=True)
        return asked_for(frame, self.views, load(FeaturesConfig))


def traffic(first: pd.Timestamp, days: int, ahead: Ahead | None = None) -> Traffic:
    """The flights of so many days from an instant on, a midnight in New York.

    Raises:
        DayUnknown: the published year ends before.
    """
    local = first.tz_convert(windows.ZONE) + pd.DateOffset(days=days)
    last = pd.Timestamp(local).tz_convert("UTC")
    if ahead is not None:
        return ahead.between(first, last)
    return between(*published_until(last), first, last)


def between(
    flights: pd.DataFrame, weather: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp
) -> Traffic:
    """The traffic of the flights that leave in [first, last), from tables that go on until then."""
    config = load(FeaturesConfig)
    views = windows.views(flights, weather, config)
    asked = windows.requests(flights, config)
    chosen = asked["sched_dep_utc"].between(first, last, inclusive="left")
    asked = asked[chosen].sort_values(["predict_at", "carrier", "flight", "origin"])
    return asked_for(historical(asked.reset_index(drop=True), views, config), views, config)


def asked_for(
    frame: pd.DataFrame, views: dict[str, pd.DataFrame], config: FeaturesConfig
) -> Traffic:
    """The traffic of some flights, by T with their features, from views that go on until then."""
    at = minutes(frame["predict_at"])
    return Traffic(_told(frame), at, _feed(frame, at, views, config))


def published_until(last: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What has arrived and was accepted, and after it what was published, raw, up to an instant.

    Raises:
        DayUnknown: the published year ends before.
    """
    config = load(IngestConfig)
    last_arrived = int(clock.last_day(config.as_of).replace("-", ""))
    flights, weather = accepted()
    tables = ingest.read_source(config)
    parts = []
    for known, published, column in (
        (flights, tables["flights"], "sched_dep_utc"),
        (weather, tables["weather"], "observed_utc"),
    ):
        day = published["year"] * 10_000 + published["month"] * 100 + published["day"]
        later = published[(day > last_arrived) & (published[column] < last)]
        parts.append(pd.concat([known, later], ignore_index=True))
    _require_published(tables["flights"], last)
    return parts[0], parts[1]


def _require_published(flights: pd.DataFrame, last: pd.Timestamp) -> None:
    if (ends := flights["sched_dep_utc"].max()) < last - pd.Timedelta(days=1):
        raise DayUnknown(
            f"the published flights end on {ends:%Y-%m-%d}, traffic is wanted until "
            f"{last:%Y-%m-%d}; begin the year anew beside it: `mv state state-before`, then "
            "`make evaluate register`"
        )


def _told(frame: pd.DataFrame) -> pd.DataFrame:
    """With each flight's name, and the body of its request."""
    departures = frame["sched_dep_utc"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    schedule = frame[_BODY].astype({"block_minutes": "int64", "distance": "int64"})
    told = [
        {k: v for k, v in zip(_BODY, row, strict=True) if not _is_missing(v)}
        | {"scheduled_departure": departure}
        for *row, departure in zip(
            *(schedule[name].tolist() for name in _BODY), departures, strict=True
        )
    ]
    bodies = [orjson.dumps({"flights": [flight]}) for flight in told]
    return frame.assign(name=flight_names(frame), body=bodies)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _feed(
    asked: pd.DataFrame, at: np.ndarray, views: dict[str, pd.DataFrame], config: FeaturesConfig
) -> dict[str, pd.DataFrame]:
    """Of each view the rows that some request meets; another row would be replaced unread.

    A row is pushed at the last mark of the grid before its first reader, or in between if it
    becomes available only then.
    """
    feed = {}
    for view, rows in views.items():
        met = as_of(rows, entity_names(asked, view), at)
        first = pd.Series(at[met >= 0]).groupby(met[met >= 0]).min()
        chosen = rows.iloc[first.index]
        mark = first.to_numpy() // config.grid_minutes * config.grid_minutes
        available = chosen["available_at"].to_numpy()
        pushed = np.where(available <= mark, mark, available)
        feed[view] = table(view, chosen, config).assign(pushed=pushed)
    return feed


def lived(traffic: Traffic, store: Store, grid: int) -> Iterator[np.ndarray]:
    """Let time pass: push what becomes known, then give the places of who asks until the next."""
    marks = [rows["pushed"].to_numpy() for rows in traffic.feed.values()]
    times = np.unique(np.concatenate([*marks, traffic.at // grid * grid]))
    ends = np.append(times[1:], np.iinfo("int64").max)
    due: dict[int, dict[str, list[Any]]] = {}
    prepared_to = 0
    for now, end in zip(times.tolist(), ends.tolist(), strict=True):
        if now >= prepared_to:
            due, prepared_to = _due(traffic.feed, store, now), now + DAY
        for view, rows in due.get(now, {}).items():
            store.write(view, rows)
        if now % grid == 0:
            store.complete(VIEWS, instant(now))
        if (found := np.flatnonzero((traffic.at >= now) & (traffic.at < end))).size:
            yield found


def batched(names: list[str], bodies: list[bytes]) -> tuple[list[str], list[bytes]]:
    """The requests for the flights of a moment: one each, or one for a few by the first's name."""
    asked: list[tuple[str, bytes]] = []
    for first in range(0, len(names), BATCH):
        few = slice(first, first + BATCH)
        bucket = xxhash.xxh64_intdigest(f"{_BATCH_SALT}/{names[first]}".encode()) % WHOLE
        if bucket < BATCHED * WHOLE:
            flights = [one for body in bodies[few] for one in orjson.loads(body)["flights"]]
            asked.append((names[first], orjson.dumps({"flights": flights})))
        else:
            asked += zip(names[few], bodies[few], strict=True)
    return [name for name, _ in asked], [body for _, body in asked]


def _due(feed: dict[str, pd.DataFrame], store: Store, now: int) -> dict[int, dict[str, list[Any]]]:
    """What is to be pushed within a day, by minute and view, each entity's newest row last."""
    due: dict[int, dict[str, list[Any]]] = {}
    for view, rows in feed.items():
        chosen = rows[(rows["pushed"] >= now) & (rows["pushed"] < now + DAY)]
        if len(chosen):
            ready = store.prepared(view, chosen.drop(columns="pushed"))
            for mark, row in zip(chosen["pushed"].tolist(), ready, strict=True):
                due.setdefault(mark, {}).setdefault(view, []).append(row)
    return due


@dataclass(frozen=True)
class Reply:
    """What a user got: code 0 is no answer at all."""

    code: int
    seconds: float
    request_id: str
    version: str

    @property
    def failed(self) -> bool:
        """Whether it holds no prediction."""
        return self.code != 200


class Users:
    """Users at their end of the proxy, a few at a time, each with a connection that stays."""

    def __init__(self, port: int, key: str, clients: int = CLIENTS):
        """`port` is the proxy's for known callers, `key` theirs; nothing is sent yet."""
        self._port, self._key, self._held = port, key, local()
        self._pool, self._open = ThreadPoolExecutor(clients), set[http.client.HTTPConnection]()

    def ask(self, names: list[str], bodies: list[bytes]) -> list[Reply]:
        """Ask for flights, as many at a time as there are users; the replies in their order."""
        return list(self._pool.map(self._one, names, bodies))

    def close(self) -> None:
        """No more requests."""
        self._pool.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()

    def _one(self, name: str, body: bytes) -> Reply:
        headers = {"content-type": "application/json", "x-flight": name, CALLER_KEY: self._key}
        started, connection = time.perf_counter(), self._connection()
        try:
            connection.request("POST", "/predict", body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it anew
            return Reply(0, time.perf_counter() - started, "", "")
        seconds, told = time.perf_counter() - started, answer.headers
        return Reply(
            answer.status, seconds, told.get("x-request-id", ""), told.get("x-version", "")
        )

    def _connection(self) -> http.client.HTTPConnection:
        if getattr(self._held, "connection", None) is None:
            self._held.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            self._open.add(self._held.connection)
        connection: http.client.HTTPConnection = self._held.connection
        return connection
