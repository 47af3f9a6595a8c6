"""A check of labels against the proxy.

Where the proxy is 1 the label mostly is too, and the proxy comes from another event than the label.
A group's week whose labels disagree with the proxy is presumed to have broken labels: they are used
neither for evaluation nor for training. The use case says what the groups are.
"""

import math

import pandas as pd

from pipeline.features.definitions import LABEL, NAME, PROXY
from pipeline.monitor.performance.delayed_labels import dates
from pipeline.shared.config.monitor import OutcomeRule
from pipeline.shared.contracts import Record
from pipeline.shared.errors import LabelsRefused
from pipeline.usecase.chosen import USECASE

_WORDS = USECASE.words


class Agreement(Record):
    """The share of a group's labels in one week, from Monday, that equal the proxy.

    `balanced` is the mean of that share among rows whose proxy is 1 and among the others: 0.5 if
    all labels are equal, None with too few of either. `trusted` is None with too few rows.
    """

    group: str
    week: str
    rows: int
    agreement: float
    balanced: float | None
    trusted: bool | None


def group_weeks(names: pd.Series) -> pd.DataFrame:
    """The group of each event, and the Monday of its week, from its name."""
    date = dates(names)
    monday = date - pd.to_timedelta(date.dt.dayofweek, unit="D")
    week = monday.map({at: f"{at:%Y-%m-%d}" for at in monday.unique()})
    return pd.DataFrame({"group": USECASE.monitored.label_group(names), "week": week})


def label_agreement(known: pd.DataFrame, rule: OutcomeRule) -> list[Agreement]:
    """The share of rows whose label equals the proxy, by group and week, the lowest first.

    `known` has a row per event (NAME, LABEL, PROXY); rows that lack either do not count.
    """
    both = known[known[LABEL].notna() & known[PROXY].notna()]
    late, equal = both[PROXY] == 1, both[LABEL] == both[PROXY]
    counts = group_weeks(both[NAME]).assign(rows=1, late=late, equal=equal, late_equal=late & equal)
    found = counts.groupby(["group", "week"]).sum()
    of_late = found["late_equal"] / found["late"]
    others = found["rows"] - found["late"]
    of_others = (found["equal"] - found["late_equal"]) / others
    enough = (found["late"] >= rule.agreement_min_each) & (others >= rule.agreement_min_each)
    balanced = ((of_late + of_others) / 2).where(enough).tolist()
    rows = zip(found.index, found["rows"].tolist(), found["equal"].tolist(), balanced, strict=True)
    weeks = [
        _judge_week(group, week, count, equal / count, both_alike, rule)
        for (group, week), count, equal, both_alike in rows
    ]
    return sorted(weeks, key=lambda w: (w.agreement, w.group, w.week))


def _judge_week(
    group: str, week: str, rows: int, share: float, balanced: float, rule: OutcomeRule
) -> Agreement:
    """Judge a week: not trusted below either limit; a balanced share of NaN does not count."""
    low = share < rule.min_agreement or balanced < rule.min_balanced_agreement
    return Agreement(
        group=group,
        week=week,
        rows=rows,
        agreement=round(share, 4),
        balanced=None if math.isnan(balanced) else round(balanced, 4),
        trusted=not low if rows >= rule.agreement_min_rows else None,
    )


def is_distrusted(names: pd.Series, weeks: list[Agreement]) -> pd.Series:
    """Whether each event belongs to a group's week whose labels are not trusted."""
    broken = {(w.group, w.week) for w in weeks if w.trusted is False}
    if not broken:
        return pd.Series(False, index=names.index)
    of = pd.MultiIndex.from_frame(group_weeks(names))
    return pd.Series(of.isin(list(broken)), index=names.index)


def require_agreement(weeks: list[Agreement], rule: OutcomeRule) -> None:
    """Refuse labels if some group's week disagrees with the proxy.

    Raises:
        LabelsRefused: names each group and week with its share and the limit.
    """
    if broken := [w for w in weeks if w.trusted is False]:
        rows = ", ".join(
            f"{w.group} in the week of {w.week}: {w.agreement:.3f} of {w.rows:,} {USECASE.noun}, "
            f"balanced {'unknown' if w.balanced is None else f'{w.balanced:.3f}'}"
            for w in broken[:10]
        )
        raise LabelsRefused(
            f"labels disagree with the {_WORDS.proxy} flag in "
            f"{len(broken)} {_WORDS.group}-week(s): {rows}; wanted are {rule.min_agreement:g} and, "
            f"balanced, {rule.min_balanced_agreement:g} (outcome in configs/monitor.yaml); "
            "correct the labels at their source, and train on none of them until then"
        )
