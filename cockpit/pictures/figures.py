"""The month's pictures: histograms then and now, calibration, slices, the loss by day."""

from dataclasses import dataclass

from cockpit.facts.month import Column, Month, Tenth
from cockpit.facts.verdict import Verdict
from cockpit.pictures.scale import Scale, Tick, line, nice_ticks
from pipeline.evaluate.verdict_report import IntervalRow, interval_rows
from pipeline.shared.nouns import Words

SMALL_WIDTH, SMALL_HEIGHT, MARGIN = 220, 96, 6
SQUARE, SQUARE_MARGIN = 260, 34
BARS_WIDTH, ROW = 420, 20
_WORST, _SLICES = 7, 9
"""Columns and slices that are drawn; the others are in the tables."""


@dataclass(frozen=True)
class Bin:
    """A bin's bars: then as an outline, now filled."""

    x: float
    width: float
    then: float
    now: float
    words: str


@dataclass(frozen=True)
class Histogram:
    """A column then and now."""

    title: str
    note: str
    status: str
    bins: list[Bin]
    floor: float


@dataclass(frozen=True)
class Calibration:
    """Predicted against observed, tenth by tenth; on the diagonal it is calibrated."""

    points: list[tuple[float, float, str]]
    line: str
    ticks: list[Tick]
    low: float
    high: float


def worst_columns(month: Month) -> list[Histogram]:
    """The columns that moved most, those whose status asks for a look first."""
    order = {"alert": 0, "warn": 1}
    drawn = [c for c in month.drift.columns if c.histogram and c.group != "prediction"]
    drawn.sort(key=lambda column: (order.get(column.status, 2), -column.psi))
    return [_histogram(column) for column in drawn[:_WORST]]


def predictions(month: Month) -> Histogram | None:
    """The distribution of the risks, in training and now."""
    found = next((c for c in month.drift.columns if c.group == "prediction" and c.histogram), None)
    return _histogram(found) if found else None


def _histogram(column: Column) -> Histogram:
    told = column.histogram
    assert told is not None, "only columns with a histogram are drawn"
    highest = max([*told.reference, *told.now, 1e-9])
    y = Scale(0, highest, SMALL_HEIGHT - MARGIN, MARGIN)
    wide = (SMALL_WIDTH - 2 * MARGIN) / max(len(told.bins), 1)
    bins = [
        Bin(
            x=round(MARGIN + n * wide, 1),
            width=round(max(wide - 1, 1), 1),
            then=y(then),
            now=y(now),
            words=f"{name}: {then:.1%} in training, {now:.1%} now",
        )
        for n, (name, then, now) in enumerate(
            zip(told.bins, told.reference, told.now, strict=False)
        )
    ]
    note = f"PSI {column.psi:.2f}"
    return Histogram(column.column, note, column.status, bins, SMALL_HEIGHT - MARGIN)


def calibration(tenths: list[Tenth], words: Words) -> Calibration | None:
    """The calibration's picture; None without labels."""
    if not tenths:
        return None
    highest = max(max(t.mean_risk, t.mean_outcome) for t in tenths)
    scale = Scale(0, highest * 1.05, SQUARE_MARGIN, SQUARE - 8)
    up = Scale(0, highest * 1.05, SQUARE - SQUARE_MARGIN, 8)
    points = [
        (
            scale(t.mean_risk),
            up(t.mean_outcome),
            f"predicted {t.mean_risk:.1%}, {words.positive} {t.mean_outcome:.1%}, "
            f"{t.rows:,} {words.events}",
        )
        for t in tenths
    ]
    marks = nice_ticks(0, highest, 4)
    return Calibration(
        points,
        line([(x, y) for x, y, _ in points]),
        [Tick(scale(value), f"{value:.0%}") for value in marks],
        scale(0),
        scale(highest * 1.05),
    )


def gate_rows(verdict: Verdict) -> list[IntervalRow]:
    """The gate's differences of log loss against the champion, or else the baselines."""
    return interval_rows(verdict.checks, "champion" if verdict.champion else "baseline")


def slice_rows(month: Month, words: Words) -> list[IntervalRow]:
    """Predicted beside what came, for the slices with the widest gap; those noticed first."""
    slices = [
        (name, one)
        for name, one in month.performance.slices.items()
        if one.figures.mean_risk is not None and one.figures.mean_outcome is not None
    ]
    slices.sort(key=lambda item: (not item[1].noticed, -abs(item[1].figures.gap or 0.0)))
    kept = slices[:_SLICES]
    pairs = [(f.mean_risk or 0.0, f.mean_outcome or 0.0) for f in (one.figures for _, one in kept)]
    scale = Scale(0, max((max(pair) for pair in pairs), default=1.0) * 1.05, 4, BARS_WIDTH - 4)
    return [
        IntervalRow(
            words=f"{name}, {risk:.0%} to {late:.0%}",
            low=scale(min(risk, late)),
            point=scale(late),
            high=scale(max(risk, late)),
            limit=scale(0.0),
            zero=scale(risk),
            state="alarm" if one.noticed else "fine",
            title=f"{name}: predicted {risk:.1%}, {words.positive} {late:.1%} of "
            f"{one.figures.rows:,}",
        )
        for (name, one), (risk, late) in zip(kept, pairs, strict=True)
    ]
