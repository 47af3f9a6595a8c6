"""Consistency of flights: with their own columns, the day's other flights, and other months.

A limit on a column or a month misses a fault that keeps the column's distribution, such as two
carriers with swapped names, or one that lasts for a few days. So each row is compared with itself,
and each day, origin and part of the day with the others. A measure is NaN where there are too few
flights, or no other month to compare with.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

MIN_FLIGHTS = 25
"""The fewest flights for a share or a median."""
MIN_DAYS = 7
"""The fewest days for a month's usual volume."""
FIRST_HOURS = [0, 9, 13, 17, 21]
"""The first hour of each part of the day."""


def group_value(
    values: pd.Series, keys: list[pd.Series], how: Literal["mean", "median"], least: int
) -> pd.Series:
    """The mean or median of each row's group; NaN where fewer than `least` rows have a value."""
    group = values.groupby(keys)
    return pd.Series(group.transform(how).where(group.transform("count") >= least))


_each = partial(group_value, least=MIN_FLIGHTS)
_ROUTE = ["origin", "dest"]
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class OtherMonths:
    """The other months' aircraft, routes and flight numbers, with usual distances and air times."""

    aircraft: set[tuple[str, str]]
    routes: set[tuple[str, str, str]]
    numbers: set[tuple[str, int, str, str]]
    distance: pd.Series
    air_time: pd.Series

    @classmethod
    def for_month(
        cls, month: str, flights: Mapping[str, pd.DataFrame], reference: Iterable[str]
    ) -> "OtherMonths | None":
        """The reference months and all months before a month, without the month itself."""
        always = set(reference)
        return cls.from_months(
            rows
            for other, rows in flights.items()
            if other != month and (other in always or other < month)
        )

    @classmethod
    def from_months(cls, months: Iterable[pd.DataFrame]) -> "OtherMonths | None":
        """Summarize the flights of several months; None if there are none."""
        tables = list(months)
        if not tables:
            return None
        by_route = [rows.groupby(_ROUTE)[["distance", "air_time"]].median() for rows in tables]
        usual = pd.concat(by_route).groupby(level=_ROUTE).median()
        return cls(
            aircraft=_pairs(tables, ["tailnum", "carrier"]),
            routes=_pairs(tables, ["carrier", *_ROUTE]),
            numbers=_pairs(tables, ["carrier", "flight", *_ROUTE]),
            distance=usual["distance"],
            air_time=usual["air_time"],
        )


def _pairs(tables: list[pd.DataFrame], columns: list[str]) -> set[tuple]:  # type: ignore[type-arg]
    each = [rows[columns].dropna().drop_duplicates() for rows in tables]
    return set(pd.concat(each).itertuples(index=False, name=None))


def flight_measures(rows: pd.DataFrame, known: OtherMonths | None) -> dict[str, pd.Series]:
    """All consistency measures, a column each; those that need other months only if `known`."""
    return row_measures(rows, known) | day_measures(rows, known) | volumes(rows)


def row_measures(rows: pd.DataFrame, known: OtherMonths | None) -> dict[str, pd.Series]:
    """Gaps between columns of the same flight, in minutes, hours and miles."""
    published = pd.to_datetime(rows["time_hour"], utc=True, errors="coerce")
    early = published - rows["sched_dep_utc"].dt.floor("h")
    there = (rows["arr_utc"] - rows["dep_utc"]).dt.total_seconds() / 60
    gaps = {
        "sched_clock_gap": rows["sched_dep_time"] - 100 * rows["hour"] - rows["minute"],
        "dep_clock_gap": _clock_gap(rows, "dep"),
        "arr_clock_gap": _clock_gap(rows, "arr"),
        "time_hour_gap": early.dt.total_seconds() / 3600,
        "ground_minutes": there - rows["air_time"],
    }
    if known is not None:
        gaps["distance_gap"] = rows["distance"] - _usual_of_route(rows, known.distance)
    return gaps


def _clock_gap(rows: pd.DataFrame, side: str) -> pd.Series:
    """Actual clock time less scheduled time and delay, at most half a day either way."""
    actual, scheduled = (_minutes(rows[name]) for name in (f"{side}_time", f"sched_{side}_time"))
    gap = actual - scheduled - rows[f"{side}_delay"]
    return (gap + _DAY_MINUTES / 2) % _DAY_MINUTES - _DAY_MINUTES / 2


def _minutes(clock_time: pd.Series) -> pd.Series:
    return clock_time // 100 * 60 + clock_time % 100


def _usual_of_route(rows: pd.DataFrame, usual: pd.Series) -> pd.Series:
    names = pd.MultiIndex.from_frame(rows[_ROUTE])
    return pd.Series(usual.reindex(names).to_numpy(), index=rows.index)


def day_measures(rows: pd.DataFrame, known: OtherMonths | None) -> dict[str, pd.Series]:
    """Shares, medians and ranks of each flight's day, which a sound day keeps within limits."""
    both = rows["arr_delay"] - rows["dep_delay"]
    late, left_late = rows["arr_delay"] >= 15, rows["dep_delay"] >= 15
    agrees = (late == left_late).astype("float64").where(both.notna())
    diverted = rows["arr_delay"].isna().astype("float64").where(rows["dep_delay"].notna())
    origin_day = [rows["origin"], rows["day"]]
    shares = {
        "minutes_made_up": _each(both, origin_day, "median"),
        "late_both_ways": _each(agrees, origin_day, "mean"),
        "delay_rank_correlation": _rank_correlation(rows),
        "diverted_that_day": _each(diverted, origin_day, "mean"),
        "same_as_another_day": _each(_is_repeated(rows), [rows["day"]], "mean"),
        "aircraft_elsewhere": _each(_is_overlapping(rows), [rows["day"]], "mean"),
    }
    return shares | ({} if known is None else _against_other_months(rows, known))


def _against_other_months(rows: pd.DataFrame, known: OtherMonths) -> dict[str, pd.Series]:
    day = [rows["day"]]
    aircraft = _is_in(rows, ["tailnum", "carrier"], known.aircraft)
    flown_before = rows["tailnum"].isin({tail for tail, _ in known.aircraft})
    lone = ~_is_in(rows, ["carrier", "flight", *_ROUTE], known.numbers)
    days = rows.groupby(["carrier", "flight", *_ROUTE])["day"].transform("nunique")
    ratio = rows["air_time"] / _usual_of_route(rows, known.air_time)
    new = ~_is_in(rows, ["carrier", *_ROUTE], known.routes)
    others = (flown_before & ~aircraft).astype("float64")
    return {
        "aircraft_of_others": _each(others, day, "mean"),
        "aircraft_of_others_by_carrier": _each(others, [rows["carrier"]], "mean"),
        "routes_not_known": _each(new.astype("float64"), day, "mean"),
        "flight_numbers_not_known": _each((lone & (days < 2)).astype("float64"), day, "mean"),
        "air_time_ratio": _each(ratio, day, "median"),
    }


def _is_in(rows: pd.DataFrame, columns: list[str], known: set) -> pd.Series:  # type: ignore[type-arg]
    keys = rows[columns].itertuples(index=False, name=None)
    return pd.Series([key in known for key in keys], index=rows.index, dtype=bool)


def _rank_correlation(rows: pd.DataFrame) -> pd.Series:
    """Spearman's rank correlation of departure and arrival delays on each day."""
    flown = rows.dropna(subset=["dep_delay", "arr_delay"])
    ranks = flown.groupby("day")[["dep_delay", "arr_delay"]].rank().assign(day=flown["day"])
    found = {
        day: group["dep_delay"].corr(group["arr_delay"])
        for day, group in ranks.groupby("day")
        if len(group) >= MIN_FLIGHTS
    }
    return rows["day"].map(found).astype("float64")


def _is_repeated(rows: pd.DataFrame) -> pd.Series:
    """Whether a flight has the same departure, arrival and air time on another day."""
    columns = ["carrier", "flight", *_ROUTE, "dep_time", "arr_time", "air_time"]
    flown = rows["air_time"].notna()
    twice = rows.duplicated(columns, keep=False) & ~rows.duplicated([*columns, "day"], keep=False)
    return twice.astype("float64").where(flown)


def _is_overlapping(rows: pd.DataFrame) -> pd.Series:
    """Whether an aircraft departed before it landed from its previous flight."""
    flown = rows.dropna(subset=["tailnum", "dep_utc", "arr_utc"]).sort_values(
        ["tailnum", "dep_utc"], kind="stable"
    )
    landed = flown.groupby("tailnum")["arr_utc"].shift()
    return (flown["dep_utc"] < landed).astype("float64").reindex(rows.index)


def volumes(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Flights of an origin, and of a part of its day, as shares of the month's usual number."""
    part = pd.Series(np.searchsorted(FIRST_HOURS, rows["hour"], side="right"), index=rows.index)
    found = {"origin_volume": _volume(rows, [rows["origin"]], 1)}
    for days in (1, 3, 7):
        found[f"part_of_day_volume_{days}"] = _volume(rows, [rows["origin"], part], days)
    return found


def _volume(rows: pd.DataFrame, cell: list[pd.Series], days: int) -> pd.Series:
    """The lowest share of any cell on each row's day, averaged over so many days up to it.

    The lowest, since a cell without flights has no row of its own.
    """
    every = range(1, int(rows["day"].max()) + 1)
    table = rows.groupby([rows["day"], *cell]).size().unstack(list(range(1, len(cell) + 1)))
    table = table.reindex(every).fillna(0).reset_index(drop=True)
    usual = table.median()
    seen = table.loc[:, usual >= 15]
    if len(table) < MIN_DAYS or seen.empty:
        return pd.Series(np.nan, index=rows.index)
    share = (seen.rolling(days).mean() / usual[seen.columns]).min(axis=1)
    return rows["day"].map(dict(zip(every, share, strict=True)))
