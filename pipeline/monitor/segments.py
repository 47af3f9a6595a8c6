"""Critical slices: where it hurts, reported with what many looks at once make of it."""

import pandas as pd

from pipeline.evaluate.slices import slices
from pipeline.features.definitions import LABEL
from pipeline.features.transform import ZONE
from pipeline.monitor.answered import arrays, figures_of
from pipeline.monitor.quality import Figures, expected_loss, holm, p_other_than_none
from pipeline.shared.config import OutcomeRule, SliceRule
from pipeline.shared.contracts import Record
from pipeline.shared.scores import log_loss


class SliceFigures(Record):
    """A critical slice: reported, never alerting by itself.

    `judged` is False with too few late flights or days; `p` is Holm's over all judged slices, for
    excess and gap; `noticed` is surely not none, and beyond the alert's limits.
    """

    figures: Figures
    judged: bool
    p: float | None = None
    noticed: bool = False


def sliced(flights: pd.DataFrame, least: SliceRule, rule: OutcomeRule) -> dict[str, SliceFigures]:
    """Every critical slice, with Holm's correction over all that have enough late flights."""
    if not len(flights):
        return {}
    frame = flights.assign(
        aircraft_known_at=flights["aircraft_airborne"], sched_hour=_hour(flights)
    )
    groups = {name: flights[mask] for name, mask in slices(frame, least).items()}
    found = {name: figures_of(group) for name, group in groups.items()}
    enough = [
        name
        for name, figure in found.items()
        if figure.late >= least.min_positives and figure.days >= least.min_days
    ]
    raw = [p for name in enough for p in _surprises(groups[name])]
    adjusted = holm(raw)
    p = {name: min(adjusted[2 * n : 2 * n + 2]) for n, name in enumerate(enough)}
    return {
        name: SliceFigures(
            figures=figure,
            judged=name in p,
            p=round(p[name], 6) if name in p else None,
            noticed=name in p and p[name] < rule.slice_alpha and _beyond(figure, rule),
        )
        for name, figure in found.items()
    }


def _hour(flights: pd.DataFrame) -> pd.Series:
    return pd.Series(flights["sched_dep_utc"].dt.tz_convert(ZONE).dt.hour)


def _surprises(flights: pd.DataFrame) -> list[float]:
    known = flights[flights[LABEL].notna()]
    late, risk, day = arrays(known)
    excess = log_loss(late, risk) - expected_loss(risk)
    return [p_other_than_none(value, day) for value in (excess, late - risk)]


def _beyond(figure: Figures, rule: OutcomeRule) -> bool:
    return (figure.excess or 0) > rule.max_excess_loss or abs(figure.gap or 0) > rule.max_gap
