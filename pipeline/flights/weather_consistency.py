"""Consistency of weather: with physics, the hours before, the other origins, and the sun.

Data shifted by an hour hold no impossible value and keep their distribution. But pressure falls at
all origins in the same hour, so one origin's shift shows within days. Where all origins shift
together, two clocks remain: the daily temperature wave, and the pressure tide twice a day. A
measure is NaN where there are too few hours.
"""

from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.flights.flight_consistency import group_value

_HOUR = pd.Timedelta(hours=1)
_VALUES = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure", "visib"]
_COMPARED = ("temp", "dewp", "humid", "pressure", "wind_speed")
MIN_HOURS = 12
"""The fewest hours of a day for a median, a share or a sum of squares."""
_each = partial(group_value, least=MIN_HOURS)
LONGITUDE = -74.0
STEP_DAYS, CLOCK_DAYS = 3, 15
"""Days over which origins are compared in step, and over which the sun's clock is read."""


def weather_measures(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """All consistency measures of a month of weather, a column each."""
    return _row_measures(rows) | weather_day_measures(rows)


def _row_measures(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Gaps between columns of the same observation."""
    local = rows["observed_utc"].dt.tz_convert("America/New_York")
    published = pd.to_datetime(rows["time_hour"], utc=True, errors="coerce")
    return {
        "local_hour_gap": rows["hour"] - local.dt.hour + 24 * (rows["day"] - local.dt.day),
        "time_hour_gap": (published - rows["observed_utc"]).dt.total_seconds() / 3600,
        "gust_above_wind": rows["wind_gust"] - rows["wind_speed"],
        "temp_above_dewp": rows["temp"] - rows["dewp"],
    }


def weather_day_measures(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Shares and medians of each observation's day and origin, kept in limits by a sound day."""
    origin_day = [rows["origin"], rows["day"]]
    off = (rows["humid"] - relative_humidity(rows["temp"], rows["dewp"])).abs()
    missing = {
        f"{name}_missing": rows[name].isna().groupby(origin_day).transform("mean")
        for name in ("temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
    }
    shares = {
        "humidity_of_dew_point": _each(off, origin_day, "median"),
        "same_as_hour_before": _repeats_hour_before(rows),
        "same_as_day_before": _repeats_day_before(rows, origin_day),
        "origin_out_of_step": _out_of_step(rows),
        "rain_in_dry_air": _rain_in_dry_air(rows),
        "hours_off_the_sun": _hours_off_the_sun(rows),
    }
    return shares | missing | _distances(rows, origin_day) | _steps(rows)


def relative_humidity(temp: pd.Series, dewp: pd.Series) -> pd.Series:
    """Per cent, from degrees Fahrenheit: Magnus' formula, the constants of Alduchov (1996)."""
    air, dew = ((value - 32) / 1.8 for value in (temp, dewp))
    return pd.Series(100 * np.exp(17.625 * dew / (243.04 + dew) - 17.625 * air / (243.04 + air)))


def _by_hour(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """One column of each origin by the hour, without gaps in the hours."""
    first = rows.drop_duplicates(["observed_utc", "origin"])
    table = first.pivot(index="observed_utc", columns="origin", values=column)
    return table.reindex(pd.date_range(table.index.min(), table.index.max(), freq=_HOUR))


def _repeats_hour_before(rows: pd.DataFrame) -> pd.Series:
    """Hours of a day in which every origin repeats all values of the hour before."""
    same = pd.DataFrame()
    for name in _VALUES:
        table = _by_hour(rows, name)
        before = table.shift(1)
        equal = (table == before) | (table.isna() & before.isna())
        same = equal if same.empty else same & equal
    there = _by_hour(rows, "day").notna()
    said = same & there & there.shift(1, fill_value=False)
    all_said = (said.sum(axis=1) >= len(said.columns)).astype("float64")
    return rows["day"].map(_by_day(all_said.to_frame(), "sum", least=1)[0])


def _by_day(by_hour: pd.DataFrame, how: Literal["sum", "mean"], least: int) -> pd.DataFrame:
    """The hours aggregated by day, without gaps; NaN where fewer than `least` have a value."""
    group = by_hour.groupby(pd.DatetimeIndex(by_hour.index).tz_convert("America/New_York").day)
    days = group.agg(how).where(group.count() >= least)
    return days.reindex(range(1, int(days.index.max()) + 1))


def _repeats_day_before(rows: pd.DataFrame, keys: list[pd.Series]) -> pd.Series:
    """The share of an origin's hours that repeat temperature and dew point of the day before."""
    columns = ["origin", "observed_utc", "temp", "dewp"]
    before = rows[columns].drop_duplicates(columns[:2])
    before = before.assign(observed_utc=before["observed_utc"] + 24 * _HOUR)
    both = rows[columns].merge(before, on=columns[:2], how="left", suffixes=("", "_before"))
    same = (both["temp"] == both["temp_before"]) & (both["dewp"] == both["dewp_before"])
    known = both["temp_before"].notna().to_numpy()
    share = pd.Series(same.to_numpy(), index=rows.index).astype("float64").where(known)
    return _each(share, keys, "mean")


def _distances(rows: pd.DataFrame, keys: list[pd.Series]) -> dict[str, pd.Series]:
    """The distance of an origin from the median of the three, as the median hour of a day."""
    at = rows.groupby("observed_utc")
    all_there = at["origin"].transform("nunique") == 3
    apart = {}
    for name in _COMPARED:
        off = (rows[name] - at[name].transform("median")).abs().where(all_there)
        apart[f"{name}_apart"] = _each(off, keys, "median")
    return apart


def _steps(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """The absolute change of a day's mean over all origins from the day before."""
    means = rows.groupby("day")[["temp", "dewp", "pressure"]].mean()
    steps = means.reindex(range(1, int(means.index.max()) + 1)).diff().abs()
    return {f"{name}_step": rows["day"].map(steps[name]) for name in steps}


def _out_of_step(rows: pd.DataFrame) -> pd.Series:
    """Whether an origin's pressure moves with that of the others in the same hour, or in the next.

    The log of the sum of squared differences of hourly changes at no lag, over the smaller one at
    an hour's lag either way, in three days: below 0 in step, above 0 out of it.
    """
    change = _by_hour(rows, "pressure").diff()
    found = pd.Series(np.nan, index=rows.index)
    for origin in change.columns:
        others, own = change.drop(columns=origin).mean(axis=1), change[origin]
        lags = [own.shift(lag) for lag in (0, -1, 1)]
        there = others.notna() & pd.concat(lags, axis=1).notna().all(axis=1)
        squares = [((lagged - others) ** 2).where(there) for lagged in lags]
        days = _by_day(pd.concat(squares, axis=1, keys=(0, -1, 1)), "sum", least=MIN_HOURS)
        sums = days.rolling(STEP_DAYS).sum()
        # Half a squared hPa damps days on which the pressure hardly moved.
        ratio = (sums[0] + 0.5) / (sums[[-1, 1]].min(axis=1) + 0.5)
        here = rows["origin"] == origin
        found[here] = np.log(rows.loc[here, "day"].map(ratio))
    return found


def _rain_in_dry_air(rows: pd.DataFrame) -> pd.Series:
    """The share of a month's rainy hours with a relative humidity of 70 per cent or less."""
    rain = rows[(rows["precip"] > 0) & rows["humid"].notna()]
    share = (rain["humid"] <= 70).mean() if len(rain) >= MIN_HOURS else np.nan
    return pd.Series(share, index=rows.index)


def _hours_off_the_sun(rows: pd.DataFrame) -> pd.Series:
    """Hours by which the daily waves of temperature and pressure differ from the usual.

    Temperature's daily wave and pressure's half-daily one (the atmosphere's solar tide) are read by
    solar time from fifteen days up to each; the mean of both says how late the hours are.
    """
    off = [
        _hours_late(_by_hour(rows, name).mean(axis=1), waves, usual)
        for name, waves, usual in CLOCKS
    ]
    late = sum(off[1:], off[0]) / len(off)
    return rows["day"].map(late)


CLOCKS = [("temp", 1, 14.1), ("pressure", 2, 8.6)]
"""A column, its waves in a day, and the solar hour of their crest from January to June."""


def _hours_late(values: pd.Series, waves: int, usual: float) -> pd.Series:
    """Hours by which a wave's crest is later than usual, by day, over the trailing days."""
    hours = pd.DatetimeIndex(values.index)
    whole = values.interpolate(limit=6)
    slow = whole.rolling(25, center=True, min_periods=20).mean()
    turned = np.exp(2j * np.pi * waves * (solar_hour(hours) - usual) / 24)
    wave = (whole - slow).to_numpy() * turned
    parts = pd.DataFrame({"x": wave.real, "y": wave.imag}, index=hours)
    sums = (
        _by_day(parts, "mean", least=MIN_HOURS)
        .rolling(CLOCK_DAYS, min_periods=CLOCK_DAYS - 3)
        .sum()
    )
    return pd.Series(np.arctan2(sums["y"], sums["x"]) * 24 / (2 * np.pi * waves))


def solar_hour(at: pd.DatetimeIndex) -> np.ndarray:
    """Apparent solar time at New York's longitude in hours; the equation of time is Spencer's."""
    turn = 2 * np.pi * (at.dayofyear - 1) / 365.25
    minutes = 229.18 * (
        0.000075
        + 0.001868 * np.cos(turn)
        - 0.032077 * np.sin(turn)
        - 0.014615 * np.cos(2 * turn)
        - 0.040849 * np.sin(2 * turn)
    )
    return np.asarray((at.hour + at.minute / 60 + (minutes + 4 * LONGITUDE) / 60) % 24)
