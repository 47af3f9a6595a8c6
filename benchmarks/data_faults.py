"""How small may a fault inside a month be and still be refused by the data gate?

Limits of `consistency` in configs/validate.yaml were set on January to June. Here every month is
held to them as it was published, and months of July to December with a fault planted on some days
and in some rows: faults that keep each column's distribution, that hit one origin or one carrier,
or that move time. benchmarks/data_faults.json says how many of six placements were found, by which
measure, and what a clean year breaks. Faults are injected; nothing here happened.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import Watch, kept
from exercises.faults import FAULTS, Fault
from pipeline.__main__ import run_command
from pipeline.flights import flight_consistency, weather_consistency
from pipeline.flights.flight_consistency import OtherMonths
from pipeline.flights.limits import FlightLimits
from pipeline.flights.published import read_source
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Range

DAYS, SHARES = (1, 3, 7, 15), (0.05, 0.2, 1.0)
FIRST_HALF, SECOND_HALF = range(1, 7), range(7, 13)


def measures(table: str, rows: pd.DataFrame, known: OtherMonths | None) -> dict[str, pd.Series]:
    """Every measure of consistency on a month."""
    if table == "weather":
        return weather_consistency.weather_measures(rows)
    return flight_consistency.flight_measures(rows, known)


def broken(
    table: str, rows: pd.DataFrame, known: OtherMonths | None, limits: FlightLimits
) -> list[str]:
    """The measures by which the gate would refuse a month."""
    agreed, found = limits.consistency, measures(table, rows, known)
    of_rows: dict[Any, Range] = dict(
        agreed.weather_rows if table == "weather" else agreed.flight_rows
    )
    of_days: dict[Any, Range] = dict(
        agreed.weather_days if table == "weather" else agreed.flight_days
    )
    outside = {
        name: ~found[name].between(low, high) & found[name].notna()
        for name, (low, high) in (of_rows | of_days).items()
        if name in found
    }
    refused = [name for name in of_days if name in outside and outside[name].any()]
    wrong = pd.DataFrame({name: outside[name] for name in of_rows if name in outside})
    share = wrong.any(axis=1).groupby(rows["day"]).mean().max()
    if share > limits.max_quarantined_share_of_day or (
        wrong.any(axis=1).mean() > limits.max_quarantined_share
    ):
        refused.append(str(wrong.sum().idxmax()))
    return refused


@dataclass(frozen=True)
class Year:
    """The published tables by month, and what other months say of each."""

    months: dict[tuple[str, int], pd.DataFrame]
    known: dict[int, OtherMonths | None]

    @classmethod
    def of(cls) -> "Year":
        """The year as published."""
        tables = read_source(load(IngestConfig))
        months = {
            (str(table), int(month)): group.reset_index(drop=True)
            for table, rows in tables.items()
            for month, group in rows.groupby("month")
        }
        flights = {
            f"2013-{month:02}": rows
            for (table, month), rows in months.items()
            if table == "flights"
        }
        reference = load(FlightLimits).reference
        known = {int(m[-2:]): OtherMonths.for_month(m, flights, reference) for m in flights}
        return cls(months, known)


def extremes(year: Year) -> dict[str, Any]:
    """Lowest and highest of each measure in either half of the year, as published."""
    seen: dict[str, dict[str, list[float]]] = {}
    for (table, month), rows in year.months.items():
        half = "january_to_june" if month in FIRST_HALF else "july_to_december"
        for name, values in measures(table, rows, year.known[month]).items():
            both = seen.setdefault(f"{table}.{name}", {}).setdefault(half, [])
            both += [float(values.min()), float(values.max())]
    return {
        name: {half: [_digits(min(v)), _digits(max(v))] for half, v in halves.items()}
        for name, halves in seen.items()
    }


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def found(year: Year, fault: Fault, limits: FlightLimits) -> dict[str, Any]:
    """Of six placements of each size, one in each month, how many the gate refuses, and by what."""
    sizes: dict[str, int] = {}
    by: Counter[str] = Counter()
    for days in DAYS:
        for share in SHARES:
            refused = 0
            for month in SECOND_HALF:
                chance = np.random.default_rng([month, days, int(100 * share)])
                rows = year.months[fault.table, month]
                first = int(chance.integers(2, int(rows["day"].max()) - days + 1))
                hit = rows["day"].between(first, first + days - 1).to_numpy()
                hit &= chance.random(len(rows)) < share
                names = broken(
                    fault.table, fault.plant(rows, hit, chance), year.known[month], limits
                )
                refused += bool(names)
                by.update(names)
            sizes[f"{days}d {share:.0%}"] = refused
    return {"found_of_6": sizes, "by": [name for name, _ in by.most_common(3)]}


def table(faults: dict[str, Any]) -> str:
    """Faults by size as lines of text."""
    sizes = [f"{days}d {share:.0%}" for days in DAYS for share in SHARES]
    lines = [f"{'found of 6':<32}" + "".join(f"{size:>9}" for size in sizes) + "  by"]
    for name, one in faults.items():
        cells = "".join(f"{one['found_of_6'][size]:>9}" for size in sizes)
        lines.append(f"{name:<32}{cells}  {', '.join(one['by'][:2])}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write benchmarks/data_faults.json."""
    print("data-faults: a clean year, then faults of every size", flush=True)
    watch, limits, year = Watch(), load(FlightLimits), Year.of()
    alarms = {
        f"2013-{month:02} {table}": names
        for (table, month), rows in year.months.items()
        if (names := broken(table, rows, year.known[month], limits))
    }
    clean = extremes(year)
    watch.said(f"{len(year.months)} clean months judged, {len(alarms)} refused")
    faults = {}
    for name, fault in FAULTS.items():
        faults[name] = found(year, fault, limits)
        watch.said(name)
    kept(
        "data_faults",
        {
            "months": len(year.months),
            "false_alarms": alarms,
            "extremes": clean,
            "faults": faults,
        },
    )
    print(table(faults))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
