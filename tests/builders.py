"""Small valid tables in the schema of a snapshot; a test changes the one thing that it is about."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import FEATURES, KNOWN_AT, NUMERIC
from pipeline.flights.published import with_instants
from pipeline.flights.weather_consistency import relative_humidity, solar_hour
from pipeline.shared.contracts import Check, Estimate, Kind, Training, Verdict, at_most, decide

CARRIERS = ["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN"]
# Destinations in New York's own time zone, each with its distance and its minutes in the air.
ROUTES = {"BOS": (187, 39), "ATL": (746, 113), "MIA": (1_089, 153), "DTW": (488, 85)}


def flights(rows: int = 620, month: str = "2013-01", **changes: Any) -> pd.DataFrame:
    """A month of flights, spread evenly over its days; `changes` replace columns, as in `assign`.

    A changed delay or clock time moves the instants that follow from it. Every 50th is cancelled.
    """
    chance = np.random.default_rng(int(month[-2:]))
    number = np.arange(rows)
    dest = np.array(list(ROUTES))[number % len(ROUTES)]
    distance, air_time = np.array([ROUTES[name] for name in dest]).T
    hour, minute = 6 + number % 15, 5 * (number % 12)
    cancelled = number % 50 == 7
    dep_delay = np.where(cancelled, np.nan, np.round(chance.exponential(20, rows)) - 8)
    # In the air as long as ever: what is made up is made up on the ground, 40 minutes of it.
    arr_delay = dep_delay + np.round(chance.normal(-6, 8, rows)).clip(-30, 60)
    took_off, due = _hhmm(hour, minute, dep_delay), _hhmm(hour, minute, air_time + 40)
    landed = _hhmm(hour, minute, air_time + 40 + arr_delay)
    frame = pd.DataFrame(
        {
            "year": int(month[:4]),
            "month": int(month[-2:]),
            "day": 1 + number * pd.Period(month, freq="M").days_in_month // rows,
            "dep_time": took_off,
            "sched_dep_time": hour * 100 + minute,
            "dep_delay": dep_delay,
            "arr_time": np.where(cancelled, np.nan, landed),
            "sched_arr_time": due.astype("int64"),
            "arr_delay": arr_delay,
            "carrier": np.array(CARRIERS)[number % len(CARRIERS)],
            "flight": 1 + number,
            "tailnum": np.where(
                cancelled, None, np.char.add("N", (100 + number % 97).astype("str"))
            ),
            "origin": np.array(["EWR", "JFK", "LGA"])[number // 7 % 3],
            "dest": dest,
            "air_time": np.where(cancelled, np.nan, air_time),
            "distance": distance,
            "hour": hour,
            "minute": minute,
        }
    ).assign(**{name: to for name, to in changes.items() if not name.endswith("_utc")})
    frame = frame.astype(dict.fromkeys(["carrier", "tailnum", "origin", "dest"], "object"))
    zones = dict.fromkeys([*ROUTES, *frame["dest"].unique()], "America/New_York")
    frame = with_instants(frame.assign(time_hour=""), zones)
    return frame.assign(
        time_hour=frame["sched_dep_utc"].dt.floor("h").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **{name: to for name, to in changes.items() if name.endswith("_utc")},
    )


def _hhmm(hour: np.ndarray, minute: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Clock times so many minutes after others, as the published tables write them."""
    total = (hour * 60.0 + minute + later) % (24 * 60)
    clock_time = total // 60 * 100 + total % 60
    return np.where(clock_time == 0, 2400, clock_time)


def weather(month: str = "2013-01", **changes: Any) -> pd.DataFrame:
    """A month of hourly weather at the three origins; `changes` replace columns, as in `assign`."""
    first = pd.Timestamp(f"{month}-01", tz="America/New_York")
    hours = pd.date_range(first, first + pd.offsets.MonthBegin(1), freq="h", inclusive="left")
    count = len(hours)
    local = pd.DatetimeIndex(np.tile(hours, 3)).as_unit("us")
    number = np.arange(3 * count)
    apart = np.repeat([-0.5, 0.0, 0.5], count)
    sun = np.tile(solar_hour(hours.tz_convert("UTC")), 3)
    front = np.tile(np.random.default_rng(int(month[-2:])).normal(0, 0.6, count).cumsum(), 3)
    temp = 35.0 + 5 * np.cos(2 * np.pi * (sun - 14.1) / 24) + apart + 0.01 * (number % count % 7)
    dewp = 25.0 + apart
    pressure = 1_010.0 + front + 0.6 * np.cos(4 * np.pi * (sun - 8.6) / 24)
    return pd.DataFrame(
        {
            "origin": np.repeat(np.array(["EWR", "JFK", "LGA"], dtype="object"), count),
            "year": local.year.astype("int64"),
            "month": local.month.astype("int64"),
            "day": local.day.astype("int64"),
            "hour": local.hour.astype("int64"),
            "temp": temp,
            "dewp": dewp,
            "humid": relative_humidity(pd.Series(temp), pd.Series(dewp)).to_numpy(),
            "wind_dir": 10.0 * (number % 36),
            "wind_speed": 5.0 + number % count % 15,
            "wind_gust": np.where(number % 5 == 0, 25.0, np.nan),
            "precip": 0.0,
            "pressure": np.where(number % 9 == 0, np.nan, pressure),
            "visib": 10.0,
            "time_hour": local.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ").astype("object"),
            "observed_utc": local.tz_convert("UTC"),
        }
    ).assign(**changes)


def feature_rows(
    rows: int = 3_120, first: str = "2013-01-08", days: int = 52, seed: int = 0, **changes: Any
) -> pd.DataFrame:
    """A table of feature rows with a planted signal; `changes` replace columns, as in `assign`.

    Two thresholds make a flight late, which trees find and a line does not: the whole system late,
    on some days far more than on others, and the flight's own aircraft late. Every other input is
    noise, and flights later in the day are late a little more often.
    """
    chance = np.random.default_rng(seed)
    day = pd.Timestamp(first) + pd.to_timedelta(np.arange(rows) * days // rows, unit="D")
    hour = 6 + np.arange(rows) % 15
    at = (day + pd.to_timedelta(hour, unit="h")).tz_localize("America/New_York").tz_convert("UTC")
    predict_at = at - pd.Timedelta(hours=2)
    known = {name: predict_at - pd.Timedelta(minutes=30) for name in KNOWN_AT}
    bad_day = np.repeat(chance.random(days) < 0.3, np.bincount(np.arange(rows) * days // rows))
    inputs = {name: chance.random(rows) for name in NUMERIC}
    inputs |= {
        "sched_minute": hour * 60,
        "day_of_week": day.dayofweek,
        "system_dep_late_3h": 0.6 * inputs["system_dep_late_3h"] + 0.3 * bad_day,
        "aircraft_arr_delay": np.where(
            chance.random(rows) < 0.4, np.nan, 200 * inputs["aircraft_arr_delay"] - 60
        ),
    }
    storm, behind = inputs["system_dep_late_3h"] > 0.45, inputs["aircraft_arr_delay"] > 60
    risk = 0.04 + 0.002 * hour + 0.55 * storm + 0.35 * behind
    known["aircraft_known_at"] = known["aircraft_known_at"].where(
        ~np.isnan(inputs["aircraft_arr_delay"])
    )
    return pd.DataFrame(
        {
            "year": day.year,
            "month": day.month,
            "day": day.day,
            "carrier": np.array([*CARRIERS, "VX", "HA"])[chance.integers(0, 11, rows)],
            "flight": 1 + np.arange(rows),
            "origin": np.array(["EWR", "JFK", "LGA"])[chance.integers(0, 3, rows)],
            "dest": np.array(list(ROUTES))[chance.integers(0, 4, rows)],
            "tailnum": np.char.add("N", (100 + np.arange(rows) % 97).astype("str")),
            "sched_dep_utc": at,
            "predict_at": predict_at,
            "sched_hour": hour,
            "late": (chance.random(rows) < risk).astype("int8"),
            "late_known_at": at + pd.Timedelta(hours=3),
            **known,
            **{name: np.asarray(values, dtype="float32") for name, values in inputs.items()},
        }
    ).assign(**changes)


def check(name: str = "a check", **changes: Any) -> Check:
    """A check of the gate that passed and could have refused."""
    whole = {"passed": True, "blocking": True, "found": -0.1, "limit": 0.0, "detail": "as it is"}
    whole |= {"kind": Kind.EVIDENCE}
    return Check(name=name, **whole | changes)


def compared(kind: Kind, name: str, interval: tuple[float, float, float], limit: float) -> Check:
    """A blocking comparison of losses, judged by its point; `interval` is point, low, high."""
    point, low, high = interval
    of = Estimate(point=point, low=low, high=high, days=14)
    return at_most(kind, name, point, limit, str(of), of)


def verdict(**changes: Any) -> Verdict:
    """A passed verdict on a first challenger; with other checks it says what they say."""
    checks = changes.get("checks", [check()])
    whole = {
        "challenger": "c" * 64,
        "judged": "c" * 64,
        "champion": None,
        "kind": "first",
        "window": "2013-03-01..2013-03-31",
    }
    whole |= {"rows": 1_860, "days": 31, "checks": checks, "passed": decide(checks)}
    whole |= {"config_hash": "a" * 64, "features_hash": "b" * 64, "predictions_hash": "d" * 64}
    return Verdict.model_validate(whole | changes)


def training(**changes: Any) -> Training:
    """What train says about a model."""
    whole: dict[str, Any] = {
        "digest": "c" * 64,
        "candidate": "c" * 64,
        "candidate_window": "2013-01-08..2013-02-28",
        "recipe": "9" * 64,
        "baselines": {"logistic": "a" * 64, "hour_rate": "b" * 64},
        "window": "2013-01-08..2013-02-28",
        "rows": 3_120,
        "positives": 900,
        "features": FEATURES,
        "feature_service": "flight_delay-0123456789ab",
        "parity": {"model": 1e-7, "logistic": 1e-7, "hour_rate": 0.0},
        "predictions_hash": "d" * 64,
        "data_hash": "e" * 64,
        "config_hash": "f" * 64,
        "seed": 0,
        "threads": 1,
    }
    return Training.model_validate(whole | changes)
