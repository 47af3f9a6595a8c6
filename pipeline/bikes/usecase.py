"""The use case "bikes", stated for the stages: T is the hour's beginning - horizon."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipeline.bikes import WORDS, published
from pipeline.bikes.published import LABEL, PROXY
from pipeline.shared import domain as of
from pipeline.shared.config.evaluate import SliceRule
from pipeline.shared.config.sections import Positive, Range, Share
from pipeline.shared.config.validate import ValidateConfig
from pipeline.shared.minutes import EPOCH
from pipeline.shared.replay_plan import Story

_SPANS = {
    "system": {PROXY: [3, 24], f"{PROXY}_ratio": [3, 24], LABEL: [48, 168]},
    "hour": {PROXY: [168], LABEL: [168, 672]},
    "kind_of_hour": {f"{PROXY}_ratio": [336], LABEL: [672]},
}
ROLLING = [
    of.Rolling(view, value, hours)
    for view, values in _SPANS.items()
    for value, spans in values.items()
    for hours in spans
]
WEATHER = ["sky", *published.WEATHER_VALUES]
REQUEST = ["hour_of_day", "day_of_week", "holiday"]


class BikeLimits(ValidateConfig):
    """The limits in the rules that a month of rentals and weather must pass."""

    hours_a_day: Range
    max_hours_to_month_end: Positive
    max_busy_share: Share
    bike_ranges: dict[str, Range]
    weather_ranges: dict[str, Range]
    max_divergence: dict[str, Positive]
    unseen_share: float = Field(gt=0, lt=1)
    max_mean_shift: dict[str, Positive]
    max_spread_ratio: float = Field(gt=1)


def _rules() -> of.DataRules:
    from pipeline.bikes import rules  # its tool takes seconds to load

    return rules


def names(rows: pd.DataFrame) -> pd.Series:
    """The names of hours: "2011-07-04/17", with Washington's date."""
    local = rows["starts_utc"].dt.tz_convert(published.ZONE)
    return pd.Series(local.dt.strftime("%Y-%m-%d/%H"), rows.index, dtype="object")


class Hour(BaseModel):
    """One hour, by its beginning, and whether it is of a holiday."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    starts: Annotated[AwareDatetime, Field(examples=["2011-08-03T17:00-04:00"])]
    holiday: bool = False


class Hours(BaseModel):
    """The body of `/predict`: one hour or more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours: Annotated[list[Hour], Field(min_length=1)]


def _local(hour: Hour) -> datetime:
    return hour.starts.astimezone(ZoneInfo(published.ZONE))


def hour_name(hour: Hour) -> str:
    """The hour's name, as in the request log."""
    return f"{_local(hour):%Y-%m-%d/%H}"


def rows(hours: Sequence[Hour], horizon_minutes: int) -> dict[str, list[Any]]:
    """Hours as the store's columns: keys, REQUEST, `predict_at`."""
    local = [_local(hour) for hour in hours]
    free = [at.weekday() > 4 or hour.holiday for at, hour in zip(local, hours, strict=True)]
    return {
        "system": ["all"] * len(local),
        "sched_hour": [at.hour for at in local],
        "day_kind": ["free" if one else "working" for one in free],
        "hour_of_day": [at.hour for at in local],
        "day_of_week": [at.weekday() for at in local],
        "holiday": [int(hour.holiday) for hour in hours],
        "predict_at": [(at - EPOCH) // pd.Timedelta("1min") - horizon_minutes for at in local],
    }


def slices(frame: pd.DataFrame, rule: SliceRule) -> dict[str, np.ndarray]:
    """A mask for each critical slice: kinds of days, parts of the day, the sky."""
    masks = {f"{kind} day": frame["day_kind"] == kind for kind in ("working", "free")}
    for first, end in zip(rule.hour_bands, [*rule.hour_bands[1:], 24], strict=True):
        masks[f"hour {first:02d}-{end - 1:02d}"] = frame["sched_hour"].between(first, end - 1)
    masks |= {"dry": frame["sky"] < 2, "wet": frame["sky"] >= 2}
    return {name: mask.to_numpy() for name, mask in masks.items() if mask.any()}


USECASE = of.UseCase(
    name="bikes",
    words=WORDS,
    card="bikes/bike_card.md",
    question="The risk, two hours before an hour begins, that it is busier than usual.",
    zone=published.ZONE,
    begins="2011-01-01",
    ends="2012-01-01",
    events=published.BIKES,
    context=published.WEATHER_TABLE,
    read_source=published.read_source,
    limits=BikeLimits,
    rules=_rules,
    features=of.Features(
        service="busy_hours",
        label=LABEL,
        proxy=PROXY,
        values=[PROXY, LABEL, f"{PROXY}_ratio", f"{LABEL}_ratio"],
        entities={"system": [], "hour": ["sched_hour"], "kind_of_hour": ["day_kind", "sched_hour"]},
        rolling=ROLLING,
        states=[
            of.State(
                view="weather",
                keys=[],
                columns=WEATHER,
                features=WEATHER,
                expires={"weather_known_at": WEATHER},
                rows=lambda _, weather: published.weather_rows(weather),
                pushed=of.Pushed(published.observations, published.weather_rows, lookback=240),
            )
        ],
        request=REQUEST,
        schedule=REQUEST,
        numeric=[*REQUEST, *WEATHER, *(rolling.name for rolling in ROLLING)],
        one_hot={"day_is_working": ("day_kind", "working")},
        always_there={"system", "hour", "weather"},
        monotone={"sky": -1, "windspeed": -1}
        | {r.name: 1 for r in ROLLING if r.view == "system" and r.hours <= 24},
        ranges={r.name: (0.0, 1.0) for r in ROLLING if r.value in (LABEL, PROXY)}
        | {"hour_of_day": (0.0, 23.0), "day_of_week": (0.0, 6.0), "holiday": (0.0, 1.0)}
        | {"sky": (0.0, 3.0), "temp": (0.0, 1.0), "hum": (0.0, 1.0), "windspeed": (0.0, 1.0)},
        whole_numbers={"sched_hour"},
        outcomes=published.outcomes,
        requests=published.requests,
    ),
    request=of.Request(Hour, Hours, hour_name, rows, columns={"starts": "starts_utc"}),
    monitored=of.Monitored(
        schedule=["day_kind", "starts_utc", "sched_hour"],
        categories=["day_kind"],
        groups={"weather": WEATHER},
        alarming=["static"],
        unseen=["day_kind"],
        known={"day_kind": ["working", "free"]},
        steady=["hum"],
        required=["starts_utc", "sky", "day_kind"],
        name_pattern=r"\d{4}-\d\d-\d\d/\d\d",
        deadline=published.settled_at,
        label_group=lambda names: names.str[11:],
    ),
    name_of=lambda row: f"the hour from {row['starts_utc']:%Y-%m-%d %H:%M}Z",
    names_of=names,
    slices=slices,
    identifiers=["day", "month"],
    story=Story(
        until=("2011-11-20", "2011-12-11"),
        max_age_days=150,
        bad_month="2011-12",
        fault="a month in degrees Celsius",
        file=published.PUBLISHED_FILE,
        month=("mnth", "Dec"),
        column="temp",
        spoil=lambda share: f"{float(share) * 41:.2f}",
        evening=("hour_of_day", 17),
    ),
)
