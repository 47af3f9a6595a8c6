"""Raw events -> rows of features, each with the instant at which it became known; pure.

Two instants go with every row. `known_at`: when the newest raw event in it became known.
`available_at`: the first instant at which a prediction may use it, always later than `known_at`.
A prediction at T uses, for each entity, the last row with available_at <= T: the rule of every
feature store, so the same rows feed one. Instants are whole minutes (UTC) since EPOCH.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import (
    DEPARTURE,
    ENTITIES,
    KEYS,
    LABEL,
    LANDING,
    PROXY,
    ROLLING,
    WEATHER,
    Rolling,
)
from pipeline.shared.config.features import FeaturesConfig

EPOCH = pd.Timestamp("2012-12-01", tz="UTC")
ZONE = "America/New_York"
"""The time zone of the schedule's hours and days."""
LATE_MINUTES = 15
OBSERVATION_MINUTES = 60
"""The row of hour H is observed at up to H:51, so it is known at the end of that hour."""
NEVER = np.iinfo("int64").min
_EPOCH = int(EPOCH.timestamp()) * 1_000_000
DAY = 24 * 60
Minutes = np.ndarray
"""int64 minutes since EPOCH; NEVER where there is none."""


def minutes(instants: pd.Series) -> Minutes:
    """Instants as whole minutes since EPOCH, NEVER where missing."""
    since = (instants - EPOCH).dt.total_seconds().to_numpy() / 60
    return np.where(np.isnan(since), NEVER, np.nan_to_num(since)).astype("int64")


def instants(since: Minutes) -> pd.Series:
    """The inverse of `minutes`."""
    since = np.asarray(since).astype("int64")  # a column that once held a missing value has floats
    moments = np.where(since == NEVER, NEVER, _EPOCH + since * 60_000_000)  # NEVER is NumPy's NaT
    return pd.Series(moments.view("M8[us]")).dt.tz_localize("UTC")


def instant(minute: int) -> pd.Timestamp:
    """A minute since EPOCH as an instant in UTC."""
    return EPOCH + pd.Timedelta(minutes=minute)


def fill_missing(minutes: Sequence[int | None]) -> Minutes:
    """Minutes as a store returns them, None where there is none."""
    return np.array([NEVER if at is None else at for at in minutes], dtype="int64")


@dataclass(frozen=True)
class Event:
    """One outcome of all flights: its values, and when each became known."""

    value: np.ndarray
    known: Minutes


def outcomes(flights: pd.DataFrame) -> dict[str, Event]:
    """The four outcomes of flights behind rolling features, and when each became known.

    A flight that has not left (arrived) 15 minutes after its schedule is known to be late from
    then on, delayed or cancelled. A delay in minutes is known when the flight leaves (arrives).
    """
    sched_dep, sched_arr = minutes(flights["sched_dep_utc"]), minutes(flights["sched_arr_utc"])
    dep, arr = minutes(flights["dep_utc"]), minutes(flights["arr_utc"])
    dep_late = (flights["dep_delay"] >= LATE_MINUTES) | flights["dep_delay"].isna()
    late = (flights["arr_delay"] >= LATE_MINUTES) | flights["arr_delay"].isna()
    return {
        PROXY: Event(dep_late.to_numpy("float64"), _first(dep, sched_dep + LATE_MINUTES)),
        LABEL: Event(late.to_numpy("float64"), _first(arr, sched_arr + LATE_MINUTES)),
        "dep_delay": Event(flights["dep_delay"].to_numpy("float64"), dep),
        "arr_delay": Event(flights["arr_delay"].to_numpy("float64"), arr),
    }


def _first(happened: Minutes, at_the_latest: Minutes) -> Minutes:
    return np.where(happened == NEVER, at_the_latest, np.minimum(happened, at_the_latest))


def requests(flights: pd.DataFrame, config: FeaturesConfig, zone: str = ZONE) -> pd.DataFrame:
    """One row per flight: key, `predict_at`, schedule features, outcomes."""
    local = flights["sched_dep_utc"].dt.tz_convert(zone)
    known = outcomes(flights)
    block = (flights["sched_arr_utc"] - flights["sched_dep_utc"]).dt.total_seconds() / 60
    identity = ["year", "month", "day", "carrier", "flight", "origin", "dest", "tailnum"]
    return flights[[*identity, "sched_dep_utc", "distance"]].assign(
        predict_at=flights["sched_dep_utc"] - pd.Timedelta(minutes=config.horizon_minutes),
        sched_hour=local.dt.hour.astype("int64"),
        sched_minute=(local.dt.hour * 60 + local.dt.minute).astype("int64"),
        day_of_week=local.dt.dayofweek.astype("int64"),
        block_minutes=block.astype("int64"),
        **{
            LABEL: known[LABEL].value.astype("int8"),
            f"{LABEL}_known_at": instants(known[LABEL].known).array,
            PROXY: known[PROXY].value.astype("int8"),
            f"{PROXY}_known_at": instants(known[PROXY].known).array,
        },
    )


def entity_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that name entities as categoricals, so that no view compares their text again."""
    return frame[list({name: None for of in KEYS.values() for name in of})].astype("category")


def entity_names(frame: pd.DataFrame, view: str) -> pd.Series:
    """The entity of each row in a view, a categorical: "EWR/UA" for an origin and carrier."""
    columns, combined = KEYS[view], np.zeros(len(frame), dtype="int64")
    for column in columns:
        part, values = pd.factorize(frame[column])  # -1 where missing
        combined = combined * (len(values) + 1) + part + 1
    codes, distinct = pd.factorize(combined)
    example = np.zeros(len(distinct), dtype="int64")
    example[codes] = np.arange(len(codes))
    rows = zip(*[frame[column].iloc[example] for column in columns], strict=True)
    texts = ["/".join("" if pd.isna(part) else str(part) for part in row) for row in rows]
    names = pd.Categorical(texts if columns else ["all"] * len(distinct))
    places: Any = names.codes[codes]
    return pd.Series(pd.Categorical.from_codes(places, dtype=names.dtype), frame.index)


def rolling_rows(
    entity: pd.Series, known: dict[str, Event], windows: list[Rolling], grid: int
) -> pd.DataFrame:
    """A view's rows: for each entity, and each instant of the grid at which something changed,
    the count and the sum over each window, and the baseline's where a window is named so.

    The row published at G holds what became known in [G - window, G), so each event enters at the
    first G after it and leaves at the first G after its window has passed.
    """
    entities = entity.astype("category").cat
    codes, names = entities.codes.to_numpy(), entities.categories
    span = _span(known, windows)
    changes, streams = [], {}
    for value in {w.value: None for w in windows}:
        event = known[value]
        there = event.known != NEVER
        order = np.lexsort((event.known[there], codes[there]))
        at = (codes[there].astype("int64") * span + event.known[there])[order]
        streams[value] = (at, np.concatenate([[0.0], np.cumsum(event.value[there][order])]))
        for hours in {0, *(w.hours for w in windows if w.value == value)}:
            passed = at % span + hours * 60
            changes.append(at - at % span + (passed // grid + 1) * grid)
    rows = np.sort(np.concatenate(changes), kind="stable")
    rows = rows[np.diff(rows, prepend=-1) > 0]
    table: dict[str, np.ndarray] = {}
    for window in windows:
        at, total = streams[window.value]
        last = np.searchsorted(at, rows, "left")
        first = np.searchsorted(
            at, np.maximum(rows - window.hours * 60, rows - rows % span), "left"
        )
        table[f"{window.name}_count"] = (last - first).astype("int32")
        table[f"{window.name}_sum"] = (total[last] - total[first]).astype("float64")
    place: Any = rows // span
    newest = np.sort(np.concatenate([at for at, _ in streams.values()]))
    return pd.DataFrame(
        {
            "entity": pd.Categorical.from_codes(place, names),
            "known_at": newest[np.searchsorted(newest, rows, "left") - 1] % span,
            "available_at": rows % span,
            **table,
        }
    )


def _span(known: dict[str, Event], windows: list[Rolling]) -> int:
    latest = max(int(event.known.max()) for event in known.values())
    return latest + 60 * max(w.hours for w in windows) + 24 * 60


def baselines(config: FeaturesConfig) -> list[Rolling]:
    """The system-wide long windows whose means small groups are shrunk towards."""
    return _baselines(config.baseline_days)


@cache
def _baselines(days: int) -> list[Rolling]:
    return [
        Rolling("system", value, days * 24) for value in (PROXY, LABEL, "dep_delay", "arr_delay")
    ]


def windows(view: str, config: FeaturesConfig) -> list[Rolling]:
    """The windows in a rolling view's rows: its features', and the baselines in "system"."""
    return _windows(view, config.baseline_days)


@cache  # a request asks for each view's
def _windows(view: str, days: int) -> list[Rolling]:
    own = [w for w in ROLLING if w.view == view]
    return own + (_baselines(days) if view == "system" else [])


def weather_rows(weather: pd.DataFrame) -> pd.DataFrame:
    """One row per origin and hour, with the rain of three hours and the pressure's change in them.

    No gust reported means none; every other missing value stays missing.
    """
    hour = minutes(weather["observed_utc"])
    frame = weather.assign(
        entity=weather["origin"], hour=hour, wind_gust=weather["wind_gust"].fillna(0.0)
    ).sort_values(["entity", "hour"], ignore_index=True)
    for lag in (1, 2, 3):
        earlier = frame[["entity", "hour", "precip", "pressure"]].assign(
            hour=frame["hour"] + 60 * lag
        )
        frame = frame.merge(earlier, "left", ["entity", "hour"], suffixes=("", f"_{lag}"))
    known = frame["hour"] + OBSERVATION_MINUTES
    return frame.assign(
        entity=frame["entity"].astype("category"),
        known_at=known,
        available_at=known + 1,
        precip_3h=frame[["precip", "precip_1", "precip_2"]].sum(axis=1),
        pressure_change_3h=frame["pressure"] - frame["pressure_3"],
    )[["entity", "known_at", "available_at", *WEATHER]]


def aircraft_rows(flights: pd.DataFrame) -> pd.DataFrame:
    """One row per aircraft and event: its last departure and its last landing."""
    return fold_events(aircraft_events(flights))


def aircraft_events(flights: pd.DataFrame) -> pd.DataFrame:
    """Every departure and every landing of each aircraft, as separate rows.

    `ready` is when it landed, or, in the air, when it will land by its schedule.
    """
    flown = flights[flights["tailnum"].notna() & flights["dep_utc"].notna()]
    dep, arr = minutes(flown["dep_utc"]), minutes(flown["arr_utc"])
    block = minutes(flown["sched_arr_utc"]) - minutes(flown["sched_dep_utc"])
    left = pd.DataFrame(
        {
            "entity": flown["tailnum"].to_numpy(),
            "known_at": dep,
            "aircraft_dep_delay": flown["dep_delay"].to_numpy(),
            "aircraft_airborne": 1.0,
            "ready": (dep + block).astype("float64"),
        }
    )
    landed = left.assign(
        known_at=arr,
        aircraft_arr_delay=flown["arr_delay"].to_numpy(),
        aircraft_airborne=0.0,
        ready=arr.astype("float64"),
    ).assign(landed_at=arr)
    return pd.concat([left, landed[arr != NEVER]], ignore_index=True)


def fold_events(events: pd.DataFrame) -> pd.DataFrame:
    """Aircraft events as rows of the view: each departure carries the landing before it.

    A row of the view is an event too, so a stored row and later events fold into the next row.
    """
    ties = dict.fromkeys(["aircraft_airborne", "ready", *DEPARTURE, *LANDING])
    rows = events.sort_values(["entity", "known_at", *ties], kind="stable")
    carried = [*LANDING, "landed_at"]
    rows[carried] = rows.groupby("entity", sort=False)[carried].ffill()
    rows = rows.drop_duplicates(["entity", "known_at"], keep="last", ignore_index=True)
    return rows.assign(entity=rows["entity"].astype("category"), available_at=rows["known_at"] + 1)


def views(
    flights: pd.DataFrame,
    weather: pd.DataFrame,
    config: FeaturesConfig,
    known: dict[str, Event] | None = None,
) -> dict[str, pd.DataFrame]:
    """Every view's rows from raw flights and weather, sorted by entity and `available_at`.

    `known` replaces `outcomes`, to measure the effect of wrong instants of knowledge (a leak).
    """
    known = outcomes(flights) if known is None else known
    keys = entity_keys(requests(flights, config))
    tables = {
        view: rolling_rows(
            entity_names(keys, view),
            known,
            windows(view, config),
            config.grid_minutes,
        )
        for view in ENTITIES
    }
    return {**tables, "weather": weather_rows(weather), "aircraft": aircraft_rows(flights)}
