"""Raw events behind each feature of one event, as known at T.

They come from the same tables as for training, up to the event; features are not recomputed here.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import FEATURES, ROLLING, STATES, VIEWS
from pipeline.features.on_demand import sources
from pipeline.features.point_in_time import as_of, historical
from pipeline.features.windows import NEVER, entity_names, instant, minutes
from pipeline.monitor.predictions import days_of
from pipeline.records.arrivals import read_until
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import Record
from pipeline.shared.domain import Event, Occurrence, Rolling, State
from pipeline.shared.errors import RequestUnknown
from pipeline.usecase.chosen import USECASE

_SCHEDULE = "schedule"
LAST = 3
"""How many source events are named: the last to become known."""


class RawEvent(Record):
    """A raw event: its entity (`of`), its values (`told`), and when they became known."""

    of: str
    told: dict[str, float | None]
    known_at: str


class SourceEvents(Record):
    """The source events of a value: the entity, the window, their number, and the last ones."""

    entity: str
    window: str
    events: int
    last: list[RawEvent]


@dataclass(frozen=True)
class EventHistory:
    """All published events and their context up to one event, and that event's request.

    `request` is its one row with every feature, by the offline join.
    """

    events: pd.DataFrame
    views: dict[str, pd.DataFrame]
    requests: pd.DataFrame
    request: pd.DataFrame
    config: FeaturesConfig

    @cached_property
    def at(self) -> int:
        """T, in minutes since EPOCH."""
        return int(minutes(self.request["predict_at"])[0])

    @cached_property
    def outcomes(self) -> dict[str, Event]:
        """Every event's outcomes, with the instants at which they became known."""
        return windows.outcomes(self.events)

    @cached_property
    def entities(self) -> dict[str, tuple[str, np.ndarray]]:
        """For each view the event's entity, and the mask of that entity's events."""
        names = {view: str(entity_names(self.request, view).iloc[0]) for view in VIEWS}
        return {
            view: (name, (entity_names(self.requests, view) == name).to_numpy())
            for view, name in names.items()
        }

    def row(self, view: str) -> pd.Series | None:
        """The view's row that the event joins; None if there is none."""
        found = as_of(self.views[view], entity_names(self.request, view), np.array([self.at]))[0]
        return None if found < 0 else self.views[view].iloc[found]


def load_history(name: str) -> EventHistory:
    """Load the history of an event by its name, which begins with its date.

    Raises:
        RequestUnknown: there is no such event in the published year.
        DayUnknown: it lies beyond the published data.
    """
    day = pd.Timestamp(_date_of(name), tz=windows.ZONE)
    last = pd.Timestamp(day + pd.DateOffset(days=1)).tz_convert("UTC")
    return make_history(*read_until(last), name)


def make_history(events: pd.DataFrame, context: pd.DataFrame, name: str) -> EventHistory:
    """Make the history of an event from tables that reach it or beyond.

    Raises:
        RequestUnknown: there is no such event in them.
    """
    date, config, words = _date_of(name), load(FeaturesConfig), USECASE.words
    requests, day = windows.requests(events, config), pd.Timestamp(date)
    same = [requests[part] == getattr(day, part) for part in ("year", "month", "day")]
    places = np.flatnonzero(np.logical_and.reduce(same))
    mine = places[(USECASE.names_of(requests.iloc[places]) == name).to_numpy(dtype=bool)]
    if not len(mine):
        known = [*USECASE.names_of(requests.iloc[-1:]), words.example][0]
        raise RequestUnknown(
            f"no {words.event} {name} among {len(events):,} to {date}; a name is {words.named_by}: "
            f"`make explain REQUEST={known}`"
        )
    views = windows.views(events, context, config)
    request = requests.iloc[mine[:1]].reset_index(drop=True)
    request = historical(request, views, config)
    return EventHistory(events, views, requests, request, config)


def _date_of(name: str) -> str:
    return str(days_of(pd.Series([name]))[0])


def view_of(feature: str) -> str:
    """The view of a feature's source events; the schedule for features of the request."""
    own = [rolling.view for rolling in ROLLING if rolling.name == feature]
    return next(iter(own or sources(feature)), _SCHEDULE)


def source_events(known: EventHistory, feature: str) -> SourceEvents | None:
    """The source events of a feature; None if nothing was known, or the schedule has it.

    Raises:
        ValueError: there is no such feature.
    """
    if feature not in FEATURES:
        raise ValueError(f"{feature!r} is not one of the {len(FEATURES)} features")
    for rolling in ROLLING:
        if rolling.name == feature:
            return _window(known, rolling)
    for state in STATES.values():
        if feature in state.features:
            return _of_state(known, state, feature)
    return None


def _window(known: EventHistory, rolling: Rolling) -> SourceEvents | None:
    """The events whose outcome became known within the window of the joined row."""
    row = known.row(rolling.view)
    if row is None:
        return None
    entity, mine = known.entities[rolling.view]
    event, end = known.outcomes[rolling.value], int(row["available_at"])
    begin = end - 60 * rolling.hours
    inside = mine & (event.known != NEVER) & (event.known >= begin) & (event.known < end)
    places = np.flatnonzero(inside)
    newest = places[np.argsort(event.known[places], kind="stable")][::-1][:LAST]
    names = USECASE.names_of(known.requests.iloc[newest])
    return SourceEvents(
        entity=entity,
        window=f"{_utc_text(begin)} to {_utc_text(end)}",
        events=len(places),
        last=[
            RawEvent(
                of=name,
                told={rolling.value: float(event.value[place])},
                known_at=_utc_text(int(event.known[place])),
            )
            for place, name in zip(newest.tolist(), names, strict=True)
        ],
    )


def _of_state(known: EventHistory, state: State, feature: str) -> SourceEvents | None:
    """The raw events behind a state that have not expired at T, the newest first."""
    entity, mine = known.entities[state.view]
    hours = getattr(known.config, state.setting)
    if state.behind is None:
        seen = _last_row(known, state, entity, feature)
        oldest = min((one.known for one in seen), default=0)
    else:
        seen = state.behind(known.events[mine & bool(entity)], known.at)
        oldest = known.at - 60 * hours
    if not seen:
        return None
    fresh = [one for one in seen if one.known >= oldest]
    return SourceEvents(
        entity=entity,
        window=f"{hours} hours before T",
        events=len(fresh),
        last=[
            RawEvent(
                of=one.of,
                told={name: number(value) for name, value in one.values.items()},
                known_at=_utc_text(one.known),
            )
            for one in fresh[:LAST]
        ],
    )


def _last_row(known: EventHistory, state: State, entity: str, feature: str) -> list[Occurrence]:
    """The view's row that the event joins, as a raw event of its own."""
    row = known.row(state.view)
    if row is None:
        return []
    at = int(row["known_at"])
    return [Occurrence(f"{state.view} at {entity}", {feature: float(row[feature])}, at)]


def number(value: object) -> float | None:
    """A value for JSON: None if it is missing."""
    found = float(value)  # type: ignore[arg-type]
    return None if np.isnan(found) else found


def _utc_text(minute: int) -> str:
    return f"{instant(int(minute)):%Y-%m-%d %H:%M}Z"
