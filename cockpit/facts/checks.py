"""The closed loop's days, checks and attempts, from its journal."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from cockpit.reading import Fact, Missing, read_chain, read_config, unless_changed
from pipeline.shared.config.retrain import RetrainConfig

JOURNAL = Path("state/retrain/journal.db")
_WHAT = "the retraining journal"
_COMMAND = "make loop UNTIL=2013-06-30"
_HOUR = 10
"""UTC: the label file of the day before arrives, and checks happen then."""
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()


class Day(Fact):
    """A day whose labels have arrived: how the champion did on the window that ends with it."""

    at: datetime
    day: date
    versions: list[str]
    labels: int
    status: str = Field(alias="outcome")
    excess: float | None
    gap: float | None
    excess_interval: tuple[float, float] | None = None


class Check(Fact):
    """A check of the retraining policy: its action, its reasons, the signals behind it."""

    at: datetime
    action: str
    triggers: list[str]
    reasons: list[str]
    signals: dict[str, Any]


class Attempt(Fact):
    """An attempt to replace the champion: its steps with their payload, and its result if over."""

    at: datetime
    as_of: str
    steps: dict[str, dict[str, Any]]
    result: str = ""
    why: str = ""


@dataclass(frozen=True)
class Loop:
    """The days, checks and attempts of the loop, oldest first; `at` is where it stands."""

    days: list[Day]
    checks: list[Check]
    attempts: list[Attempt]
    at: datetime
    flaw: str = ""


def read(folder: Path) -> Loop | Missing:
    """Read the journal of a project's folder."""
    path = folder / JOURNAL
    return unless_changed(path, lambda: _read(path))


def _read(path: Path) -> Loop | Missing:
    chain = read_chain(path, _WHAT, _COMMAND)
    if isinstance(chain, Missing):
        return chain
    days: list[Day] = []
    checks: list[Check] = []
    attempts: list[Attempt] = []
    at = datetime.min.replace(tzinfo=UTC)
    for link in chain.links:
        try:
            event = _Event.model_validate_json(link.text)
            at = event.at
            if event.kind == "day":
                days.append(Day.model_validate({"at": at} | event.told))
            elif event.kind == "check":
                found = {"at": at, "signals": event.told["signals"]} | event.told["decision"]
                checks.append(Check.model_validate(found))
            else:
                _follow(attempts, event)
        except (ValidationError, KeyError, IndexError):
            flaw = f"entry {link.number} was written by another version of this project"
            return Loop(days, checks, attempts, at, flaw)
    return Loop(days, checks, attempts, at, chain.flaw)


class _Event(Fact):
    at: datetime
    kind: str
    told: dict[str, Any]


def _follow(attempts: list[Attempt], event: _Event) -> None:
    """Add an event to the attempt that it belongs to."""
    if event.kind == "attempt":
        attempts.append(Attempt(at=event.at, as_of=event.told["as_of"], steps={}))
    elif event.kind == "step":
        steps = {**attempts[-1].steps, event.told["step"]: event.told}
        attempts[-1] = attempts[-1].model_copy(update={"steps": steps})
    elif event.kind == "ended":
        ended = {"result": event.told["result"], "why": event.told.get("why", "")}
        attempts[-1] = attempts[-1].model_copy(update=ended)


def next_check(folder: Path, after: datetime) -> datetime | Missing:
    """The first check day of the policy after an instant."""
    config = read_config(folder, RetrainConfig)
    if isinstance(config, Missing):
        return config
    wanted = _WEEKDAYS.index(config.policy.check_weekday)
    first = after.replace(hour=_HOUR, minute=0, second=0, microsecond=0)
    first += timedelta(days=(wanted - first.weekday()) % 7)
    return first if first > after else first + timedelta(days=7)
