"""The closed loop: monitor every day, consult the policy every week, and retrain if it says so.

Time is the replay's. A day ends when its label file arrives, at 10:00 UTC of the next day; nothing
later is read. After a kill at any point, the same command resumes from the journal and reaches the
same end, since every step is either journaled or safe to repeat.
"""

import contextlib
import math
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
from pipeline.retrain.attempt import restore_data, run_attempt
from pipeline.retrain.decisions import attempts
from pipeline.retrain.journal import JournalEvent
from pipeline.retrain.policy import decide_retraining, is_check_day
from pipeline.retrain.replayed_predictions import ReplayedYear, serves_all
from pipeline.retrain.signals import DAY, LabelFeed, Monitor, daily_file
from pipeline.rollout.traffic.live_traffic import Source
from pipeline.shared.clock import LABELS_COMPLETE
from pipeline.shared.config.loading import load
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.errors import DayUnknown, RegistryRefused, RolloutRefused
from pipeline.shared.watcher import hold
from pipeline.usecase.chosen import USECASE

_LOCK = Path("state/retrain/loop.lock")
_LEAST_ROLLOUT_DAYS = 10
_WARM = pd.Timestamp(USECASE.begins) + pd.Timedelta(days=7)
YEAR = Window(first=f"{_WARM:%Y-%m-%d}", last=USECASE.last_day)
"""The days of the replay: the first week only warms the features up."""


class Online(Protocol):
    """The online path of the loop: a sample of the events is predicted over HTTP."""

    @property
    def source(self) -> Source:
        """The traffic of rollouts."""

    def ask(self, side: Side, chosen: np.ndarray) -> int:
        """Request predictions of one release for a sample of events; return the rows with skew.

        Raises:
            ServersFailed: they do not start, do not respond, or do not log their responses.
        """

    def close(self) -> None:
        """Stop the servers, if any run."""


OpenOnline = Callable[[ReplayedYear, float], Online]
"""Opens the online path for a share of a year's events."""


def run_loop(open_online: OpenOnline, until: str = USECASE.last_day) -> str:
    """Run the loop to a day, retraining the champion on the way; return a summary line.

    `open_online` opens the online path for a sample of the traffic.

    Raises:
        DayUnknown: the day is not in the replayed year.
        RegistryRefused: there is no champion yet.
        RolloutRefused: a loop runs already.
        StorageFailed: a write failed; the same command resumes there.
    """
    day = _day(until)
    with exclusive_lock():
        for _ in run_days(day, open_online):
            pass
        return _summary()


def _day(text: str) -> pd.Timestamp:
    day = pd.to_datetime(text, errors="coerce", format="%Y-%m-%d")
    if pd.isna(day) or not YEAR.first <= text <= YEAR.last:
        raise DayUnknown(
            f"{text!r} is no day from {YEAR.first} to {YEAR.last}; run `make loop "
            f"UNTIL={YEAR.last}`"
        )
    return pd.Timestamp(day)


@contextlib.contextmanager
def exclusive_lock() -> Iterator[None]:
    """Hold the lock of the only loop.

    Raises:
        RolloutRefused: another loop runs.
    """
    with hold(_LOCK) as mine:
        if mine is None:
            raise RolloutRefused(
                f"a loop runs already, 1 at a time is allowed ({_LOCK} is held); wait for it, or "
                "stop it: `make loop` resumes where it was"
            )
        yield


def run_days(
    until: pd.Timestamp, open_online: OpenOnline, feed: LabelFeed = daily_file
) -> Iterator[JournalEvent]:
    """Run day by day from the end of the journal; yield each new journal event."""
    known = rollout_ledger.entries()
    if not known:
        raise RegistryRefused(
            "the ledger has 0 entries, 1 is needed to begin: `make champion` registers a model"
        )
    restore_data()
    year = ReplayedYear.of(YEAR)
    monitor = Monitor.from_ledger(year, feed)
    online = open_online(year, load(RetrainConfig).online_share)
    try:
        for day in _days(known, until):
            yield from _run_day(day, monitor, online)
    finally:
        online.close()


def _days(known: list[Entry], until: pd.Timestamp) -> Iterator[str]:
    """The days up to `until` that the journal does not have yet."""
    over = [event for event in journal.events() if event.kind == "day"]
    first = pd.Timestamp(over[-1].told["day"]) + DAY if over else pd.Timestamp(_first_day(known))
    for day in pd.date_range(first, until):
        yield f"{day:%Y-%m-%d}"


def _first_day(known: list[Entry]) -> str:
    """The day on which the first champion began to serve."""
    return f"{pd.Timestamp(known[0].move.at).tz_convert(ZONE):%Y-%m-%d}"


def _run_day(day: str, monitor: Monitor, online: Online) -> Iterator[JournalEvent]:
    """Process a day whose labels have arrived; on check days decide and act."""
    now = pd.Timestamp(day, tz="UTC") + LABELS_COMPLETE
    known = [entry for entry in rollout_ledger.entries() if pd.Timestamp(entry.move.at) <= now]
    labels = monitor.receive(_first_day(known), day)
    alert = monitor.performance_alert(known, now)
    if is_check_day(now, load(RetrainConfig).policy):
        yield from _check(now, known, monitor, online)
    rows = monitor.year.predictions(known, monitor.year.between(day, day))
    interval = alert.excess_interval
    payload = {
        "day": day,
        "rows": len(rows),
        "versions": sorted(set(rows["version"])),
        "labels": labels,
        "outcome": alert.status,
        "excess": alert.figures.excess,
        "excess_interval": interval and [interval.low, interval.high],
        "gap": alert.figures.gap,
    }
    yield journal.add(now, "day", payload)


def rollout_days() -> int:
    """A day to begin at midnight, one of shadow, the steps of a canary, and its days to bake."""
    plan = load(RolloutConfig).canary
    steps = sum(step.days for step in plan.steps)
    return max(_LEAST_ROLLOUT_DAYS, math.ceil(2 + steps + plan.bake_days))


def _check(
    now: pd.Timestamp, known: list[Entry], monitor: Monitor, online: Online
) -> Iterator[JournalEvent]:
    """Consult the policy, unless a rollout is in progress, and act on its decision."""
    events, policy = journal.events(), load(RetrainConfig).policy
    checks = [e for e in events if e.kind == "check" and pd.Timestamp(e.at) == now]
    if not checks and (until := pd.Timestamp(rollout_ledger.entries()[-1].move.at)) > now:
        _say(now, f"no check: a rollout goes on until {until:%Y-%m-%d %H:%M}Z")
        return
    if not checks and now + rollout_days() * DAY > pd.Timestamp(YEAR.last, tz="UTC"):
        _say(now, f"no check: the replayed year ends on {YEAR.last}, before a rollout could")
        return
    if not checks:
        side, since = serves_all(known)
        first = max(since, f"{now - 7 * DAY:%Y-%m-%d}")
        skew = online.ask(side, monitor.year.between(first, f"{now - DAY:%Y-%m-%d}"))
        signals = monitor.signals(known, now, skew)
        decision = decide_retraining(signals, attempts(events), policy)
        payload = {"signals": signals, "decision": decision, "policy": policy}
        checks = [journal.add(now, "check", {k: v.model_dump() for k, v in payload.items()})]
        yield from checks
    decided = checks[0].told["decision"]
    _say(now, f"{decided['action']}: {'; '.join(decided['reasons'])}")
    if decided["action"] == "retrain" and not _has_ended(events, now):
        online.close()
        as_of = f"{now - DAY:%Y-%m-%d}"
        attempt = run_attempt(now, as_of, lambda words: _say(now, words), online.source)
        _say(now, f"attempt on data to {as_of}: {attempt.result}{_reason()}")


def _reason() -> str:
    """The refusal that ended the newest attempt; empty after a promotion."""
    ended = [e.told["why"] for e in journal.events() if e.kind == "ended"]
    return f": {ended[-1]}" if ended and ended[-1] else ""


def _has_ended(events: list[JournalEvent], now: pd.Timestamp) -> bool:
    return any(e.kind == "ended" and pd.Timestamp(e.at) == now for e in events)


_BEGAN = time.monotonic()


def _say(now: pd.Timestamp, words: str) -> None:
    """Print progress to stderr; never to the journal."""
    sys.stderr.write(f"loop: {now:%m-%d}  {words} ({time.monotonic() - _BEGAN:.0f} s)\n")


def _summary() -> str:
    """The state of the loop in a line."""
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
