"""The numbers of a page: read from recorded runs, shown with unit, direction and interval.

A page names a value by its place, as "data/evaluate/metrics.json:roc_auc". Unit and direction
follow from docs/measures.yaml, so that the same measure reads the same on every page.
"""

import json
import operator
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
"""Significant figures of a measured value in a table; counts are exact."""
SPOKEN_FIGURES = 2
"""Those of a measured value in a sentence, which somebody has to say."""
_SIGNS = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_COMBINED = {" / ": operator.truediv, " less ": operator.sub}
_NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?")
_CITED = re.compile(r"(<!-- ([\w-]+) -->)[^<]*(<!-- / -->)")

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
    """The value that a record or a config has at a place, whose names may hold dots.

    A place in a text is what stands around the number, as "docs/run.txt:after {} requests".
    """
    path, _, left = reference.partition(":")
    text = (root / path).read_text(encoding="utf-8")
    if path.endswith((".txt", ".md")):
        return _printed(reference, " ".join(text.split()), left)
    found = json.loads(text) if path.endswith(".json") else yaml_files.parse(text)
    while left:
        part = left.partition(".")[0]
        if isinstance(found, dict):
            part = next(name for name in found if f"{left}.".startswith(f"{name}."))
        found = _item(found, part) if isinstance(found, list) else found[part]
        left = left[len(part) + 1 :]
    return found


def _printed(reference: str, text: str, words: str) -> int | float:
    """The number within a text that stands where words have a pair of braces.

    Raises:
        LookupError: a number stands between these words nowhere, or at several places.
    """
    before, _, after = words.partition("{}")
    found = [
        one[0]
        for one in _NUMBER.finditer(text)
        if text.endswith(before, 0, one.start()) and text.startswith(after, one.end())
    ]
    if len(found) != 1:
        raise LookupError(f"{reference} fits {len(found)} places of the text, 1 is needed")
    number: int | float = json.loads(found[0].replace(",", "").lstrip("+"))
    return number


def _item(found: list[Any], part: str) -> Any:
    """An item of a list by its number, or by its slug."""
    return found[int(part)] if part.isdigit() else next(o for o in found if o["slug"] == part)


def shown(found: Any, unit: str = "", figures: int = FIGURES) -> str:
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
        return _rounded(Decimal(repr(found)) * 100, figures)
    return f"{found:,}" if isinstance(found, int) else _rounded(Decimal(repr(found)), figures)


def _rounded(exact: Decimal, figures: int) -> str:
    """Some significant figures, fewer if no more are recorded; all digits before the point."""
    if not exact:
        return "0"
    if abs(exact) >= 10**figures:
        return f"{exact:,.0f}"
    recorded = len(exact.normalize().as_tuple().digits)
    kept = Context(prec=min(figures, recorded), rounding=ROUND_HALF_UP)
    return f"{kept.plus(exact):f}"


def figure(reference: str) -> str:
    """A figure of a recorded run with its unit, as within a sentence or a list."""
    unit = measure(reference).unit
    return f"{shown(value(reference), unit)} {unit.removesuffix('–')}".rstrip()


def said(reference: str) -> str:
    """A figure as a sentence says it: without unit and sign, in few figures, a setting exactly.

    A minus before the place turns a negative value round: "lower by 0.0098". Two places with a
    slash between them are a ratio, with "less" a difference, in the unit of the first.

    Raises:
        ValueError: the value is negative, so that the sentence would say the opposite.
    """
    place = reference.removeprefix("-")
    unit, found = measure(place).unit, _point(place)
    found = -found if reference.startswith("-") else found
    if isinstance(found, int | float) and found < 0:
        raise ValueError(
            f"{place} is now {found if place == reference else -found:g}, and a sentence says the "
            "opposite; change the sentence, and the minus before the place with it"
        )
    exact = place.startswith("configs/")
    return shown(found, unit, 9 if exact else SPOKEN_FIGURES)


def _point(place: str) -> Any:
    """A value without its interval; of "a / b" the ratio, as of flights and days, of "a less b"."""
    for word, combined in _COMBINED.items():
        first, _, second = place.partition(word)
        if second:
            return combined(_point(first), _point(second))
    found = value(place)
    return found[INTERVAL[0]] if isinstance(found, dict) else found


def holds(claim: str) -> bool:
    """Whether a claim such as "benchmarks/loop.json:against_never.high < 0" is so in the record."""
    place, sign, limit = re.split(r" (<=?|==|>=?) ", claim)
    found = value(place)
    return _SIGNS[sign](found, limit if isinstance(found, str) else float(limit))


def cite(text: str, figures: Mapping[str, str]) -> str:
    """A text whose `<!-- name -->...<!-- / -->` marks hold the figures of these names.

    Raises:
        LookupError: a mark has no figure, or a figure no mark.
    """
    marked = {name for _, name, _ in _CITED.findall(text)}
    if marked != set(figures):
        odd = sorted(marked ^ set(figures))
        raise LookupError(f"a mark without a figure, or a figure without a mark: {', '.join(odd)}")
    return _CITED.sub(lambda mark: mark[1] + said(figures[mark[2]]) + mark[3], text)


def table(numbers: Mapping[str, str]) -> str:
    """A page's numbers as a table, read from the artefacts of the recorded run."""
    rows = [
        f"| {what} | {shown(value(place), one.unit)} | {one.unit} | {one.better} "
        f"| `{place.split(':')[0]}` |"
        for what, place in numbers.items()
        for one in [measure(place)]
    ]
    return "\n".join(["| what | value | unit | better | from |", "|---|--:|---|---|---|", *rows])
