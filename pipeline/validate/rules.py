"""The rules that a month of data must pass, as Great Expectations expectations.

Each rule names its action. `refuse`: the month is not what it claims to be, so none of its rows can
be trusted. `quarantine`: single rows are wrong, and the month is good without them. Limits are in
configs/validate.yaml; the columns and their types are in snapshot_schema.py.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from pipeline.features.definitions import CARRIERS, ORIGINS
from pipeline.shared import clock
from pipeline.shared.config.sections import Range
from pipeline.shared.config.validate import ValidateConfig
from pipeline.shared.contracts import FLIGHT_KEY, WEATHER_KEY
from pipeline.shared.expectations import Column, Rules, gxe, quarantine, refuse
from pipeline.validate import flight_consistency, weather_consistency
from pipeline.validate.flight_consistency import OtherMonths


def add_measures(table: str, rows: pd.DataFrame, known: OtherMonths | None = None) -> pd.DataFrame:
    """Add the columns that the rules on volume, lateness and consistency need."""
    if table == "flights":
        added = {
            "late": ((rows["arr_delay"] >= 15) | rows["arr_delay"].isna()).astype("float64"),
            "flights_that_day": rows.groupby("day")["day"].transform("size"),
            **flight_consistency.measures(rows, known),
        }
    else:
        date = pd.to_datetime(rows[["year", "month", "day"]], errors="coerce")
        origin_day = rows["origin"] + " " + rows["day"].astype("str")
        added = {
            "hours_that_day": rows.groupby(["origin", "day"])["day"].transform("size"),
            # The last day may be short or absent: rule `fresh` limits by how much.
            "origin_day": origin_day.mask(date.dt.is_month_end),
            **weather_consistency.measures(rows),
        }
    # The copy consolidates the columns by type, or each rule would pay for it.
    return rows.assign(**added).copy()


def rules(table: str, month: str, reference: pd.DataFrame | None, limits: ValidateConfig) -> Rules:
    """Every rule for a month whose schema holds; `reference` is None without other months."""
    agreed = limits.consistency
    if table == "weather":
        consistent = consistency_rules(agreed.weather_rows, agreed.weather_days)
        return [*weather_month_rules(month, limits), *weather_row_rules(limits), *consistent]
    consistent = consistency_rules(agreed.flight_rows, agreed.flight_days)
    whole = [*flight_month_rules(month, limits), *flight_row_rules(limits), *consistent]
    if len(_days(month)) < limits.min_days_of_shape:
        return whole  # a storm makes a third of them; its month's shape is judged when it is whole
    compared = [] if reference is None else distribution_rules(reference, limits)
    return [*whole, *outcome_rules(limits), *compared]


def flight_month_rules(month: str, limits: ValidateConfig) -> Rules:
    """Rules for a flight month: unique keys, the right month, and complete days."""
    least, most = limits.flights_a_day
    departed = Column("dep_delay").is_not_null()
    return [
        gxe.ExpectCompoundColumnsToBeUnique(column_list=FLIGHT_KEY, **refuse("unique-key")),
        *calendar_rules(month, "sched_dep_utc", limits.max_hours_to_month_end.flights),
        gxe.ExpectColumnDistinctValuesToEqualSet(
            column="day", value_set=_days(month), **refuse("every-day")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="flights_that_day", min_value=least, max_value=most, **refuse("volume")
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="arr_delay",
            row_condition=departed,
            mostly=1 - limits.max_diverted_share,
            **refuse("diverted-share"),
        ),
    ]


def consistency_rules(rows: Mapping[Any, Range], days: Mapping[Any, Range]) -> Rules:
    """Rules that rows agree with themselves, and days with other days, origins and tables."""
    within = [
        gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, **quarantine("row-agrees")
        )
        for column, (low, high) in rows.items()
    ]
    return within + [
        gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, **refuse(column.replace("_", "-"))
        )
        for column, (low, high) in days.items()
    ]


def outcome_rules(limits: ValidateConfig) -> Rules:
    """Rules that no more flights are late or cancelled than in a bad month."""
    return [
        gxe.ExpectColumnMeanToBeBetween(
            column="late", max_value=limits.max_late_share, **refuse("late-share")
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="dep_delay", mostly=1 - limits.max_cancelled_share, **refuse("cancelled-share")
        ),
    ]


def flight_row_rules(limits: ValidateConfig) -> Rules:
    """Rules that each flight is possible, in each column and across them."""
    departed, cancelled = Column("dep_delay").is_not_null(), Column("dep_delay").is_null()
    return [
        _one_of("origin", ORIGINS),
        _one_of("carrier", CARRIERS),
        gxe.ExpectColumnValuesToMatchRegex(
            column="dest", regex=r"^[A-Z]{3}$", **quarantine("airport-code")
        ),
        *_in_range(limits.flight_ranges.items()),
        _later("sched_arr_utc", "sched_dep_utc"),
        _later("arr_utc", "dep_utc"),
        *(
            gxe.ExpectColumnValuesToBeNull(
                column=column, row_condition=cancelled, **quarantine("cancelled-has-no-outcome")
            )
            for column in ("dep_time", "arr_time", "arr_delay", "air_time")
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(
                column=column, row_condition=departed, **quarantine("departed-is-recorded")
            )
            for column in ("dep_time", "tailnum")
        ),
    ]


def distribution_rules(reference: pd.DataFrame, limits: ValidateConfig) -> Rules:
    """Rules that a month resembles the reference months in categories, means and spreads."""
    divergences = [
        gxe.ExpectColumnKLDivergenceToBeLessThan(
            column=column,
            partition_object=_shares(reference[column]),
            # Categories that the reference months lack may appear, but must be rare.
            tail_weight_holdout=limits.unseen_share,
            threshold=threshold,
            **refuse("divergence"),
        )
        for column, threshold in limits.max_divergence.items()
    ]
    shifts = [
        gxe.ExpectColumnMeanToBeBetween(
            column=column,
            min_value=float(reference[column].mean() - shift * reference[column].std()),
            max_value=float(reference[column].mean() + shift * reference[column].std()),
            **refuse("mean-shift"),
        )
        for column, shift in limits.max_mean_shift.items()
    ]
    spreads = [
        gxe.ExpectColumnStdevToBeBetween(
            column=column,
            min_value=float(reference[column].std() / limits.max_spread_ratio),
            max_value=float(reference[column].std() * limits.max_spread_ratio),
            **refuse("spread"),
        )
        for column in limits.max_mean_shift
    ]
    return [*divergences, *shifts, *spreads]


def _shares(column: pd.Series) -> dict[str, list[Any]]:
    shares = column.value_counts(normalize=True).sort_index()
    return {"values": shares.index.tolist(), "weights": shares.tolist()}


def weather_month_rules(month: str, limits: ValidateConfig) -> Rules:
    """Rules that each origin has unique hours, nearly whole days and few missing values."""
    least, most = limits.weather_hours_a_day
    origin_days = len(ORIGINS) * (len(_days(month)) - 1)
    return [
        gxe.ExpectCompoundColumnsToBeUnique(column_list=WEATHER_KEY, **refuse("unique-key")),
        *calendar_rules(month, "observed_utc", limits.max_hours_to_month_end.weather),
        gxe.ExpectColumnDistinctValuesToEqualSet(
            column="origin", value_set=ORIGINS, **refuse("every-origin")
        ),
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="origin_day", min_value=origin_days, **refuse("every-day")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="hours_that_day", min_value=least, max_value=most, **refuse("volume")
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(
                column=column, mostly=1 - share, **refuse("missing-share")
            )
            for column, share in limits.max_missing_share.items()
        ),
    ]


def weather_row_rules(limits: ValidateConfig) -> Rules:
    """Rules that each observation is possible; none compares months, since weather is seasonal."""
    return _in_range(limits.weather_ranges.items())


def calendar_rules(month: str, instant: str, hours_to_end: float) -> Rules:
    """Rules that every row lies in the month, by New York's calendar, and the last near its end."""
    first = pd.Timestamp(f"{month[:7]}-01", tz="America/New_York")
    end = pd.Timestamp(clock.last_day(month), tz="America/New_York") + pd.DateOffset(days=1)
    return [
        gxe.ExpectColumnValuesToBeInSet(
            column="year", value_set=[first.year], **refuse("own-month")
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="month", value_set=[first.month], **refuse("own-month")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column=instant, min_value=first, max_value=end, strict_max=True, **refuse("own-month")
        ),
        gxe.ExpectColumnMaxToBeBetween(
            column=instant, min_value=end - pd.Timedelta(hours=hours_to_end), **refuse("fresh")
        ),
    ]


def _one_of(column: str, known: list[str]) -> gxe.ExpectColumnValuesToBeInSet:
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=known, **quarantine("known"))


def _later(column: str, earlier: str) -> gxe.ExpectColumnPairValuesAToBeGreaterThanB:
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=column,
        column_B=earlier,
        # Without this a missing arrival would count as one before its departure.
        ignore_row_if="either_value_is_missing",
        **quarantine("time-order"),
    )


def _in_range(ranges: Iterable[tuple[str, tuple[float, float]]]) -> Rules:
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, **quarantine("range")
        )
        for column, (low, high) in ranges
    ]


def _days(month: str) -> list[int]:
    return list(range(1, int(clock.last_day(month)[-2:]) + 1))
