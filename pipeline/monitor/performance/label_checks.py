"""A check of labels against the departure-late proxy.

A flight that leaves late mostly arrives late, and the proxy comes from another event than the
label. A carrier's week whose labels disagree with the proxy is presumed to have broken labels: they
are used neither for evaluation nor for training.
"""

import math

import pandas as pd

from pipeline.features.definitions import LABEL, PROXY
from pipeline.monitor.performance.labels import dates
from pipeline.shared.config.monitor import OutcomeRule
from pipeline.shared.contracts import Record
from pipeline.shared.errors import LabelsRefused
from pipeline.usecase.chosen import USECASE


class Agreement(Record):
    """The share of a carrier's labels in one week, from Monday, that equal the proxy.

    `balanced` is the mean of that share among flights that left late and among the others: 0.5 if
    all labels are equal, None with too few of either. `trusted` is None with too few flights.
    """

    carrier: str
    week: str
    flights: int
    agreement: float
    balanced: float | None
    trusted: bool | None


def carrier_weeks(flights: pd.Series) -> pd.DataFrame:
    """The carrier of each flight, and the Monday of its week, from its name."""
    date = dates(flights)
    monday = date - pd.to_timedelta(date.dt.dayofweek, unit="D")
    week = monday.map({at: f"{at:%Y-%m-%d}" for at in monday.unique()})
    return pd.DataFrame({"carrier": USECASE.monitored.label_group(flights), "week": week})


def label_agreement(known: pd.DataFrame, rule: OutcomeRule) -> list[Agreement]:
    """The share of flights whose label equals the proxy, by carrier and week, the lowest first.

    `known` has a row per flight (`flight`, LABEL, PROXY); rows that lack either do not count.
    """
    both = known[known[LABEL].notna() & known[PROXY].notna()]
    late, equal = both[PROXY] == 1, both[LABEL] == both[PROXY]
    counts = carrier_weeks(both["flight"]).assign(
        flights=1, late=late, equal=equal, late_equal=late & equal
    )
    found = counts.groupby(["carrier", "week"]).sum()
    of_late = found["late_equal"] / found["late"]
    others = found["flights"] - found["late"]
    of_others = (found["equal"] - found["late_equal"]) / others
    enough = (found["late"] >= rule.agreement_min_each) & (others >= rule.agreement_min_each)
    balanced = ((of_late + of_others) / 2).where(enough).tolist()
    rows = zip(
        found.index, found["flights"].tolist(), found["equal"].tolist(), balanced, strict=True
    )
    weeks = [
        _judge_week(carrier, week, flights, equal / flights, both_alike, rule)
        for (carrier, week), flights, equal, both_alike in rows
    ]
    return sorted(weeks, key=lambda w: (w.agreement, w.carrier, w.week))


def _judge_week(
    carrier: str, week: str, flights: int, share: float, balanced: float, rule: OutcomeRule
) -> Agreement:
    """Judge a week: not trusted below either limit; a balanced share of NaN does not count."""
    low = share < rule.min_agreement or balanced < rule.min_balanced_agreement
    return Agreement(
        carrier=carrier,
        week=week,
        flights=flights,
        agreement=round(share, 4),
        balanced=None if math.isnan(balanced) else round(balanced, 4),
        trusted=not low if flights >= rule.agreement_min_flights else None,
    )


def is_distrusted(flights: pd.Series, weeks: list[Agreement]) -> pd.Series:
    """Whether each flight belongs to a carrier's week whose labels are not trusted."""
    broken = {(w.carrier, w.week) for w in weeks if w.trusted is False}
    if not broken:
        return pd.Series(False, index=flights.index)
    of = pd.MultiIndex.from_frame(carrier_weeks(flights))
    return pd.Series(of.isin(list(broken)), index=flights.index)


def require_agreement(weeks: list[Agreement], rule: OutcomeRule) -> None:
    """Refuse labels if some carrier's week disagrees with the proxy.

    Raises:
        LabelsRefused: names each carrier and week with its share and the limit.
    """
    if broken := [w for w in weeks if w.trusted is False]:
        rows = ", ".join(
            f"{w.carrier} in the week of {w.week}: {w.agreement:.3f} of {w.flights:,} flights, "
            f"balanced {'unknown' if w.balanced is None else f'{w.balanced:.3f}'}"
            for w in broken[:10]
        )
        raise LabelsRefused(
            "labels disagree with the departure-late flag in "
            f"{len(broken)} carrier-week(s): {rows}; wanted are {rule.min_agreement:g} and, "
            f"balanced, {rule.min_balanced_agreement:g} (outcome in configs/monitor.yaml); "
            "correct the labels at their source, and train on none of them until then"
        )
