"""Faults of a rollout: a challenger that is worse, records and servers that do not hold.

Two months have arrived, so the traffic is that of March; with one champion only, the challenger is
the same release again, and what is injected into its server is all that differs.
"""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd

from exercises.drill import Drill, Outcome, replace_once, run_stages
from exercises.drills.release import ran

KEEPER, ROUTES = "pipeline/rollout/traffic/supervisor.py", "pipeline/rollout/traffic/routes.py"
EXPORT = ("-c", "from pipeline.registry.release_loader import export; export('champion')")
LEDGER = "state/rollout/ledger.db"


def _asked(rollout: str, bad: str) -> Callable[[Path], list[str]]:
    """A champion is registered; then this rollout of a server with this fault."""

    def inject(folder: Path) -> list[str]:
        ran(folder, "register")
        return [rollout, f"--bad={bad}"]

    return inject


def _lose_half(folder: Path) -> list[str]:
    """The proxy sends half of the challenger's flights elsewhere, and nobody else's."""
    ran(folder, "register")
    weight = '"weight": route.shares.get(arm, 0)'
    replace_once(folder / ROUTES, weight, f'{weight} // (2 if arm == "challenger" else 1)')
    return ["canary"]


def _compute_otherwise(folder: Path) -> list[str]:
    """Where the challenger's server runs, the same model gives a thousandth more."""
    ran(folder, "register")
    start = "    serve(server.release, server.port"
    other = (
        "    from pipeline.registry.model import Model\n\n"
        "    right = Model.predict_matrix\n"
        '    if server.arm == "challenger":\n'
        "        Model.predict_matrix = lambda self, inputs: 0.999 * right(self, inputs) + 0.001\n"
    )
    replace_once(folder / KEEPER, start, other + start)
    return ["canary"]


def _flip_a_bit(folder: Path) -> list[str]:
    """The release is exported to where servers load it from; then one bit of its model changes."""
    ran(folder, "register")
    if run_stages(folder, [], EXPORT).code:
        raise SystemExit("the release could not be exported: the drill is stale")
    (model,) = (folder / "state/serve/releases").glob("*/model.onnx")
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    return ["canary"]


def _rewrite_the_ledger(folder: Path) -> list[str]:
    """Who may write the file drops what forbids changes, and says that somebody else did it."""
    ran(folder, "register")
    with closing(sqlite3.connect(folder / LEDGER)) as database, database:
        database.executescript("DROP TRIGGER no_change; DROP TRIGGER no_loss")
        told = "UPDATE ledger SET entry = replace(entry, 'registered', 'promoted by hand')"
        if database.execute(told).rowcount != 1:
            raise SystemExit("the ledger has other entries: the drill is stale")
    return ["canary"]


def _rewrite_the_evidence(folder: Path) -> list[str]:
    """A canary fails and is rolled back; then its failures are taken out of the evidence."""
    ran(folder, "register")
    if run_stages(folder, ["canary", "--bad=failing"]).code != 1:
        raise SystemExit("the failing challenger was not taken out: see the drill `failing`")
    (path,) = (folder / "data/rollout").glob("*/evidence-01.parquet")
    evidence = pd.read_parquet(path)
    evidence[evidence["code"] == 200].to_parquet(path, index=False)
    return ["replay-decision"]


def _ended(kind: str, *reasons: str) -> Callable[[Path, Outcome], str]:
    """The rollout ended in a refusal of this kind, for one of these reasons."""

    def caught(_: Path, outcome: Outcome) -> str:
        told = re.search(rf"^[\w-]+: {kind}: (.+)$", outcome.words, re.MULTILINE)
        if outcome.code != 1 or told is None or not any(re.search(r, told[1]) for r in reasons):
            return ""
        return told[1].partition(" -> ")[0].partition("; `")[0]

    return caught


def _before_traffic(kind: str, reason: str) -> Callable[[Path, Outcome], str]:
    """The same, and no user had been asked to wait for it: nothing was sent to any server."""
    ended = _ended(kind, reason)

    def caught(folder: Path, outcome: Outcome) -> str:
        log = folder / "state/rollout/kept/access.jsonl"
        sent = log.is_file() and log.stat().st_size > 0
        return "" if sent else ended(folder, outcome)

    return caught


DRILLS = [
    Drill(
        slug="slow",
        stage="rollout",
        fault="the challenger's server takes several times as long for each answer",
        guard="rollout.canary, the guardrail `slow`, or its run of bad requests",
        inject=_asked("canary", "slow"),
        caught=_ended("RolledBack", r"rollback: .*slow(: challenger| in a row)"),
    ),
    Drill(
        slug="failing",
        stage="rollout",
        fault="the challenger's server fails a fifth of its requests",
        guard="rollout.canary, the guardrail `errors` or the breaker of failures in a row",
        inject=_asked("canary", "failing"),
        caught=_ended("RolledBack", "errors: challenger", "failed of"),
    ),
    Drill(
        slug="crashing",
        stage="rollout",
        fault="the challenger's server is gone after a few answers, and again when restarted",
        guard="rollout.canary, a breaker: the process is gone; the proxy asks the champion instead",
        inject=_asked("canary", "crashing"),
        caught=_ended("RolledBack", "challenger process gone: 1, allowed 0"),
    ),
    Drill(
        slug="units",
        stage="rollout",
        fault="the challenger's server gives the model percent where it learned fractions",
        guard="rollout.canary, a breaker: each answer is held against one computed again",
        inject=_asked("canary", "units"),
        caught=_ended("RolledBack", "answers unlike the recomputed ones"),
    ),
    Drill(
        slug="missing",
        stage="rollout",
        fault="the challenger's server has lost its connection to one view of the store",
        guard="rollout.canary, the guardrail `missing`, or its run of bad requests",
        inject=_asked("canary", "missing"),
        caught=_ended("RolledBack", "missing: challenger", "missing in a row"),
    ),
    Drill(
        slug="leak",
        stage="rollout",
        fault="the challenger's server keeps 2 MB of each answer",
        guard="rollout.traffic.resources, a breaker: MB of memory beyond the control's",
        inject=_asked("canary", "leak"),
        caught=_ended("RolledBack", "rollback: .*MB of memory beyond the control's"),
    ),
    Drill(
        slug="open-files",
        stage="rollout",
        fault="the challenger's server opens a file at each answer and closes none",
        guard="rollout.traffic.resources, a breaker: open files beyond the control's",
        inject=_asked("canary", "files"),
        caught=_ended("RolledBack", "rollback: .*open files beyond the control's"),
    ),
    Drill(
        slug="threads",
        stage="rollout",
        fault="the challenger's server starts a thread at each answer, and none ends",
        guard="rollout.traffic.resources, a breaker: threads beyond the control's",
        inject=_asked("canary", "threads"),
        caught=_ended("RolledBack", "rollback: .*threads beyond the control's"),
    ),
    Drill(
        slug="busy",
        stage="rollout",
        fault="a thread of the challenger's server computes all the time",
        guard="rollout.traffic.resources, a breaker: processor ms a request beyond the control's",
        inject=_asked("canary", "busy"),
        caught=_ended("RolledBack", "rollback: .*ms of processor a request beyond the control's"),
    ),
    Drill(
        slug="chatty",
        stage="rollout",
        fault="the challenger's server writes 10 kB into its log at each answer",
        guard="rollout.traffic.resources, a breaker: kB of log beyond the control's",
        inject=_asked("canary", "chatty"),
        caught=_ended("RolledBack", "rollback: .*kB of log beyond the control's"),
    ),
    Drill(
        slug="biased",
        stage="rollout",
        fault="the challenger ranks as the champion does, and says a quarter too much in log odds",
        guard="rollout.shadow: it answers nobody, and days of labels decide on its loss",
        inject=_asked("shadow", "biased"),
        caught=_ended("RolledBack", r"worse at day \d+: [^;]+: yes"),
    ),
    Drill(
        slug="lost-requests",
        stage="rollout",
        fault="the proxy loses half of the challenger's flights on the way to it",
        guard="rollout.canary, the sample ratio: unequal arms pause, whatever they show",
        inject=_lose_half,
        caught=_ended("NotPromoted", "pause: sample_ratio"),
    ),
    Drill(
        slug="unready",
        stage="serve",
        fault="where the challenger's server runs, the same model file gives other risks",
        guard="registry.release_loader.warm_up_failure: the warm-up gives the recorded risk",
        inject=_compute_otherwise,
        caught=_before_traffic("ServersFailed", "not ready: the warm-up prediction differs"),
    ),
    Drill(
        slug="tampered-release",
        stage="serve",
        fault="one bit of the exported model changes after it was checked and exported",
        guard="registry.release_loader.load_release: each file has its recorded digest",
        inject=_flip_a_bit,
        caught=_before_traffic("ArtifactTampered", "is not what was exported"),
    ),
    Drill(
        slug="rewritten-ledger",
        stage="rollout",
        fault="an entry of the ledger is rewritten, past the triggers that forbid it",
        guard="records.rollout_ledger.entries: every entry carries the hash of the one before it",
        inject=_rewrite_the_ledger,
        caught=_before_traffic("ArtifactTampered", "is not what was written there"),
    ),
    Drill(
        slug="rewritten-evidence",
        stage="rollout",
        fault="a challenger was taken out; its failures are deleted from the evidence",
        guard="rollout.who_served.replay_decision: the evidence has its recorded digest",
        inject=_rewrite_the_evidence,
        caught=_ended("ArtifactTampered", "the evidence was changed"),
    ),
]
