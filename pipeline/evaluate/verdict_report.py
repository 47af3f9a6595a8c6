"""The verdict as a page that people read: what failed first, one picture, every check beneath."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.shared.contracts import Verdict
from pipeline.shared.pages import render

WIDTH, MARGIN, DRAWN = 420, 4, 12
"""Size of the picture, and the comparisons that it shows."""
_INTERVAL = re.compile(r"^([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]")
"""A difference of log loss with its interval over days, at the start of a check's detail."""


class Comparison(Protocol):
    """A check of the gate, as far as the picture needs it."""

    @property
    def kind(self) -> str:
        """Its subject."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def detail(self) -> str:
        """Its detail, which begins with the interval."""

    @property
    def limit(self) -> float:
        """The value that the interval may not lie beyond."""

    @property
    def passed(self) -> bool:
        """Whether it passed."""

    @property
    def blocking(self) -> bool:
        """Whether it can refuse the challenger."""


@dataclass(frozen=True)
class IntervalRow:
    """A difference with its interval on the picture's axis; left of zero is better.

    `state` is "alarm" for a failed check that blocks, "fine", or "reported".
    """

    words: str
    low: float
    point: float
    high: float
    limit: float
    zero: float
    state: str
    title: str


def interval(check: Comparison) -> tuple[float, float, float] | None:
    """Point, low and high of a difference of log loss, in nats; None for other checks."""
    match = _INTERVAL.match(check.detail)
    return (float(match[1]), float(match[2]), float(match[3])) if match else None


def interval_rows(checks: Sequence[Comparison], against: str) -> list[IntervalRow]:
    """The comparisons against "champion" or "baseline", those nearest to their limit first.

    The comparison over all rows comes before those of slices.
    """
    found = [(c, of) for c in checks if c.kind.startswith(against) and (of := interval(c))]
    found.sort(key=lambda one: (one[0].kind != against, not one[0].blocking, _room(*one)))
    found = found[:DRAWN]
    low = min((of[1] for _, of in found), default=0.0)
    high = max((max(of[2], check.limit) for check, of in found), default=0.0)
    scale = (WIDTH - 2 * MARGIN) / (high - low or 1.0)

    def at(value: float) -> float:
        return round(MARGIN + scale * (value - low), 1)

    return [
        IntervalRow(
            words=check.name,
            low=at(of[1]),
            point=at(of[0]),
            high=at(of[2]),
            limit=at(check.limit),
            zero=at(min(max(0.0, low), high)),
            state=_state(check),
            title=f"{check.name}: {check.detail}, limit {check.limit:g}",
        )
        for check, of in found
    ]


def _room(check: Comparison, of: tuple[float, float, float]) -> float:
    return check.limit - of[0]


def _state(check: Comparison) -> str:
    if not check.blocking:
        return "reported"
    return "fine" if check.passed else "alarm"


def verdict_report(verdict: Verdict) -> str:
    """The verdict as one HTML file that needs nothing else."""
    from pipeline.usecase.chosen import USECASE

    against = "champion" if verdict.champion else "baseline"
    return render(
        "evaluate/verdict_report.html",
        noun=USECASE.noun,
        verdict=verdict,
        failures=[check for check in verdict.checks if check.blocking and not check.passed],
        rows=interval_rows(verdict.checks, against),
    )
