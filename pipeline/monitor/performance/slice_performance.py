"""Performance on critical slices, corrected for multiple comparisons."""

import pandas as pd

from pipeline.features.definitions import LABEL
from pipeline.features.windows import ZONE
from pipeline.monitor.performance.label_join import arrays, figures_of
from pipeline.monitor.performance.quality import (
    Figures,
    Interval,
    expected_loss,
    holm,
    intervals,
    p_nonzero_mean,
)
from pipeline.shared.config.evaluate import Bootstrap, SliceRule
from pipeline.shared.config.monitor import OutcomeRule
from pipeline.shared.contracts import Record
from pipeline.shared.scores import log_loss
from pipeline.usecase.chosen import USECASE


class SliceFigures(Record):
    """A critical slice: reported, never alerting by itself.

    `intervals` are over days, each by itself. `judged` is False with too few positives or days;
    `p_excess` and `p_gap` are Holm's over both of all judged slices. `noticed`: the excess or the
    gap is significant and beyond the alert's limit.
    """

    figures: Figures
    intervals: dict[str, Interval]
    judged: bool
    p_excess: float | None = None
    p_gap: float | None = None
    noticed: bool = False


def judge_slices(
    events: pd.DataFrame, least: SliceRule, rule: OutcomeRule, bootstrap: Bootstrap
) -> dict[str, SliceFigures]:
    """Judge every critical slice, with Holm's correction over all with enough positives."""
    if not len(events):
        return {}
    frame = events.assign(**USECASE.monitored.for_slices(events), sched_hour=_hour(events))
    groups = {name: events[mask] for name, mask in USECASE.slices(frame, least).items()}
    found = {name: figures_of(group) for name, group in groups.items()}
    enough = [
        name
        for name, figure in found.items()
        if figure.late >= least.min_positives and figure.days >= least.min_days
    ]
    adjusted = iter(holm([p for name in enough for p in _surprises(groups[name])]))
    p = {name: (next(adjusted), next(adjusted)) for name in enough}
    return {
        name: _slice_figures(figure, groups[name], p.get(name), rule, bootstrap)
        for name, figure in found.items()
    }


def _slice_figures(
    figure: Figures,
    events: pd.DataFrame,
    p: tuple[float, float] | None,
    rule: OutcomeRule,
    bootstrap: Bootstrap,
) -> SliceFigures:
    known = events[events[LABEL].notna()]
    over_days = intervals(*arrays(known), bootstrap) if len(known) else {}
    if p is None:
        return SliceFigures(figures=figure, intervals=over_days, judged=False)
    costly = p[0] < rule.slice_alpha and (figure.excess or 0) > rule.max_excess_loss
    off = p[1] < rule.slice_alpha and abs(figure.gap or 0) > rule.max_gap
    return SliceFigures(
        figures=figure,
        intervals=over_days,
        judged=True,
        p_excess=round(p[0], 6),
        p_gap=round(p[1], 6),
        noticed=costly or off,
    )


def _hour(events: pd.DataFrame) -> pd.Series:
    return pd.Series(events[USECASE.events.instant].dt.tz_convert(ZONE).dt.hour)


def _surprises(events: pd.DataFrame) -> list[float]:
    """The p-values of a slice's excess loss and of its gap."""
    known = events[events[LABEL].notna()]
    late, risk, day = arrays(known)
    excess = log_loss(late, risk) - expected_loss(risk)
    return [p_nonzero_mean(value, day) for value in (excess, late - risk)]
