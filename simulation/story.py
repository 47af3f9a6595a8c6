"""The story on one screen: months of the loop in a sandbox.

A champion serves, a month passes without an alert, then its performance falls: a model is
retrained, judged, and takes over by a canary. Two faults are injected besides: a slow challenger,
and a month in the wrong unit. The loop is the real one; only the scheduled retraining is put
off, so that performance triggers it.
"""

import csv
import io
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.evaluate.refresh import NOT_MUCH_WORSE, NOT_WORSE
from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import Entry
from pipeline.retrain import journal
from pipeline.retrain.training_windows import edit
from pipeline.rollout.traffic import envoy
from pipeline.shared import clock, yaml_files
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import CONFIGS, load
from pipeline.shared.contracts import EVALUATE, ROLLOUT, VALIDATE
from pipeline.shared.errors import GraphFailed
from pipeline.shared.files import bytes_hash, read_json, write_json, write_text
from pipeline.shared.pages import render
from pipeline.shared.replay_plan import Story
from pipeline.shared.source import locate
from pipeline.usecase.chosen import USECASE
from simulation.sandbox import open_sandbox, run_checked, run_in_replay

_DONE = Path("state/story.json")
_WRONG_UNIT = "wrong-unit"
"""The sandbox of the fault in the data, so that it computes while others wait."""
_FAULTY = Path("state/faulty")


@dataclass(frozen=True)
class StoryEvent:
    """A line of the story: date, event, numbers, their file, and the answer it belongs to."""

    when: str
    event: str
    evidence: str
    file: str
    answer: str


def replay() -> str:
    """Replay the story's months in state/replay/run, and report the events.

    Raises:
        EnvironmentUnfit: there is no Envoy here, which the last weeks need.
        GraphFailed: a command ended otherwise than in the story; its output is above.
    """
    envoy.binary()
    story = USECASE.require_story()
    folder, _ = open_sandbox("run")
    if not (folder / _DONE).is_file():
        sys.stderr.write(_begin(folder, story))
        with ThreadPoolExecutor(1) as beside:
            refused = beside.submit(_refuse_wrong_unit, said := io.StringIO())
            if not rollout_ledger.entries(folder / rollout_ledger.LEDGER):
                _change(folder, "retrain", {"policy.max_age_days": str(story.max_age_days)})
                run_checked(folder, "register")
            _run_loop(folder)
            _slow_challenger(folder)
            write_json(folder / _DONE, {"refused": refused.result()})
            sys.stdout.write(said.getvalue())
    events = story_events(folder)
    report = render("simulation/replay.txt", story=events)
    return (
        f"{len(events)} events in {folder}, a project of its own with both versions: `cd` there to "
        f"go on\n{report.rstrip()}"
    )


def _begin(folder: Path, story: Story) -> str:
    """The line that says where a replay's commands run, and of which days."""
    first = f"{clock.arrived_at(load(IngestConfig).as_of):%Y-%m-%d}"
    where = f"in {folder}, a project of its own: what follows runs there"
    return f"replay: {first} to {story.until[0]}, then two faults, {where}\n"


def _run_loop(folder: Path) -> None:
    days = USECASE.require_story().until  # a busy machine makes a challenger slow: then the second
    for until in days:
        if not _promotions(folder):
            run_checked(folder, "loop", f"--until={until}")
    if not _promotions(folder):
        raise GraphFailed(
            f"0 of {len(_ends(folder))} attempts until {days[-1]} were promoted, expected 1; "
            f"see {folder / journal.JOURNAL}; remove {folder}, then run `make replay` on a "
            "machine that is less busy"
        )


def _ends(folder: Path) -> list[journal.JournalEvent]:
    return [e for e in journal.events(folder / journal.JOURNAL) if e.kind == "ended"]


def _promotions(folder: Path) -> list[journal.JournalEvent]:
    return [event for event in _ends(folder) if event.told["result"] == "promoted"]


def _change(folder: Path, stage: str, values: dict[str, str]) -> None:
    path = folder / CONFIGS / f"{stage}.yaml"
    write_text(path, edit(path.read_text(encoding="utf-8"), values))


def _slow_challenger(folder: Path) -> None:
    """Deploy the champion again with an injected slow server, which is rolled back."""
    if not _fault_rollback(rollout_ledger.entries(folder / rollout_ledger.LEDGER)):
        code, _ = run_in_replay(folder, "canary", "--bad=slow")
        if code != 1:
            raise GraphFailed(
                f"the slow challenger's canary ended with {code}, expected 1: it was not rolled "
                "back; see `make rollout` there"
            )


def _refuse_wrong_unit(said: io.StringIO) -> str:
    """Inject a month in the wrong unit, in a sandbox of its own, and see it refused.

    What the commands say goes to `said`. Returns the rule that refused, with the value found.
    """
    story = USECASE.require_story()
    folder, _ = open_sandbox(_WRONG_UNIT)
    path = folder / CONFIGS / "ingest.yaml"
    values = yaml_files.parse(path.read_text(encoding="utf-8"))
    values |= {"source": str(_FAULTY), "as_of": story.bad_month}
    values["files"][story.file] = _write_fault(folder)
    write_text(path, yaml.safe_dump(values))
    code, _ = run_in_replay(folder, "ingest", "validate", output=said)
    if code != 1:
        raise GraphFailed(
            f"{story.fault} ended validate with {code}, expected 1: it was not refused; see "
            f"{folder / VALIDATE}/report.json\n{said.getvalue()}"
        )
    report = read_json(folder / VALIDATE / "report.json", "validate")
    return next(  # the others follow from it
        f"{' of '.join([rule['rule'], *rule['columns'][:1]])} found {rule['observed']:g}"
        for snapshot in report["snapshots"]
        if snapshot["month"] == story.bad_month
        for rule in snapshot["rules"]
        if not rule["passed"] and rule["action"] == "refuse"
    )


def _write_fault(folder: Path) -> str:
    """Publish files with another unit in one month; the changed file's digest."""
    story, config = USECASE.require_story(), load(IngestConfig)
    source, target = locate(config.source), folder / _FAULTY
    target.mkdir(parents=True, exist_ok=True)
    for name in config.files:
        (target / name).write_bytes((source / name).read_bytes())
    path = target / story.file
    if path.suffix != ".zip":
        path.write_bytes(spoil_month(path.read_bytes(), story))
        return bytes_hash(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.namelist()[0]
        text = spoil_month(archive.read(member), story)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(member), text, zipfile.ZIP_DEFLATED)
    return bytes_hash(path.read_bytes())


def spoil_month(published: bytes, story: Story) -> bytes:
    """A published table with the story's column changed in its month."""
    rows = list(csv.reader(io.StringIO(published.decode())))
    month, column = (rows[0].index(name) for name in (story.month[0], story.column))
    for row in rows[1:]:
        if row[month] == story.month[1]:
            row[column] = story.spoil(row[column])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _fault_rollback(known: list[Entry]) -> Entry | None:
    """The transition that rolled the injected challenger back."""
    found = [
        entry
        for entry in known
        if entry.move.event == "rolled back"
        and entry.move.challenger is not None
        and entry.move.challenger.fault
    ]
    return found[-1] if found else None


def story_events(folder: Path) -> list[StoryEvent]:
    """The events of a replay in order, from its journal, its ledger and its reports."""
    events = journal.events(folder / journal.JOURNAL)
    known = rollout_ledger.entries(folder / rollout_ledger.LEDGER)
    end = _promotions(folder)[0]
    steps = {e.told["step"]: e.told for e in events if e.kind == "step" and e.at == end.at}
    checks = [event for event in events if event.kind == "check"]
    quiet = [check for check in checks if check.at < end.at]
    called = next(check for check in checks if check.at == end.at).told
    found = [
        _first_champion(known),
        _no_alert(quiet, end.at),
        StoryEvent(
            end.day,
            "the outcome falls",
            "; ".join(called["decision"]["reasons"]),
            str(journal.JOURNAL),
            "when-to-retrain",
        ),
        StoryEvent(
            end.day,
            "trained anew",
            _gate_evidence(steps["gate"]),
            f"{EVALUATE}/verdict.html",
            "retraining",
        ),
        _promotion(known, steps),
        _slow(known),
        StoryEvent(
            USECASE.require_story().bad_month,
            f"INJECTED: {USECASE.require_story().fault}: refused",
            read_json(folder / _DONE, "run")["refused"],
            str(VALIDATE / "report.json"),
            "data-validation",
        ),
    ]
    places = [*[folder] * (len(found) - 1), folder.with_name(_WRONG_UNIT)]
    return [replace(e, file=f"{of}/{e.file}") for of, e in zip(places, found, strict=True)]


def _first_champion(known: list[Entry]) -> StoryEvent:
    move = known[0].move
    return StoryEvent(
        f"{move.at:%Y-%m-%d}",
        "first champion",
        f"{move.champion.label} passed the gate",
        f"{EVALUATE}/verdict.html",
        "model-validation",
    )


def _no_alert(checks: list[journal.JournalEvent], until: str) -> StoryEvent:
    excess = [check.told["signals"]["excess"] for check in checks]
    known = [one for one in excess if one is not None]
    highest = f"{max(known):+.4f}" if known else "not known"
    held = sum(check.told["decision"]["action"] == "hold" for check in checks)
    return StoryEvent(
        f"to {until[:10]}",
        "quiet weeks",
        f"{held} of {len(checks)} checks hold; excess log loss at most {highest}",
        str(journal.JOURNAL),
        "delayed-labels",
    )


def _gate_evidence(gate: dict[str, Any]) -> str:
    found = gate["found"]
    return (
        f"{gate['rows']:,} {USECASE.noun}; on {gate['judged']} its log loss is "
        f"{found[NOT_WORSE]:+.4f} (97.5% bound {found[NOT_MUCH_WORSE]:+.4f}) against the champion"
    )


def _promotion(known: list[Entry], steps: dict[str, Any]) -> StoryEvent:
    move = next(e.move for e in known if e.move.event == "promoted")
    errors = next(m for m in (move.decision or {})["metrics"] if m["name"] == "errors")
    ours, control = errors["challenger"], errors["control"]
    return StoryEvent(
        f"{move.at:%Y-%m-%d}",
        "canary: promoted",
        f"version {steps['register']['version']} failed {ours['bad']} of {ours['of']:,} requests, "
        f"its control {control['bad']} of {control['of']:,}",
        f"{ROLLOUT}/{move.rollout}/rollout.png",
        "canary-decides",
    )


def _slow(known: list[Entry]) -> StoryEvent:
    entry = _fault_rollback(known)
    assert entry is not None, "the slow challenger was rolled back before this report"
    move = entry.move
    slow = next(m for m in (move.decision or {})["metrics"] if m["name"] == "slow")
    return StoryEvent(
        f"{move.at:%Y-%m-%d}",
        "INJECTED: a slow challenger: rolled back",
        f"after {slow['challenger']['of']} requests, {slow['challenger']['bad']} of them slow, "
        f"beside {slow['control']['bad']} of {slow['control']['of']}: "
        f"{'; '.join((move.decision or {})['reasons'])}",
        f"{ROLLOUT}/{move.rollout}/",
        "safe-rollout",
    )
