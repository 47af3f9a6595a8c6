"""The data rules of rentals and weather; their limits are in configs/validate.yaml."""

from collections.abc import Iterable, Mapping

import pandas as pd

from pipeline.bikes.published import BIKES, LABEL, SKY, WEATHER_TABLE, ZONE, outcomes
from pipeline.bikes.usecase import BikeLimits
from pipeline.shared.data_rules import calendar_rules, distribution_rules, in_range, one_of
from pipeline.shared.expectations import Rules, gxe, quarantine, refuse


def other_months(month: str, months: Mapping[str, pd.DataFrame], reference: Iterable[str]) -> None:
    """Nothing: no rule compares single rows with other months."""


def add_measures(table: str, rows: pd.DataFrame, known: None = None) -> pd.DataFrame:  # noqa: ARG001
    """Add the hours of each day; for rentals the riders missing from the sum, and the label."""
    added = {"hours_that_day": rows.groupby("day")["day"].transform("size")}
    if table == BIKES.name:
        added["riders_gap"] = rows["bikers"] - rows["casual"] - rows["registered"]
        added[LABEL] = pd.Series(outcomes(rows)[LABEL].value, rows.index)
    return rows.assign(**added)


def rules(table: str, month: str, reference: pd.DataFrame | None, limits: BikeLimits) -> Rules:
    """Every rule for a month whose schema holds; `reference` is None without other months."""
    of = BIKES if table == BIKES.name else WEATHER_TABLE
    least, most = limits.hours_a_day
    whole = [
        gxe.ExpectCompoundColumnsToBeUnique(column_list=of.key, **refuse("unique-key")),
        *calendar_rules(month, of.instant, limits.max_hours_to_month_end, ZONE),
        gxe.ExpectColumnValuesToBeBetween(
            column="hours_that_day", min_value=least, max_value=most, **refuse("volume")
        ),
    ]
    if of is WEATHER_TABLE:
        return [*whole, one_of("weathersit", list(SKY)), *in_range(limits.weather_ranges.items())]
    compared = [] if reference is None else distribution_rules(reference, limits)
    return [
        *whole,
        *in_range(limits.bike_ranges.items()),
        gxe.ExpectColumnValuesToBeBetween(
            column="riders_gap", min_value=0, max_value=0, **quarantine("row-agrees")
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column=LABEL, max_value=limits.max_busy_share, **refuse("busy-share")
        ),
        *compared,
    ]
