"""All facts of a project's folder at an instant, and what of them is live."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from cockpit.facts import case as cases
from cockpit.facts import checks, graph, month, registry, releases, rollouts, snapshots, verdict
from cockpit.reading import Missing
from pipeline.records import command_runs
from pipeline.records.command_runs import RUNS, CommandRun
from pipeline.records.rollout_ledger import LEDGER
from pipeline.shared.contracts import ROLLOUT
from pipeline.shared.watcher import is_locked

STORY, YEAR = Path("state/replay/run"), Path("state/replay/year")
"""The replays of `make run` and `make measure M=year`, each a checkout of its own within."""
_LOCKS = {
    "a rollout": Path("state/rollout/controller.lock"),
    "the closed loop": Path("state/retrain/loop.lock"),
    "its servers": Path("state/rollout/kept/lock"),
}
_WATCHED = [
    "state/rollout/ledger.db",
    "state/rollout/ledger.jsonl",
    "state/retrain/journal.db",
    "state/retrain/journal.jsonl",
    "state/mlflow.db",
    "state/mlflow.db-wal",
    str(RUNS),
    "data/monitor/month.json",
    "data/monitor/signals.json",
    "data/validate/report.json",
    "data/evaluate/verdict.json",
    "dvc.lock",
    *map(str, _LOCKS.values()),
]


@dataclass(frozen=True)
class Project:
    """Everything that the page shows of one folder.

    `live` names the programs that run there; without any, all is as they left it. `now` is the
    replay's present: the arrival of the newest data, or a later transition or day of the loop.
    """

    folder: Path
    name: str
    case: cases.Case
    live: list[str]
    now: datetime | None
    releases: releases.Releases | Missing
    loop: checks.Loop | Missing
    registry: registry.Registry | Missing
    rollouts: list[rollouts.Rollout]
    verdict: verdict.Verdict | Missing
    snapshots: snapshots.Report | Missing
    month: month.Month | Missing
    stages: list[graph.StageState] | Missing
    runs: list[CommandRun]
    arrived: str | Missing
    next_check: datetime | Missing

    @property
    def stands_still(self) -> bool:
        """Whether the loop's next check has passed while nothing runs that could make it."""
        due = self.next_check
        if isinstance(self.loop, Missing) or isinstance(due, Missing) or self.now is None:
            return False
        return due < self.now and not self.live


def read(folder: Path, name: str) -> Project:
    """Read all facts of a folder."""
    ledger, loop = releases.read(folder), checks.read(folder)
    arrived = snapshots.arrived(folder)
    now = _now(ledger, loop, arrived)
    stands = now if isinstance(loop, Missing) else loop.at
    return Project(
        folder=folder,
        name=name,
        case=cases.read(folder),
        live=[what for what, lock in _LOCKS.items() if is_locked(folder / lock)],
        now=now,
        releases=ledger,
        loop=loop,
        registry=registry.read(folder),
        rollouts=[] if isinstance(ledger, Missing) else rollouts.read(folder, ledger),
        verdict=verdict.read(folder),
        snapshots=snapshots.read(folder),
        month=month.read(folder),
        stages=graph.read(folder),
        runs=command_runs.read_runs(folder / RUNS),
        arrived=arrived,
        next_check=_next_check(folder, stands),
    )


def _next_check(folder: Path, stands: datetime | None) -> datetime | Missing:
    if stands is None:
        return Missing("the next check", "there is no champion to check yet", "make run")
    return checks.next_check(folder, stands)


def _now(
    ledger: releases.Releases | Missing, loop: checks.Loop | Missing, arrived: str | Missing
) -> datetime | None:
    """The replay's present; None before anything was released."""
    if isinstance(ledger, Missing):
        return None
    found = [ledger.last.at]
    if not isinstance(loop, Missing):
        found.append(loop.at)
    if isinstance(arrived, str):
        found.append(arrival(arrived))
    return max(found)


def arrival(arrived: str) -> datetime:
    """The instant at which a month, or its beginning up to a day, is complete.

    As in pipeline/shared/clock.py, which loads pandas: 10:00 UTC of the day after its last one.
    """
    if len(arrived) == 7:
        year, number = map(int, arrived.split("-"))
        after = date(year + number // 12, number % 12 + 1, 1)
    else:
        after = date.fromisoformat(arrived) + timedelta(days=1)
    return datetime.combine(after, time(10), UTC)


def signature(folder: Path) -> str:
    """A text that changes when the page might: times and sizes of the files behind it."""
    paths = [folder / name for name in _WATCHED]
    paths += sorted((folder / ROLLOUT).glob("*/analyses.jsonl"))
    parts = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue
        parts.append(f"{path.name}:{stat.st_mtime_ns}:{stat.st_size}")
    locks = [str(is_locked(folder / lock)) for lock in _LOCKS.values()]
    return " ".join(parts + locks)


def projects(root: Path) -> dict[str, tuple[Path, str]]:
    """The folders that can be shown, by the word in the page's address: this one, and replays."""
    found = {"here": (root, "this project")}
    replays = {"story": (STORY, "the recorded story"), "year": (YEAR, "the replayed year")}
    for word, (place, name) in replays.items():
        if (root / place / LEDGER).is_file():
            found[word] = (root / place, name)
    return found


def newest(root: Path) -> str:
    """The folder in which something happened last."""
    found = projects(root)
    times = {word: _changed_at(folder) for word, (folder, _) in found.items()}
    return max(found, key=lambda word: (times[word], word == "story"))


def _changed_at(folder: Path) -> float:
    ledger, journal = folder / LEDGER, folder / checks.JOURNAL
    return max((p.stat().st_mtime for p in (ledger, journal) if p.is_file()), default=0.0)
