"""The gain of refreshes: each champion's losses against those of the champion before it.

A refresh of last week's champion cannot be compared before it goes live: no day is held out from
both. Afterwards every day is, and several weeks of days show what one cannot.
"""

import pandas as pd

from pipeline.features.definitions import NAME
from pipeline.monitor.performance.delayed_labels import fold
from pipeline.monitor.predictions import RISK, days_of
from pipeline.records.rollout_ledger import Entry
from pipeline.retrain.policy import RefreshGain
from pipeline.retrain.replayed_predictions import ReplayedYear
from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss


def previous_releases(known: list[Entry]) -> dict[str, str]:
    """The release of the former champion, by the release that replaced it."""
    return {
        move.challenger.release: move.champion.release
        for move in (entry.move for entry in known)
        if move.event == "promoted" and move.challenger is not None
    }


def refresh_gain(
    year: ReplayedYear, known: list[Entry], events: pd.DataFrame, bootstrap: Bootstrap
) -> RefreshGain | None:
    """The loss of the served predictions less that of the former release, over labelled rows.

    `events` has the label ledger's columns. None if fewer than two days have both.
    """
    labels = fold(events).table.set_index(NAME)["late"]
    chosen = year.base[NAME].isin(labels.index).to_numpy()
    rows, previous = year.predictions(known, chosen), previous_releases(known)
    rows = rows[rows["release"].isin(list(previous))]
    days = days_of(rows[NAME])
    if len(set(days)) < 2:
        return None
    former = pd.Series(0.0, index=rows.index)
    for release, of in rows.groupby("release"):
        risk = pd.Series(year.risk(previous[str(release)])[chosen], year.base[NAME][chosen])
        former[of.index] = risk[of[NAME]].to_numpy()
    late = labels[rows[NAME]].to_numpy()
    worse = log_loss(late, rows[RISK].to_numpy()) - log_loss(late, former.to_numpy())
    found = difference(worse, days, bootstrap)
    return RefreshGain(
        point=round(found.point, 6),
        low=round(found.low, 6),
        high=round(found.high, 6),
        days=found.days,
    )
