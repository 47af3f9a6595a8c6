"""Labels against the departure-late flag: what the proxy is best for, a check of the labels.

A flight that leaves late mostly arrives late, and the flag comes from another event than the label.
A carrier's week whose labels disagree with its flags is a week of broken labels until shown
otherwise: nothing is judged by them, and nothing may be trained on them.
"""

import pandas as pd

from pipeline.features.definitions import LABEL, PROXY
from pipeline.monitor.labels import dates, part
from pipeline.shared.config import OutcomeRule
from pipeline.shared.contracts import Record
from pipeline.shared.errors import LabelsRefused


class Agreement(Record):
    """How often a carrier's labels of one week, which begins on a Monday, are equal to the flags.

    `trusted` is None where there are too few flights to say.
    """

    carrier: str
    week: str
    flights: int
    agreement: float
    trusted: bool | None


def carrier_weeks(flights: pd.Series) -> pd.DataFrame:
    """The carrier of each flight, and the Monday of its week, from its name."""
    date = dates(flights)
    monday = date - pd.to_timedelta(date.dt.dayofweek, unit="D")
    week = monday.map({at: f"{at:%Y-%m-%d}" for at in monday.unique()})
    return pd.DataFrame({"carrier": part(flights, 1), "week": week})


def label_agreement(known: pd.DataFrame, rule: OutcomeRule) -> list[Agreement]:
    """The share of flights whose label is their flag, by carrier and week, the lowest first.

    `known` has a row per flight (`flight`, LABEL, PROXY); one that lacks either says nothing.
    """
    both = known[known[LABEL].notna() & known[PROXY].notna()]
    equal = carrier_weeks(both["flight"]).assign(equal=both[LABEL] == both[PROXY])
    found = equal.groupby(["carrier", "week"])["equal"].agg(["size", "mean"])
    weeks = [
        Agreement(
            carrier=carrier,
            week=week,
            flights=int(size),
            agreement=round(float(mean), 4),
            trusted=bool(mean >= rule.min_agreement)
            if size >= rule.agreement_min_flights
            else None,
        )
        for (carrier, week), size, mean in found.itertuples()
    ]
    return sorted(weeks, key=lambda w: (w.agreement, w.carrier, w.week))


def distrusted(flights: pd.Series, weeks: list[Agreement]) -> pd.Series:
    """Whether each flight is of a carrier's week whose labels are not to be trusted."""
    broken = {(w.carrier, w.week) for w in weeks if w.trusted is False}
    if not broken:
        return pd.Series(False, index=flights.index)
    of = carrier_weeks(flights)
    return pd.MultiIndex.from_frame(of).isin(list(broken)) & pd.Series(True, index=flights.index)


def require_agreement(weeks: list[Agreement], rule: OutcomeRule) -> None:
    """Refuse labels of which some carrier's week does not agree with the flags.

    Raises:
        LabelsRefused: names each carrier and week with what was found, and the limit.
    """
    if broken := [w for w in weeks if w.trusted is False]:
        told = ", ".join(
            f"{w.carrier} in the week of {w.week}: {w.agreement:.3f} of {w.flights:,} flights"
            for w in broken[:10]
        )
        raise LabelsRefused(
            f"labels disagree with the departure-late flag in {len(broken)} of {len(weeks)} "
            f"carrier-weeks: {told}; at least {rule.min_agreement:g} is wanted "
            "(outcome.min_agreement in configs/monitor.yaml): correct the labels at their source, "
            "and train on none of them until then"
        )
