"""The traffic of the simulated year: the events after the arrived months, sent as time passes.

No label is known before its time. Rows go into the online store when they become known, and each
event is requested at its T, over HTTP through the proxy.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import VIEWS
from pipeline.features.feast_repository import store_table
from pipeline.features.online_store import Store
from pipeline.features.point_in_time import as_of, historical
from pipeline.features.windows import DAY_MINUTES, NEVER, entity_names, instant, minutes
from pipeline.rollout.traffic.live_traffic import Reply
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.usecase.chosen import USECASE
from simulation.users import Users, batch_requests

ORDER = ["predict_at", *USECASE.events.key]
"""The order in which requests are sent."""


@dataclass(frozen=True)
class ReplayedTraffic:
    """Some days of events in request order, with the feed of the online store.

    `events` has a row per event, its features as the offline join gives them, `name` (its id) and
    `body` (the request's JSON); `at` its T in minutes; `feed` the rows of each view that some
    request reads, each with the minute at which it is `pushed`.
    """

    events: pd.DataFrame
    at: np.ndarray
    feed: dict[str, pd.DataFrame]

    def since(self, place: int) -> "ReplayedTraffic":
        """The traffic after so many events; earlier rows are pushed at once."""
        at = self.at[place:]
        grid = load(FeaturesConfig).grid_minutes
        now = int(at[0]) // grid * grid if len(at) else 0
        feed = {
            view: rows.assign(pushed=rows["pushed"].clip(lower=now))
            for view, rows in self.feed.items()
        }
        return ReplayedTraffic(self.events[place:].reset_index(drop=True), at, feed)

    def send(
        self, port: int, key: str, store: Store, grid: int
    ) -> Generator[tuple[int, list[Reply], int], None, None]:
        """Send users' requests to the proxy's port for known callers, as simulated time passes.

        Yields after each batch its minute, its replies and its number of events.
        """
        names, bodies = self.events["name"].tolist(), self.events["body"].tolist()
        with Users(port, key) as users:
            for places in advance(self, store, grid):
                requests = batch_requests([names[i] for i in places], [bodies[i] for i in places])
                yield int(self.at[places[-1]]), users.ask(*requests), len(places)


def between(
    events: pd.DataFrame, context: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp
) -> ReplayedTraffic:
    """The traffic of the events in [first, last), from tables that reach until then."""
    config = load(FeaturesConfig)
    views = windows.views(events, context, config)
    asked = windows.requests(events, config)
    chosen = asked[USECASE.events.instant].between(first, last, inclusive="left")
    asked = asked[chosen].sort_values(ORDER)
    return traffic_of(historical(asked.reset_index(drop=True), views, config), views, config)


def traffic_of(
    frame: pd.DataFrame, views: dict[str, pd.DataFrame], config: FeaturesConfig
) -> ReplayedTraffic:
    """The traffic of some events, sorted by T with features, from views that reach until then."""
    at = minutes(frame["predict_at"])
    return ReplayedTraffic(_with_bodies(frame), at, _feed(frame, at, views, config))


def _with_bodies(frame: pd.DataFrame) -> pd.DataFrame:
    """Add each event's name, and the body of its request."""
    fields = {name: _values(frame, name) for name in USECASE.request.item.model_fields}
    items = [
        {name: value for name, value in zip(fields, row, strict=True) if not _is_missing(value)}
        for row in zip(*fields.values(), strict=True)
    ]
    bodies = [orjson.dumps({USECASE.request.key: [item]}) for item in items]
    return frame.assign(name=USECASE.names_of(frame), body=bodies)


def _values(frame: pd.DataFrame, name: str) -> list[Any]:
    """The values of a field of the request, as JSON has them."""
    column = frame[USECASE.request.columns.get(name, name)]
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    values: list[Any] = column.tolist()
    kind = USECASE.request.item.model_fields[name].annotation
    return [kind(value) for value in values] if kind is int or kind is bool else values


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _feed(
    requests: pd.DataFrame, at: np.ndarray, views: dict[str, pd.DataFrame], config: FeaturesConfig
) -> dict[str, pd.DataFrame]:
    """The rows of each view that some request reads; any other would be replaced unread.

    A row is pushed at the last mark of the grid before its first reader, or in between if it
    becomes available only then.
    """
    feed = {}
    for view, rows in views.items():
        met = as_of(rows, entity_names(requests, view), at)
        first = pd.Series(at[met >= 0]).groupby(met[met >= 0]).min()
        chosen = rows.iloc[first.index]
        mark = first.to_numpy() // config.grid_minutes * config.grid_minutes
        available = chosen["available_at"].to_numpy()
        pushed = np.where(available <= mark, mark, available)
        feed[view] = store_table(view, chosen, config).assign(pushed=pushed)
    return feed


def advance(traffic: ReplayedTraffic, store: Store, grid: int) -> Iterator[np.ndarray]:
    """Advance simulated time: push the known rows, then yield the places of the next events."""
    marks = [rows["pushed"].to_numpy() for rows in traffic.feed.values()]
    times = np.unique(np.concatenate([*marks, traffic.at // grid * grid]))
    ends = np.append(times[1:], np.iinfo("int64").max)
    due: dict[int, dict[str, list[Any]]] = {}
    prepared_to = NEVER
    for now, end in zip(times.tolist(), ends.tolist(), strict=True):
        if now >= prepared_to:
            due, prepared_to = _due(traffic.feed, store, now), now + DAY_MINUTES
        for view, rows in due.get(now, {}).items():
            store.write(view, rows)
        if now % grid == 0:
            store.complete(VIEWS, instant(now))
        if (found := np.flatnonzero((traffic.at >= now) & (traffic.at < end))).size:
            yield found


def _due(feed: dict[str, pd.DataFrame], store: Store, now: int) -> dict[int, dict[str, list[Any]]]:
    """The rows to push within a day, by minute and view, each entity's newest row last."""
    due: dict[int, dict[str, list[Any]]] = {}
    for view, rows in feed.items():
        chosen = rows[(rows["pushed"] >= now) & (rows["pushed"] < now + DAY_MINUTES)]
        if len(chosen):
            ready = store.prepare(view, chosen.drop(columns="pushed"))
            for mark, row in zip(chosen["pushed"].tolist(), ready, strict=True):
                due.setdefault(mark, {}).setdefault(view, []).append(row)
    return due
