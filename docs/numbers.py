"""The numbers of a page: read from recorded runs, shown with unit, direction and interval.

A page names a value by its place, as "data/evaluate/metrics.json:roc_auc". Unit and direction
follow from docs/measures.yaml, so that the same measure reads the same on every page.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pipeline.shared import yaml_files

ROOT = Path(__file__).resolve().parent.parent
MEASURES = ROOT / "docs" / "measures.yaml"
INTERVAL = ("point", "low", "high")
"""The keys of an estimate with its interval, as every benchmark records one."""
FIGURES = 3
"""Significant figures of a measured value; counts are exact."""

Better = Literal["lower", "higher", "near 0", "–"]


@dataclass(frozen=True)
class Measure:
    """What the values at some places are measured in, and which way is better."""

    places: re.Pattern[str]
    unit: str
    better: Better


@cache
def measures() -> list[Measure]:
    """Every measure of docs/measures.yaml; the first whose pattern fits a place holds."""
    return [
        Measure(re.compile(one["places"]), one["unit"], one["better"])
        for one in yaml_files.parse(MEASURES.read_text(encoding="utf-8"))
    ]


def measure(reference: str) -> Measure:
    """The measure of the value at a place.

    Raises:
        LookupError: docs/measures.yaml has none for it.
    """
    for one in measures():
        if one.places.search(reference):
            return one
    raise LookupError(
        f"{reference} has no unit: 0 of {len(measures())} patterns in docs/measures.yaml fit it; "
        "add one, then `make fill`"
    )


def value(reference: str, root: Path = ROOT) -> Any:
    """The value that a recorded run has at a place, whose names may hold dots."""
    path, _, left = reference.partition(":")
    found = json.loads((root / path).read_text(encoding="utf-8"))
    while left:
        part = left.partition(".")[0]
        if isinstance(found, dict):
            part = next(name for name in found if f"{left}.".startswith(f"{name}."))
        found = found[int(part) if isinstance(found, list) else part]
        left = left[len(part) + 1 :]
    return found


def shown(found: Any, unit: str = "") -> str:
    """A value as people read it: a list as its length, an estimate with its interval."""
    if isinstance(found, dict):
        point, low, high = (shown(found[key], unit) for key in INTERVAL)
        return f"{point} [{low}, {high}]"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, str):
        return found
    if found is None:
        return "not known"
    if isinstance(found, list):
        return f"{len(found):,}"
    if unit.startswith("%"):
        return _rounded(Decimal(repr(found)) * 100)
    return f"{found:,}" if isinstance(found, int) else _rounded(Decimal(repr(found)))


def _rounded(exact: Decimal) -> str:
    """Three significant figures, fewer if no more are recorded; all digits before the point."""
    if not exact:
        return "0"
    if abs(exact) >= 10**FIGURES:
        return f"{exact:,.0f}"
    recorded = len(exact.normalize().as_tuple().digits)
    figures = Context(prec=min(FIGURES, recorded), rounding=ROUND_HALF_UP)
    return f"{figures.plus(exact):f}"


def figure(reference: str) -> str:
    """A figure of a recorded run with its unit, as within a sentence or a list."""
    unit = measure(reference).unit
    return f"{shown(value(reference), unit)} {unit.removesuffix('–')}".rstrip()


def table(numbers: Mapping[str, str]) -> str:
    """A page's numbers as a table, read from the artefacts of the recorded run."""
    rows = [
        f"| {what} | {shown(value(place), one.unit)} | {one.unit} | {one.better} "
        f"| `{place.split(':')[0]}` |"
        for what, place in numbers.items()
        for one in [measure(place)]
    ]
    return "\n".join(["| what | value | unit | better | from |", "|---|--:|---|---|---|", *rows])
