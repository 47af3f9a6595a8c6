"""Did the refreshes pay? Each champion's losses against those of the champion before it.

A refresh of last week's champion is compared with nothing before it goes live: no day is new to
both. Afterwards every day is, and the days of several weeks show what those of one cannot.
"""

import pandas as pd

from pipeline.monitor.performance.labels import fold
from pipeline.monitor.predictions import RISK, days_of
from pipeline.records.rollout_ledger import Entry
from pipeline.retrain.policy import RefreshGain
from pipeline.retrain.served import Year
from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss


def previous_releases(known: list[Entry]) -> dict[str, str]:
    """Each promoted release, and the release of the champion that it took over from."""
    return {
        move.challenger.release: move.champion.release
        for move in (entry.move for entry in known)
        if move.event == "promoted" and move.challenger is not None
    }


def refresh_gain(
    year: Year, known: list[Entry], told: pd.DataFrame, bootstrap: Bootstrap
) -> RefreshGain | None:
    """Over flights whose labels were told: the loss as answered, less that by the release before.

    `told` has the label ledger's columns. None where fewer than two days have both.
    """
    labels = fold(told).table.set_index("flight")["late"]
    chosen = year.base["flight"].isin(labels.index).to_numpy()
    rows, released = year.predictions(known, chosen), previous_releases(known)
    rows = rows[rows["release"].isin(list(released))]
    days = days_of(rows["flight"])
    if len(set(days)) < 2:
        return None
    former = pd.Series(0.0, index=rows.index)
    for release, of in rows.groupby("release"):
        risk = pd.Series(year.risk(released[str(release)])[chosen], year.base["flight"][chosen])
        former[of.index] = risk[of["flight"]].to_numpy()
    late = labels[rows["flight"]].to_numpy()
    worse = log_loss(late, rows[RISK].to_numpy()) - log_loss(late, former.to_numpy())
    found = difference(worse, days, bootstrap)
    return RefreshGain(
        point=round(found.point, 6),
        low=round(found.low, 6),
        high=round(found.high, 6),
        days=found.days,
    )
