"""The label feed: delayed labels, when they became known, and when they arrived here.

A label has two instants. `known_at`: when it became known in the world; `arrived_at`: when our feed
delivered it. Labels arrive late, twice, out of order and corrected, so the table is a fold over all
events: any order and any repetition give the same one. Contradicting events are set aside.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from pipeline.features.definitions import LABEL, NAME
from pipeline.monitor.predictions import days_of
from pipeline.shared.clock import LABELS_COMPLETE, next_arrival
from pipeline.shared.errors import LabelsRefused
from pipeline.usecase.chosen import USECASE


class DelayedLabel(NamedTuple):
    """One event of the feed: an event's label from the source.

    `late` is 1 or 0; `revision` numbers the source's revisions of this label, from 0 on.
    """

    name: str
    late: int
    known_at: pd.Timestamp
    arrived_at: pd.Timestamp
    revision: int = 0


LABELS_DUE = USECASE.monitored.labels_due
"""The time from a day's midnight to the instant at which its labels are due here."""
LABEL_COLUMNS = [NAME, *DelayedLabel._fields[1:]]
_CONTENT = ["revision", "late", "known_at"]
"""The content of an event, without `arrived_at`, when it reached us."""


@dataclass(frozen=True)
class FoldedLabels:
    """The labels that result from all events.

    `table` has a row per name, in LABEL_COLUMNS: the highest revision, and when it first
    arrived. `conflicts` are events of names whose highest revision is contradictory: they have no
    label until a later revision. `duplicates` counts events without new content, `corrections`
    names whose label differs from that of their first revision.
    """

    table: pd.DataFrame
    conflicts: pd.DataFrame
    duplicates: int
    corrections: int


@dataclass(frozen=True)
class RequestLabels:
    """The labels of predicted events, and the events that were set aside.

    `unrequested` are those of names without a prediction, `impossible` those known at or before
    their prediction; `events` counts all of them, `newest` is the last arrival (NaT: none yet).
    """

    folded: FoldedLabels
    unrequested: pd.DataFrame
    impossible: pd.DataFrame
    events: int
    newest: Any

    @property
    def table(self) -> pd.DataFrame:
        """A row per name with a label."""
        return self.folded.table


def feed_table(labels: list[DelayedLabel]) -> pd.DataFrame:
    """Events as the feed's table, in LABEL_COLUMNS; instants in UTC."""
    frame = pd.DataFrame(labels, columns=LABEL_COLUMNS)
    instants = {name: pd.to_datetime(frame[name], utc=True) for name in ("known_at", "arrived_at")}
    return frame.assign(**instants).astype({"late": "int8", "revision": "int64"})


def require_sound_feed(events: pd.DataFrame) -> None:
    """Refuse an invalid feed: a missing column or time zone, or an invalid value.

    Raises:
        LabelsRefused: names the rule, how many events break it, and the first of them.
    """
    if missing := [name for name in LABEL_COLUMNS if name not in events]:
        raise LabelsRefused(
            f"the label feed lacks {', '.join(missing)}; it has {', '.join(map(str, events))}: "
            f"make it {', '.join(LABEL_COLUMNS)}"
        )
    kinds = {name: getattr(events[name].dtype, "tz", None) for name in ("known_at", "arrived_at")}
    if zoneless := [name for name, zone in kinds.items() if zone is None]:
        raise LabelsRefused(f"{zoneless[0]} of the label feed has no time zone; make it UTC")
    named = events[NAME].astype(str).str.fullmatch(USECASE.monitored.name_pattern)
    wrong = {
        f"names no {USECASE.words.event}": ~named,
        f"is neither {USECASE.words.positive} (1) nor not (0)": ~events["late"].isin([0, 1]),
        "has no whole revision from 0 on": ~(events["revision"] >= 0)
        | (events["revision"] % 1 != 0),
        "arrived before it was known": ~(events["arrived_at"] >= events["known_at"]),
    }
    for rule, broken in wrong.items():
        if broken.any():
            first = tuple(map(str, events[broken].iloc[0][LABEL_COLUMNS]))
            raise LabelsRefused(
                f"{int(broken.sum()):,} of {len(events):,} events of the label feed: each {rule}; "
                f"the first is {first}; correct them at the source, and receive the file again"
            )


def arrived_events(events: pd.DataFrame, instant: pd.Timestamp) -> pd.DataFrame:
    """The events that had arrived by an instant."""
    return events[events["arrived_at"] <= instant]


def fold(events: pd.DataFrame) -> FoldedLabels:
    """One row per name from all its events, independent of order and repetition."""
    codes, _ = pd.factorize(events[NAME], sort=True)
    keyed = events[LABEL_COLUMNS].assign(code=codes).sort_values(["code", *_CONTENT, "arrived_at"])
    distinct = keyed.drop_duplicates(["code", *_CONTENT]).reset_index(drop=True)
    by_name = distinct.groupby("code", sort=False)
    top = distinct[distinct["revision"] == by_name["revision"].transform("max")]
    split = top["code"].duplicated(keep=False)
    changed = by_name["late"].transform("first")[top.index] != top["late"]
    return FoldedLabels(
        table=top[~split].reset_index(drop=True)[LABEL_COLUMNS],
        conflicts=top[split].reset_index(drop=True)[LABEL_COLUMNS],
        duplicates=len(events) - len(distinct),
        corrections=int((changed & ~split).sum()),
    )


def settle(predicted: pd.Series, events: pd.DataFrame) -> RequestLabels:
    """The labels of predicted events; `predicted` is the T of each, by its name (unique).

    Raises:
        LabelsRefused: the feed's table is invalid.
    """
    require_sound_feed(events)
    at = events[NAME].map(predicted)
    unrequested, impossible = at.isna(), events["known_at"] <= at
    return RequestLabels(
        folded=fold(events[~unrequested & ~impossible]),
        unrequested=events[unrequested],
        impossible=events[impossible],
        events=len(events),
        newest=events["arrived_at"].max(),
    )


def dates(names: pd.Series) -> pd.Series:
    """The local date of each event, at midnight UTC, from its name."""
    date = pd.Series(days_of(names), names.index, name=names.name)
    midnights = {name: pd.Timestamp(name, tz="UTC") for name in date.unique()}
    return pd.to_datetime(date.map(midnights), utc=True)


def daily(rows: pd.DataFrame) -> pd.DataFrame:
    """The feed as the source sends it here: each label in the first file after it is known.

    There is one file a day, at 10:00 UTC; none has an event of the same day. Every revision is 0.
    `rows` are of the feature table: events with their outcome and when it became known.
    """
    names = USECASE.names_of(rows)
    events = pd.DataFrame({NAME: names, "late": rows[LABEL], "known_at": rows[f"{LABEL}_known_at"]})
    usual = dates(names) + LABELS_COMPLETE
    arrived = usual.mask(events["known_at"] > usual, next_arrival(events["known_at"]))
    return events.assign(arrived_at=arrived, revision=0)[LABEL_COLUMNS]


def first_names(names: pd.Series, most: int = 5) -> list[str]:
    """The first few names, in order, each once."""
    return sorted(set(names))[:most]
