"""Rules of any published month, of which a use case makes its own: ranges, calendar, distribution.

Each rule names its action. `refuse`: the month is not what it claims to be, so none of its rows can
be trusted. `quarantine`: single rows are wrong, and the month is good without them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import pandas as pd

from pipeline.shared import clock
from pipeline.shared.config.sections import Range
from pipeline.shared.expectations import Rules, gxe, quarantine, refuse


class ShapeLimits(Protocol):
    """The limits on a month's distribution against the reference months."""

    @property
    def max_divergence(self) -> Mapping[Any, float]:
        """The Kullback-Leibler divergence allowed, by column of categories."""

    @property
    def unseen_share(self) -> float:
        """The weight kept for categories that the reference months do not have."""

    @property
    def max_mean_shift(self) -> Mapping[Any, float]:
        """The distance of means allowed, in reference standard deviations, by column."""

    @property
    def max_spread_ratio(self) -> float:
        """The ratio of standard deviations allowed, either way."""


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


def distribution_rules(reference: pd.DataFrame, limits: ShapeLimits) -> Rules:
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


def calendar_rules(month: str, instant: str, hours_to_end: float, zone: str) -> Rules:
    """Rules that every row lies in the month, by the zone's calendar, and the last near its end."""
    first = pd.Timestamp(f"{month[:7]}-01", tz=zone)
    end = pd.Timestamp(clock.last_day(month), tz=zone) + pd.DateOffset(days=1)
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


def one_of(column: str, known: list[str]) -> gxe.ExpectColumnValuesToBeInSet:
    """The rule that a category is a known one."""
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=known, **quarantine("known"))


def later(column: str, earlier: str) -> gxe.ExpectColumnPairValuesAToBeGreaterThanB:
    """The rule that an instant is after another, where both are there."""
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=column,
        column_B=earlier,
        # Without this a missing instant would count as out of order.
        ignore_row_if="either_value_is_missing",
        **quarantine("time-order"),
    )


def in_range(ranges: Iterable[tuple[str, tuple[float, float]]]) -> Rules:
    """Rules that single values are possible ones."""
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, **quarantine("range")
        )
        for column, (low, high) in ranges
    ]


def days_of_month(month: str) -> list[int]:
    """The days of a month that have arrived."""
    return list(range(1, int(clock.last_day(month)[-2:]) + 1))
