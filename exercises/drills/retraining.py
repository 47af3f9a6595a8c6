"""Drills on retraining: what breaks within the judged days, and a loop that is fed nothing."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from exercises.drill import Drill, Outcome, configure, replace_once, two_months
from exercises.drills.release import ran

_GRAPH = ["features", "guards"]
_PLAUSIBLE = "    require_plausible(frame)\n    write_parquet(ROWS, frame)\n"
_NEWEST = (
    "    newest = frame['sched_dep_utc']\\\n"
    "        >= frame['sched_dep_utc'].max() - pd.Timedelta(days={days})\n"
)


_LOOPED = """
import subprocess, sys
run = lambda *words: subprocess.run([sys.executable, "-m", "simulation", *words]).returncode
sys.exit(run('loop'))
"""


def _in_the_rows(folder: Path, days: int, fault: str) -> None:
    """Plant a fault in the newest days of the feature table."""
    ran(folder)
    planted = _PLAUSIBLE.replace(
        "    write_parquet", _NEWEST.format(days=days) + f"    {fault}\n    write_parquet", 1
    )
    replace_once(folder / "pipeline/features/build.py", _PLAUSIBLE, planted)
    whole = {"refit_until": "2013-02-28", "window.last": "2013-02-14"}
    configure(folder, "train", **whole)


def _flip_labels(folder: Path) -> list[str]:
    _in_the_rows(folder, 7, "frame.loc[newest, 'late'] = 1 - frame.loc[newest, 'late']")
    return _GRAPH


def _lose_mornings(folder: Path) -> list[str]:
    _in_the_rows(folder, 14, "frame = frame[~(newest & (frame['sched_hour'] < 9))]")
    return _GRAPH


def _serve_old_features(folder: Path) -> list[str]:
    fault = (
        "frame.loc[newest, ['system_known_at', 'origin_known_at', 'carrier_known_at']] -= "
        "pd.Timedelta(hours=6)"
    )
    _in_the_rows(folder, 14, fault)
    return _GRAPH


def _poison_the_refit(folder: Path) -> list[str]:
    """What goes live learns from flipped labels; the judged model and the judged labels do not."""
    ran(folder)
    configure(folder, "train", refit_until="2013-02-28", **{"window.last": "2013-02-14"})
    judged = {"first": "2013-02-15", "last": "2013-02-28"}
    configure(folder, "evaluate", window=judged)
    replace_once(
        folder / "pipeline/train.py",
        "(judged, frame))",
        "(judged, frame.assign(late=frame['late'].where(frame['sched_dep_utc'] < '2013-02-15', "
        "1 - frame['late']))))",
    )
    return ["train", "evaluate"]


def _stop_the_label_feed(folder: Path) -> list[str]:
    replace_once(
        folder / "pipeline/retrain/signals.py",
        '    return events.drop(columns="arrived_at") if len(events) else None\n',
        "    return events.drop(columns=\"arrived_at\") if day < '2013-03-08' else None\n",
    )
    return [_LOOPED]


def _until(folder: Path, day: str) -> None:
    """Commands in a row take no option: the loop of a drill ends here by itself."""
    replace_once(
        folder / "simulation/commands.py",
        "def loop(until: str = USECASE.last_day)",
        f'def loop(until: str = "{day}")',
    )


def _feed_stops(folder: Path) -> list[str]:
    ran(folder, "register")
    _until(folder, "2013-03-17")
    return _stop_the_label_feed(folder)


_REWRITE = (
    _LOOPED.replace("sys.exit(run('loop'))", "run('loop')")
    + """
import sqlite3
known = sqlite3.connect("state/retrain/journal.db")
known.executescript("DROP TRIGGER no_change; UPDATE ledger SET entry = "
    "replace(entry, 'hold', 'retrain') WHERE entry LIKE '%hold%'; ")
known.commit()
sys.exit(run("loop"))
"""
)


def _rewrite_the_journal(folder: Path) -> list[str]:
    ran(folder, "register")
    _until(folder, "2013-03-03")
    return [_REWRITE]


_SWALLOWED = """
import subprocess, sys
print(subprocess.run(["dvc", "repro", "--quiet"]).returncode, "swallowed")
sys.exit(subprocess.run([sys.executable, "-m", "pipeline", "register"]).returncode)
"""


def _swallow_the_gate(folder: Path) -> list[str]:
    two_months(folder)
    configure(folder, "evaluate", **{"behaviour.calm_morning_max": 0.01})
    return [_SWALLOWED]


def _same_month(folder: Path) -> list[str]:
    replace_once(
        folder / "pipeline/retrain/training_windows.py",
        "def run(as_of: str | None = None)",
        'def run(as_of: str | None = "2013-04")',
    )
    return ["retrain"]


def _says(pattern: str, code: int = 1) -> Callable[[Path, Outcome], str]:
    def caught(_: Path, outcome: Outcome) -> str:
        found = re.search(pattern, outcome.words)
        return found[0] if found and outcome.code == code else ""

    return caught


def _journal_is_told(folder: Path, outcome: Outcome) -> str:
    found = re.search(r"ArtifactTampered: entry \d+ of [^;]*journal\.db[^;]*", outcome.words)
    with closing(sqlite3.connect(folder / "state/retrain/journal.db")) as database:
        (lines,) = database.execute("SELECT count(*) FROM ledger").fetchone()
    return found[0] if found and outcome.code == 1 and lines else ""


DRILLS = [
    Drill(
        slug="poisoned-labels",
        stage="retrain",
        fault="the newest week's labels are turned around, within the days that the gate judges",
        guard="retrain.data_guards: labels against departure-late flags, before any training",
        inject=_flip_labels,
        caught=_says(r"LabelsRefused: labels disagree[^;]*"),
    ),
    Drill(
        slug="lost-mornings",
        stage="retrain",
        fault="no flight before nine reaches the feature table for two weeks",
        guard="flights a day by origin and part of the day (retrain.data_guards)",
        inject=_lose_mornings,
        caught=_says(r"TrainingRefused: [^;]*coverage of origin and hour[^;]*"),
    ),
    Drill(
        slug="old-features",
        stage="retrain",
        fault="three rolling views are six hours old for the newest two weeks of training",
        guard="the age of each view against the days before (retrain.data_guards)",
        inject=_serve_old_features,
        caught=_says(r"TrainingRefused: [^;]*age of features[^;]*"),
    ),
    Drill(
        slug="refit-apart",
        stage="evaluate",
        fault="what goes live has learned from turned labels that the judged model never saw",
        guard="the gate's distance of the refit from what was judged (evaluate.refresh)",
        inject=_poison_the_refit,
        caught=_says(r"refit stays near what was judged: found [^\n]*"),
    ),
    Drill(
        slug="labels-stop",
        stage="retrain",
        fault="the label feed stops, and the loop goes on without it",
        guard="the policy blocks training on a feed that is late (retrain.policy)",
        inject=_feed_stops,
        caught=_says(r"block: [^\n]*the label feed is late[^\n]*", 0),
        command=("-c",),
    ),
    Drill(
        slug="rewritten-journal",
        stage="retrain",
        fault="somebody rewrites what the loop decided",
        guard="the chain of hashes, when the journal is read (records.hash_chain)",
        inject=_rewrite_the_journal,
        caught=_journal_is_told,
        command=("-c",),
    ),
    Drill(
        slug="swallowed-gate",
        stage="register",
        fault="an orchestrator goes on although the gate's step refused",
        guard="register takes nothing but a passed verdict (register.register)",
        inject=_swallow_the_gate,
        caught=_says(r"RegistryRefused: the verdict on [^;]* failed[^;]*"),
        command=("-c",),
    ),
    Drill(
        slug="month-twice",
        stage="retrain",
        fault="the trigger fires twice for the same month",
        guard="the calendar refuses what has arrived already (retrain.training_windows)",
        inject=_same_month,
        caught=_says(r"WrongMonth: 2013-04 is not after 2013-04[^:]*", 2),
    ),
]
