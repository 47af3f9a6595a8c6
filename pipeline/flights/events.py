"""The events of flights and weather, each with the instant at which it became known; pure."""

import numpy as np
import pandas as pd

from pipeline.flights.features import DEPARTURE, LABEL, LANDING, PROXY, WEATHER
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.domain import Event
from pipeline.shared.minutes import NEVER, Minutes, instants, minutes

ZONE = "America/New_York"
"""The time zone of the schedule's hours and days."""
LATE_MINUTES = 15
OBSERVATION_MINUTES = 60
"""The row of hour H is observed at up to H:51, so it is known at the end of that hour."""
LOOKBACK_MINUTES = 4 * 60
"""An observation's row also uses those of the three hours before it."""


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


def deadline(rows: pd.DataFrame) -> pd.Series:
    """The latest instant at which each label is known: a flight not landed by then is late."""
    block = rows["block_minutes"].to_numpy(dtype="float64") + LATE_MINUTES
    return pd.Series(rows["sched_dep_utc"] + pd.to_timedelta(np.rint(block), unit="min"))


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


def observations(weather: pd.DataFrame) -> pd.DataFrame:
    """The raw weather, each hour with the minute at which it is available."""
    return weather.assign(available_at=minutes(weather["observed_utc"]) + OBSERVATION_MINUTES + 1)


def available_events(flights: pd.DataFrame) -> pd.DataFrame:
    """The events of aircraft, each with the minute at which it is available."""
    events = aircraft_events(flights)
    return events.assign(available_at=events["known_at"] + 1)


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
