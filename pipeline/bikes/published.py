"""The published hours: rentals and weather as two tables, and when each outcome became known.

The label is a count made a class: more rentals than a tenth above the usual, the mean of the last
hours of the same name on days of the same kind. The count itself follows the season and the
company's growth, which say nothing of what a dispatcher has to do differently in the next hours.
"""

import numpy as np
import pandas as pd

from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.domain import Event, Table, Tables
from pipeline.shared.minutes import NEVER, instants, minutes
from pipeline.shared.source import PublishedColumns, locate, parse_published, read_pinned

PUBLISHED_FILE, _YEAR, ZONE = "Bikeshare.csv", "2011", "America/New_York"
LABEL, PROXY = "busy", "members_busy"
"""More rentals than usual, of all and of members alone."""
_COLUMNS = PublishedColumns(
    names=(
        "season mnth day hr holiday weekday workingday weathersit temp atemp hum windspeed "
        "casual registered bikers"
    ).split(),
    text=frozenset({"mnth", "weathersit"}),
    whole=frozenset("season day hr holiday weekday workingday casual registered bikers".split()),
)
SKY = {"clear": 0.0, "cloudy/misty": 1.0, "light rain/snow": 2.0, "heavy rain/snow": 3.0}
WEATHER_VALUES = ["temp", "hum", "windspeed", "temp_change_3h"]
USUAL_HOURS, LEAST_HOURS, MORE_THAN_USUAL = 15, 5, 1.1
SETTLED_HOURS = 29
"""Counts are settled at 05:00 of the next day; a member's card is read at the dock at once."""
_WHOLE = dict.fromkeys(["year", "month", "day", "hour"], "int64")
BIKES = Table(
    name="bikes",
    noun="hours of rentals",
    key=["year", "month", "day", "hour"],
    instant="starts_utc",
    types=_WHOLE
    | dict.fromkeys(["holiday", "weekday", "workingday", "casual", "registered", "bikers"], "int64")
    | {"usual": "float64", "usual_members": "float64", "starts_utc": "datetime64[us, UTC]"},
    never_null=["starts_utc"],
    compared=True,
)
WEATHER_TABLE = Table(
    name="weather",
    noun="hours of weather",
    key=["year", "month", "day", "hour"],
    instant="observed_utc",
    types=_WHOLE
    | {"weathersit": "object"}
    | dict.fromkeys(["temp", "hum", "windspeed"], "float64")
    | {"observed_utc": "datetime64[us, UTC]"},
    never_null=["weathersit", "observed_utc"],
)


def read_source(config: IngestConfig) -> Tables:
    """The published hours as rentals and weather, with instants in UTC and the usual counts."""
    content = read_pinned(locate(config.source), PUBLISHED_FILE, config.files[PUBLISHED_FILE])
    rows = parse_published(PUBLISHED_FILE, content, _COLUMNS)
    rows = rows.rename(columns={"day": "day_of_year", "hr": "hour"})
    date = pd.to_datetime(rows["day_of_year"].map(lambda day: f"{_YEAR}-{day:03d}"), format="%Y-%j")
    local = (date + pd.to_timedelta(rows["hour"], unit="h")).astype("datetime64[us]")
    first = np.ones(len(rows), dtype=bool)
    starts = local.dt.tz_localize(ZONE, ambiguous=first, nonexistent="shift_forward")
    rows = rows.assign(
        **{part: getattr(date.dt, part).astype("int64") for part in ("year", "month", "day")},
        starts_utc=starts.dt.tz_convert("UTC"),
        observed_utc=starts.dt.tz_convert("UTC"),
    ).sort_values(BIKES.key, kind="stable", ignore_index=True)
    rows = rows.assign(usual=_usual(rows, "bikers"), usual_members=_usual(rows, "registered"))
    return {table.name: rows[list(table.types)] for table in (BIKES, WEATHER_TABLE)}


def _usual(rows: pd.DataFrame, count: str) -> pd.Series:
    """The mean of the last same hours on days of the same kind, without the hour itself."""
    same = rows.groupby(["hour", "workingday"])[count]
    return same.transform(lambda of: of.rolling(USUAL_HOURS, LEAST_HOURS).mean().shift())


def outcomes(bikes: pd.DataFrame) -> dict[str, Event]:
    """The four outcomes of hours: members' when the hour ends, all rentals' the next morning."""
    ends = minutes(bikes["starts_utc"]) + 60
    settled = minutes(settled_at(bikes))
    found = {}
    for name, count, usual, known in (
        (PROXY, "registered", "usual_members", ends),
        (LABEL, "bikers", "usual", settled),
    ):
        ratio = (bikes[count] / bikes[usual]).to_numpy("float64")
        at = np.where(np.isnan(ratio), NEVER, known)
        found[name] = Event((ratio > MORE_THAN_USUAL).astype("float64"), at)
        found[f"{name}_ratio"] = Event(np.nan_to_num(np.minimum(ratio, 10.0)), at)
    return found


def settled_at(rows: pd.DataFrame) -> pd.Series:
    """The instant at which the count of each hour is settled."""
    midnight = rows["starts_utc"].dt.tz_convert(ZONE).dt.normalize().dt.tz_convert("UTC")
    return pd.Series(midnight + pd.Timedelta(hours=SETTLED_HOURS))


def requests(bikes: pd.DataFrame, config: FeaturesConfig, zone: str = ZONE) -> pd.DataFrame:
    """One row per hour: key, `predict_at`, what its date says, outcomes."""
    local, known = bikes["starts_utc"].dt.tz_convert(zone), outcomes(bikes)
    return bikes[[*BIKES.key, "starts_utc"]].assign(
        predict_at=bikes["starts_utc"] - pd.Timedelta(minutes=config.horizon_minutes),
        sched_hour=local.dt.hour.astype("int64"),
        hour_of_day=local.dt.hour.astype("int64"),
        day_of_week=local.dt.dayofweek.astype("int64"),
        holiday=bikes["holiday"],
        day_kind=np.where(bikes["workingday"] == 1, "working", "free"),
        **{name: known[name].value.astype("int8") for name in (LABEL, PROXY)},
        **{f"{name}_known_at": instants(known[name].known).array for name in (LABEL, PROXY)},
    )


def observations(_: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """The raw weather, each hour with the minute at which it is available."""
    return weather.assign(available_at=minutes(weather["observed_utc"]) + 61)


def weather_rows(weather: pd.DataFrame) -> pd.DataFrame:
    """One row per hour of the city, known when the hour ends; the sky as a number."""
    known = minutes(weather["observed_utc"]) + 60
    frame = weather.assign(known_at=known, sky=weather["weathersit"].map(SKY))
    frame = frame.sort_values("known_at").drop_duplicates("known_at", keep="last")
    before = frame[["known_at", "temp"]].assign(known_at=frame["known_at"] + 180)
    frame = frame.merge(before, "left", "known_at", suffixes=("", "_before"))
    return frame.assign(
        entity=pd.Categorical(["all"] * len(frame)),
        available_at=frame["known_at"] + 1,
        temp_change_3h=frame["temp"] - frame["temp_before"],
    )[["entity", "known_at", "available_at", "sky", *WEATHER_VALUES]]
