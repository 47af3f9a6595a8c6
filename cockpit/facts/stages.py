"""The stages as the page lists them: state, age, duration, last refusal, files, command."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cockpit.facts.book import Answer, Book
from cockpit.facts.graph import StageState
from cockpit.facts.project import Project
from cockpit.reading import Missing
from pipeline.records.command_runs import CommandRun

_COMMANDS = {
    "reproduce": ["reproduce"],
    "serve": ["serve", "serve-http", "batch"],
    "rollout": ["canary", "shadow", "bluegreen", "rollback", "promote"],
    "monitor": ["monitor", "diagnose"],
    "retrain": ["retrain", "loop"],
}
"""Commands of a stage that is no step of the DVC pipeline, the one to type first."""
_FILES = {
    "register": "state/mlflow.db, state/artifacts/",
    "reproduce": "data/reproduce/",
    "serve": "state/serve/log.db, state/feast/",
    "rollout": "state/rollout/ledger.db, data/rollout/",
    "monitor": "data/monitor/",
    "retrain": "state/retrain/journal.db, data/retrain/",
}
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True)
class StageCard:
    """A stage on the page; `state` is "fresh", "changed", "never", "done" or "refused"."""

    name: str
    does: str
    state: str
    state_words: str
    age: str
    command: str
    facts: list[tuple[str, str]]
    answers: list[Answer]


def stage_map() -> dict[str, str]:
    """Each stage with its work, in the words of the map of pipeline/."""
    import pipeline

    found = re.findall(r"^([a-z]+) {2,}(\S.*)$", pipeline.__doc__ or "", re.MULTILINE)
    return {name: does.replace(" -> ", " → ") for name, does in found}


def stages(project: Project, book: Book, now: datetime) -> list[StageCard]:
    """Every stage in the order of the flow; `now` is the wall clock's."""
    graph = {} if isinstance(project.stages, Missing) else {s.name: s for s in project.stages}
    cards = []
    for name, does in stage_map().items():
        commands = _COMMANDS.get(name, [name])
        runs = [run for run in project.runs if run.command in commands]
        answers = [one for one in book.answers.values() if one.stage == name]
        refusal = _open_refusal(runs)
        state, words = _state(graph.get(name), runs, refusal)
        at = _written_at(graph.get(name), runs)
        facts = _facts(name, graph.get(name), runs, refusal)
        age = "" if at is None else ago(now - datetime.fromtimestamp(at, UTC))
        cards.append(StageCard(name, does, state, words, age, commands[0], facts, answers))
    return cards


def _open_refusal(runs: list[CommandRun]) -> CommandRun | None:
    """The newest run if it was refused."""
    return runs[-1] if runs and runs[-1].ending == "refused" else None


def _state(
    of: StageState | None, runs: list[CommandRun], refusal: CommandRun | None
) -> tuple[str, str]:
    if refusal is not None:
        return "refused", f"refused: {refusal.words.partition(':')[0]}"
    if of is None:
        return ("done", "done") if runs else ("never", "no run recorded")
    if of.state == "changed":
        return "changed", f"inputs changed: {of.reason}"
    return ("fresh", "up to date") if of.state == "fresh" else ("never", "never run")


def _written_at(of: StageState | None, runs: list[CommandRun]) -> float | None:
    if runs:
        return runs[-1].ended_at
    return of.written_at if of else None


def _facts(
    name: str, of: StageState | None, runs: list[CommandRun], refusal: CommandRun | None
) -> list[tuple[str, str]]:
    found = [("files", ", ".join(of.outs) if of else _FILES.get(name, f"data/{name}/"))]
    if of is not None and of.changed:
        found.append(("changed", ", ".join(of.changed)))
    if done := [run for run in runs if run.ending == "done"]:
        found.append(("took", f"{done[-1].seconds:.1f} s"))
        found.append(("said", done[-1].words))
    refused = refusal or next((run for run in reversed(runs) if run.ending == "refused"), None)
    if refused is not None:
        found.append(("last refusal", refused.words))
    return found


def ago(age: timedelta) -> str:
    """An age in its largest whole unit."""
    seconds = age.total_seconds()
    for size, unit in _UNITS:
        if seconds >= size:
            many = int(seconds // size)
            return f"{many} {unit}{'s' if many > 1 else ''} ago"
    return "just now"
