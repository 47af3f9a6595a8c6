"""A search as a page: parallel coordinates, a line for each trial; every trial beneath."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.shared.pages import render
from pipeline.tune.random_search import PRESENT, Trial

_WIDTH, _HEIGHT, _MARGIN = 900, 320, 60
"""Size of the picture, in points of its SVG."""
LOSS = "log loss"


@dataclass(frozen=True)
class Axis:
    """An upright axis: its name, its place, and the values at its two ends."""

    name: str
    x: float
    low: str
    high: str


@dataclass(frozen=True)
class Line:
    """A trial across all axes; `state` is "best", "present" or "other", `good` from 0 to 1."""

    points: str
    state: str
    good: float
    title: str


def search_report(trials: Sequence[Trial], best: Trial, words: str) -> str:
    """The search as one HTML file that needs nothing else."""
    axes, lines = coordinates(trials, best)
    return render(
        "tune/search_report.html",
        trials=sorted(trials, key=lambda trial: trial.loss),
        names=list(best.settings.model_dump()),
        best=best.number,
        present=PRESENT,
        words=words,
        axes=axes,
        lines=lines,
        width=_WIDTH,
        height=_HEIGHT,
    )


def coordinates(trials: Sequence[Trial], best: Trial) -> tuple[list[Axis], list[Line]]:
    """An axis for each setting (logarithmic) and one for the loss; a line for each trial."""
    columns = {
        name: [float(getattr(trial.settings, name)) for trial in trials]
        for name in best.settings.model_dump()
    } | {LOSS: [trial.loss for trial in trials]}
    step = (_WIDTH - 2 * _MARGIN) / (len(columns) - 1)
    axes = [
        Axis(name, _MARGIN + step * place, f"{min(values):.4g}", f"{max(values):.4g}")
        for place, (name, values) in enumerate(columns.items())
    ]
    heights = [_heights(values, name != LOSS) for name, values in columns.items()]
    lines = []
    for row, trial in enumerate(trials):
        spots = zip(axes, heights, strict=True)
        points = " ".join(f"{axis.x:.1f},{_down(height[row]):.1f}" for axis, height in spots)
        state = {best.number: "best", PRESENT: "present"}.get(trial.number, "other")
        title = f"trial {trial.number}: log loss {trial.loss:.4f}"
        lines.append(Line(points, state, round(1 - heights[-1][row], 2), title))
    return axes, sorted(lines, key=lambda line: ("other", "present", "best").index(line.state))


def _heights(values: list[float], logarithmic: bool) -> list[float]:
    """Values from 0, the lowest, to 1; on a logarithmic scale where none is 0."""
    scaled = [math.log(v) for v in values] if logarithmic and min(values) > 0 else values
    low, room = min(scaled), (max(scaled) - min(scaled)) or 1.0
    return [(value - low) / room for value in scaled]


def _down(height: float) -> float:
    """A height from 0 to 1 as SVG counts it, from the top."""
    return 30 + (_HEIGHT - 60) * (1 - height)
