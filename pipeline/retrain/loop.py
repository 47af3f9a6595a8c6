"""The closed loop: each day is watched, each week it is asked whether to train, and it is done.

Time is the replay's. A day ends when its label file has come, at 10:00 UTC of the next; nothing
that comes later is looked at. Killed at any point, the same command goes on from the journal to the
same end, since every step is either written down or safe to do again.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from pipeline.features.windows import ZONE
from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry, Side
from pipeline.retrain import journal
from pipeline.retrain.attempt import attempted, put_back
from pipeline.retrain.decisions import attempts
from pipeline.retrain.journal import Event
from pipeline.retrain.policy import decide, is_check_day
from pipeline.retrain.served import Year, serves_all
from pipeline.retrain.signals import DAY, Feed, Watch, published, who_serves
from pipeline.rollout.traffic.source import Source
from pipeline.shared.clock import LABELS_COMPLETE
from pipeline.shared.config.loading import load
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.errors import DayUnknown, RegistryRefused, RolloutRefused
from pipeline.shared.watcher import hold

LOCK = Path("state/retrain/loop.lock")
ROLLOUT_DAYS = 10
"""A day of shadow, the steps of a canary, a day to bake, and one to begin at midnight."""
YEAR = Window(first="2013-01-08", last="2013-12-31")


class Online(Protocol):
    """The online path of the loop: a sample of the flights is asked for over HTTP."""

    @property
    def source(self) -> Source:
        """The traffic of rollouts."""

    def ask(self, side: Side, chosen: np.ndarray) -> int:
        """Ask for a sample of flights that one release serves; rows with skew among them.

        Raises:
            ServersFailed: they do not start, do not answer, or do not log what they answered.
        """

    def close(self) -> None:
        """End the servers, if any run."""


Sampled = Callable[[Year, float], Online]
"""Opens the online path for a share of a year's flights."""


def loop(sampled: Sampled, until: str = "2013-12-31") -> str:
    """Let time pass until a day, and keep the champion up meanwhile; how it stands then.

    `sampled` opens the online path for a sample of the traffic.

    Raises:
        DayUnknown: the replayed year does not have the day.
        RegistryRefused: there is no champion yet.
        RolloutRefused: the loop runs already.
        StorageFailed: something could not be written; the same again goes on from there.
    """
    day = _day(until)
    with alone():
        for _ in lived(day, sampled):
            pass
        return _told()


def _day(text: str) -> pd.Timestamp:
    day = pd.to_datetime(text, errors="coerce", format="%Y-%m-%d")
    if pd.isna(day) or not YEAR.first <= text <= YEAR.last:
        raise DayUnknown(
            f"{text!r} is no day from {YEAR.first} to {YEAR.last}; run `make loop UNTIL=2013-06-30`"
        )
    return pd.Timestamp(day)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the only loop.

    Raises:
        RolloutRefused: another runs.
    """
    with hold(LOCK) as mine:
        if mine is None:
            raise RolloutRefused(
                f"the loop runs already, 1 at a time is allowed ({LOCK} is held); wait for it, or "
                "stop it: `make loop` goes on where it was"
            )
        yield


def lived(until: pd.Timestamp, sampled: Sampled, feed: Feed = published) -> Iterator[Event]:
    """Day by day what was written down, from where the journal stands."""
    known = who_serves()
    if not known:
        raise RegistryRefused(
            "the ledger has 0 entries, 1 is needed to begin: `make champion` registers a model"
        )
    put_back()
    year = Year.of(YEAR)
    watch, online = Watch.begun(year, feed), sampled(year, load(RetrainConfig).online_share)
    try:
        for day in _days(known, until):
            yield from _passed(day, watch, online)
    finally:
        online.close()


def _days(known: list[Entry], until: pd.Timestamp) -> Iterator[str]:
    """The days that are not over in the journal yet, up to `until`."""
    over = [event for event in journal.events() if event.kind == "day"]
    first = pd.Timestamp(over[-1].told["day"]) + DAY if over else pd.Timestamp(_first_day(known))
    for day in pd.date_range(first, until):
        yield f"{day:%Y-%m-%d}"


def _first_day(known: list[Entry]) -> str:
    """The day on which the first champion began to serve."""
    return f"{pd.Timestamp(known[0].move.at).tz_convert(ZONE):%Y-%m-%d}"


def _passed(day: str, watch: Watch, online: Online) -> Iterator[Event]:
    """A day is over and its labels are there: look, and once a week decide and act."""
    now = pd.Timestamp(day, tz="UTC") + LABELS_COMPLETE
    known = [entry for entry in who_serves() if pd.Timestamp(entry.move.at) <= now]
    labels = watch.receive(_first_day(known), day)
    alert = watch.outcome(known, now)
    if is_check_day(now, load(RetrainConfig).policy):
        yield from _checked(now, known, watch, online)
    answered = watch.year.answered(known, watch.year.between(day, day))
    told = {
        "day": day,
        "flights": len(answered),
        "versions": sorted(set(answered["version"])),
        "labels": labels,
        "outcome": alert.status,
        "excess": alert.figures.excess,
        "gap": alert.figures.gap,
    }
    yield journal.add(now, "day", told)


def _checked(
    now: pd.Timestamp, known: list[Entry], watch: Watch, online: Online
) -> Iterator[Event]:
    """Ask the policy, unless a rollout still goes on; do what it says."""
    events, policy = journal.events(), load(RetrainConfig).policy
    asked = [e for e in events if e.kind == "check" and pd.Timestamp(e.at) == now]
    if not asked and (until := pd.Timestamp(who_serves()[-1].move.at)) > now:
        _say(now, f"no check: a rollout goes on until {until:%Y-%m-%d %H:%M}Z")
        return
    if not asked and now + ROLLOUT_DAYS * DAY > pd.Timestamp(YEAR.last, tz="UTC"):
        _say(now, f"no check: the replayed year ends on {YEAR.last}, before a rollout could")
        return
    if not asked:
        side, since = serves_all(known)
        week = watch.year.between(max(since, f"{now - 7 * DAY:%Y-%m-%d}"), f"{now - DAY:%Y-%m-%d}")
        skew = online.ask(side, week)
        signals = watch.signals(known, now, skew)
        decision = decide(signals, attempts(events), policy)
        told = {"signals": signals, "decision": decision, "policy": policy}
        asked = [journal.add(now, "check", {k: v.model_dump() for k, v in told.items()})]
        yield from asked
    decision_told = asked[0].told["decision"]
    _say(now, f"{decision_told['action']}: {'; '.join(decision_told['reasons'])}")
    if decision_told["action"] == "retrain" and not _ended(events, now):
        online.close()
        as_of = f"{now - DAY:%Y-%m-%d}"
        attempt = attempted(now, as_of, lambda words: _say(now, words), online.source)
        _say(now, f"attempt on data to {as_of}: {attempt.result}")


def _ended(events: list[Event], now: pd.Timestamp) -> bool:
    return any(e.kind == "ended" and pd.Timestamp(e.at) == now for e in events)


_BEGAN = time.monotonic()


def _say(now: pd.Timestamp, words: str) -> None:
    """A line for who waits; never on the journal."""
    sys.stderr.write(f"loop: {now:%m-%d}  {words} ({time.monotonic() - _BEGAN:.0f} s)\n")


def _told() -> str:
    """How it stands, in a line."""
    every = journal.events()
    results = [attempt.result for attempt in attempts(every)]
    days = [event for event in every if event.kind == "day"]
    if not days:
        return "no day has passed yet"
    side, since = serves_all(rollout_ledger.entries())
    counted = ", ".join(f"{results.count(one)} {one}" for one in sorted(set(results))) or "none"
    return (
        f"{len(days)} days to {days[-1].told['day']}, {sum(e.kind == 'check' for e in every)} "
        f"checks, attempts: {counted}; {side.label} serves since {since}; journal "
        f"{journal.last_hash()[:12]} -> {journal.JOURNAL}"
    )
