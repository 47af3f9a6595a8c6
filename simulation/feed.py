"""The replay of a day: rows go online when they become known, and each request is read at its T.

Rows go online in two ways, as in production. An event is pushed the minute it is known: a raw row
behind the last state of an entity, a mark's rolling rows. Every hour the batch job materializes the
last hour from the rows on disk, which repairs lost pushes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import STATES, VIEWS
from pipeline.features.feast_repository import lifetime
from pipeline.features.online_store import Store, Vectors
from pipeline.features.point_in_time import with_features
from pipeline.features.windows import instant, minutes
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.domain import Pushed

HOUR = 60
PUSHED = {view: state.pushed for view, state in STATES.items() if state.pushed is not None}
"""The views whose rows are folded of raw ones, on their way into the online store."""


@dataclass(frozen=True)
class OnlineFeed:
    """The feed of the online store, by view: rows as they are stored, and raw rows to be folded."""

    rows: dict[str, pd.DataFrame]
    raw: dict[str, pd.DataFrame]

    def within(self, since: int, until: int) -> "OnlineFeed":
        """The rows available after one minute, up to another, and the raw ones before them."""
        return OnlineFeed(
            {view: _available(rows, since, until) for view, rows in self.rows.items()},
            {
                view: _available(rows, since - PUSHED[view].lookback, until)
                for view, rows in self.raw.items()
            },
        )


def _available(rows: pd.DataFrame, since: int, until: int) -> pd.DataFrame:
    return rows[(rows["available_at"] > since) & (rows["available_at"] <= until)]


def feed_of(events: pd.DataFrame, context: pd.DataFrame, config: FeaturesConfig) -> OnlineFeed:
    """The feed of events and context, each row with the minute at which it is available."""
    views = windows.views(events, context, config)
    return OnlineFeed(
        {view: rows for view, rows in views.items() if view not in PUSHED},
        {view: pushed.raw(events, context) for view, pushed in PUSHED.items()},
    )


def replay_requests(
    store: Store,
    asked: pd.DataFrame,
    feed: OnlineFeed,
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


def _push(store: Store, feed: OnlineFeed, since: int, until: int) -> None:
    """Push the rows that became available after one minute, up to another."""
    rows = {view: _available(rows, since, until) for view, rows in feed.rows.items()}
    for view, raw in feed.raw.items():
        if len(new := _available(raw, since, until)):
            rows[view] = _fold(store, view, _available(raw, since - PUSHED[view].lookback, until))
            rows[view] = _available(rows[view], since, until)
    for view, new in rows.items():
        if len(new):
            store.push(view, new)


def _fold(store: Store, view: str, recent: pd.DataFrame) -> pd.DataFrame:
    """A view's rows of recent raw ones, and of those that the store holds of their entities."""
    pushed: Pushed = PUSHED[view]
    if pushed.stored:
        known = store.rows(view, sorted(set(recent["entity"])))
        recent = pd.concat([known, recent], ignore_index=True) if len(known) else recent
    return pushed.fold(recent)
