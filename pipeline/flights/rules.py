"""The rules that a month of flights or weather must pass, as Great Expectations expectations.

Limits are in configs/validate.yaml; the columns and their types are in tables.py.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from pipeline.flights import flight_consistency, weather_consistency
from pipeline.flights.events import ZONE
from pipeline.flights.features import CARRIERS, ORIGINS
from pipeline.flights.flight_consistency import OtherMonths
from pipeline.flights.limits import FlightLimits
from pipeline.flights.tables import FLIGHT_KEY, WEATHER_KEY
from pipeline.shared.data_rules import (
    calendar_rules,
    consistency_rules,
    days_of_month,
    distribution_rules,
    in_range,
    later,
    one_of,
)
from pipeline.shared.expectations import Column, Rules, gxe, quarantine, refuse


def other_months(
    month: str, months: Mapping[str, pd.DataFrame], reference: Iterable[str]
) -> OtherMonths | None:
    """Aircraft and routes of other months than this one; None without any."""
    return OtherMonths.for_month(month, months, reference)


def add_measures(table: str, rows: pd.DataFrame, known: OtherMonths | None = None) -> pd.DataFrame:
    """Add the columns that the rules on volume, lateness and consistency need."""
    if table == "flights":
        added = {
            "late": ((rows["arr_delay"] >= 15) | rows["arr_delay"].isna()).astype("float64"),
            "flights_that_day": rows.groupby("day")["day"].transform("size"),
            **flight_consistency.flight_measures(rows, known),
        }
    else:
        date = pd.to_datetime(rows[["year", "month", "day"]], errors="coerce")
        origin_day = rows["origin"] + " " + rows["day"].astype("str")
        added = {
            "hours_that_day": rows.groupby(["origin", "day"])["day"].transform("size"),
            # The last day may be short or absent: rule `fresh` limits by how much.
            "origin_day": origin_day.mask(date.dt.is_month_end),
            **weather_consistency.weather_measures(rows),
        }
    # The copy consolidates the columns by type, or each rule would pay for it.
    return rows.assign(**added).copy()


def rules(table: str, month: str, reference: pd.DataFrame | None, limits: FlightLimits) -> Rules:
    """Every rule for a month whose schema holds; `reference` is None without other months."""
    agreed = limits.consistency
    if table == "weather":
        consistent = consistency_rules(agreed.weather_rows, agreed.weather_days)
        return [*weather_month_rules(month, limits), *weather_row_rules(limits), *consistent]
    consistent = consistency_rules(agreed.flight_rows, agreed.flight_days)
    whole = [*flight_month_rules(month, limits), *flight_row_rules(limits), *consistent]
    if len(days_of_month(month)) < limits.min_days_of_shape:
        return whole  # a storm makes a third of them; its month's shape is judged when it is whole
    compared = [] if reference is None else distribution_rules(reference, limits)
    return [*whole, *outcome_rules(limits), *compared]


def flight_month_rules(month: str, limits: FlightLimits) -> Rules:
    """Rules for a flight month: unique keys, the right month, and complete days."""
    least, most = limits.flights_a_day
    departed = Column("dep_delay").is_not_null()
    return [
        gxe.ExpectCompoundColumnsToBeUnique(column_list=FLIGHT_KEY, **refuse("unique-key")),
        *calendar_rules(month, "sched_dep_utc", limits.max_hours_to_month_end.flights, ZONE),
        gxe.ExpectColumnDistinctValuesToEqualSet(
            column="day", value_set=days_of_month(month), **refuse("every-day")
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


def outcome_rules(limits: FlightLimits) -> Rules:
    """Rules that no more flights are late or cancelled than in a bad month."""
    return [
        gxe.ExpectColumnMeanToBeBetween(
            column="late", max_value=limits.max_late_share, **refuse("late-share")
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="dep_delay", mostly=1 - limits.max_cancelled_share, **refuse("cancelled-share")
        ),
    ]


def flight_row_rules(limits: FlightLimits) -> Rules:
    """Rules that each flight is possible, in each column and across them."""
    departed, cancelled = Column("dep_delay").is_not_null(), Column("dep_delay").is_null()
    return [
        one_of("origin", ORIGINS),
        one_of("carrier", CARRIERS),
        gxe.ExpectColumnValuesToMatchRegex(
            column="dest", regex=r"^[A-Z]{3}$", **quarantine("airport-code")
        ),
        *in_range(limits.flight_ranges.items()),
        later("sched_arr_utc", "sched_dep_utc"),
        later("arr_utc", "dep_utc"),
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


def weather_month_rules(month: str, limits: FlightLimits) -> Rules:
    """Rules that each origin has unique hours, nearly whole days and few missing values."""
    least, most = limits.weather_hours_a_day
    origin_days = len(ORIGINS) * (len(days_of_month(month)) - 1)
    return [
        gxe.ExpectCompoundColumnsToBeUnique(column_list=WEATHER_KEY, **refuse("unique-key")),
        *calendar_rules(month, "observed_utc", limits.max_hours_to_month_end.weather, ZONE),
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


def weather_row_rules(limits: FlightLimits) -> Rules:
    """Rules that each observation is possible; none compares months, since weather is seasonal."""
    return in_range(limits.weather_ranges.items())
