"""The verdict as a page that people read: what failed first, one picture, every check beneath."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.shared.contracts import Estimate, Verdict
from pipeline.shared.pages import render

_WIDTH, _MARGIN, DRAWN = 420, 4, 12
"""Size of the picture, and the comparisons that it shows."""


class ComparisonCheck(Protocol):
    """A check of the gate, as far as the picture needs it."""

    @property
    def kind(self) -> str:
        """Its subject."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def detail(self) -> str:
        """Its detail, for people."""

    @property
    def estimate(self) -> Estimate | None:
        """The difference of losses that it judges; None for other checks."""

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


def interval_rows(checks: Sequence[ComparisonCheck], against: str) -> list[IntervalRow]:
    """The comparisons against "champion" or "baseline", those nearest to their limit first.

    The comparison over all rows comes before those of slices.
    """
    found = [(c, of) for c in checks if c.kind.startswith(against) and (of := c.estimate)]
    found.sort(key=lambda one: (one[0].kind != against, not one[0].blocking, _room(*one)))
    found = found[:DRAWN]
    low = min((of.low for _, of in found), default=0.0)
    high = max((max(of.high, check.limit) for check, of in found), default=0.0)
    scale = (_WIDTH - 2 * _MARGIN) / (high - low or 1.0)

    def at(value: float) -> float:
        return round(_MARGIN + scale * (value - low), 1)

    return [
        IntervalRow(
            words=check.name,
            low=at(of.low),
            point=at(of.point),
            high=at(of.high),
            limit=at(check.limit),
            zero=at(min(max(0.0, low), high)),
            state=_state(check),
            title=f"{check.name}: {check.detail}, limit {check.limit:g}",
        )
        for check, of in found
    ]


def _room(check: ComparisonCheck, of: Estimate) -> float:
    return check.limit - of.point


def _state(check: ComparisonCheck) -> str:
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
