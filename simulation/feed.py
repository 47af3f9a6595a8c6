"""The replay of a day: rows go online when they become known, and each flight is read at its T.

Rows go online in two ways, as in production. An event is pushed the minute it is known: a departure
or landing of an aircraft, an observation of the weather, a quarter-hour's rolling rows. Every hour
the batch job materializes the last hour from the rows on disk, which repairs lost pushes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import ENTITIES, VIEWS
from pipeline.features.feast_repository import lifetime
from pipeline.features.online_store import Store, Vectors
from pipeline.features.point_in_time import with_features
from pipeline.features.windows import instant, minutes
from pipeline.flights.events import (
    OBSERVATION_MINUTES,
    aircraft_events,
    fold_events,
    weather_rows,
)
from pipeline.shared.config.features import FeaturesConfig

HOUR = 60
LOOKBACK = 4 * HOUR
"""An observation's row also uses those of the three hours before it."""


@dataclass(frozen=True)
class Feed:
    """The feed of the online store: rows of the rolling views, events of aircraft, raw weather."""

    rolling: dict[str, pd.DataFrame]
    aircraft: pd.DataFrame
    weather: pd.DataFrame

    def within(self, since: int, until: int) -> "Feed":
        """The rows available after one minute, up to another, and the weather before them."""
        return Feed(
            {view: _available(rows, since, until) for view, rows in self.rolling.items()},
            _available(self.aircraft, since, until),
            _available(self.weather, since - LOOKBACK, until),
        )


def _available(rows: pd.DataFrame, since: int, until: int) -> pd.DataFrame:
    return rows[(rows["available_at"] > since) & (rows["available_at"] <= until)]


def feed_of(flights: pd.DataFrame, weather: pd.DataFrame, config: FeaturesConfig) -> Feed:
    """The feed of raw flights and weather, each row with the minute at which it is available."""
    views = windows.views(flights, weather, config)
    events = aircraft_events(flights)
    observed = minutes(weather["observed_utc"]) + OBSERVATION_MINUTES
    return Feed(
        {view: views[view] for view in ENTITIES},
        events.assign(available_at=events["known_at"] + 1),
        weather.assign(available_at=observed + 1),
    )


def replay(
    store: Store,
    asked: pd.DataFrame,
    feed: Feed,
    config: FeaturesConfig,
    say: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Replay requests, each read at its `predict_at` from the rows known then.

    Returns each with its features as served, and for each view `<view>_known_at` and `<view>_flag`.
    """
    at, grid = minutes(asked["predict_at"]), config.grid_minutes
    now = int(at.min()) // grid * grid
    feed = feed.within(now, int(at.max()))
    _materialize(store, now, max(lifetime(view, config) for view in VIEWS))
    served = []
    for minute in np.unique(at).tolist():
        for mark in range((now // grid + 1) * grid, minute + 1, grid):
            _push(store, feed, now, mark)
            now = mark
            store.complete(VIEWS, instant(now))
            if now % HOUR == 0:
                say(f"{instant(now):%Y-%m-%d %H:%M}Z")
                _materialize(store, now, timedelta(hours=1))
        _push(store, feed, now, minute)
        now = minute
        served.append(store.online(asked[at == now]))
    return with_vectors(asked.iloc[np.argsort(at, kind="stable")], served)


def with_vectors(asked: pd.DataFrame, served: list[Vectors]) -> pd.DataFrame:
    """Requests with the feature vectors served for them, in their order."""
    values = {
        name: np.concatenate([vectors.values[name] for vectors in served])
        for name in served[0].values
    }
    flags = {
        f"{view}_flag": np.concatenate([vectors.flags[view] for vectors in served])
        for view in VIEWS
    }
    return with_features(asked, values).assign(**flags)


def _materialize(store: Store, now: int, span: timedelta) -> None:
    store.materialize(VIEWS, instant(now) - span, instant(now))


def _push(store: Store, feed: Feed, since: int, until: int) -> None:
    """Push the rows that became available after one minute, up to another."""
    rows = {view: _available(rows, since, until) for view, rows in feed.rolling.items()}
    if len(_available(feed.weather, since, until)):
        hours = weather_rows(_available(feed.weather, since - LOOKBACK, until))
        rows["weather"] = _available(hours, since, until)
    if len(events := _available(feed.aircraft, since, until)):
        known = store.rows("aircraft", sorted(set(events["entity"])))
        history = [known, events] if len(known) else [events]
        folded = fold_events(pd.concat(history, ignore_index=True))
        rows["aircraft"] = _available(folded, since, until)
    for view, new in rows.items():
        if len(new):
            store.push(view, new)
