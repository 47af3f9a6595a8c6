"""The comment on a pull request: which metrics it changes, and what the gate says of it.

`make report` writes and prints it; `make comment` posts it as it is. Its words come from files of
the branch, which may be a stranger's: they are shown as code, one line each, and cut.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from exercises.scratch import scratch, tree_of
from pipeline.__main__ import run_command
from pipeline.shared import dvc, git
from pipeline.shared.errors import EnvironmentUnfit, PipelineError, UsageError

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "state/report.md"
SMALL = ROOT / "state/small.json"
VERDICT = ROOT / "data/evaluate/verdict.json"
MOST_BYTES = 60_000
"""GitHub takes 65,536 characters."""
MOST_ROWS = 50
MOST_LETTERS = 160


def quoted(text: object) -> str:
    """Foreign text as code: nothing in it can be Markdown, a mention, a link or a second line."""
    line = re.sub(r"[`|\s\\]+|[^ -~–—…≤≥→±]+", " ", str(text)).strip()
    return f"`{line[:MOST_LETTERS] or ' '}`"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Rows as a Markdown table; those beyond the fiftieth are only counted."""
    rows = list(rows)
    lines = [head, ["---"] * len(head), *rows[:MOST_ROWS]]
    more = f"\n\n… and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + more


def revision(base: str) -> tuple[str, str]:
    """The revision to compare with, and what to say of it; the last commit if `base` is none."""
    git.run(ROOT, "rev-parse", "--verify", "HEAD")
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    try:
        found = git.run(ROOT, *asked).decode().strip()
    except EnvironmentUnfit:
        said = f"There is no {quoted(base)} here: compared with the last commit instead."
        return "HEAD", said
    return found, f"Compared with {quoted(base)} ({found[:8]})."


def changes(base: str) -> dict[str, Any]:
    """What `dvc metrics diff` finds between a revision and the files as they are now."""
    return dict(json.loads(dvc.run(ROOT, "metrics", "diff", "--json", base)))


def metrics(found: dict[str, Any]) -> str:
    """The changed metrics as a table."""
    rows = [
        [quoted(f"{path}: {name}"), *(_shown(values.get(key)) for key in ("old", "new", "diff"))]
        for path, by_name in found.items()
        for name, values in by_name.items()
    ]
    return table(["metric", "base", "here", "change"], rows) if rows else "No metric changes."


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else quoted(value)


def verdict(found: dict[str, Any]) -> str:
    """The gate's answer: its checks counted, and the failing ones with their two numbers."""
    blocking = [check for check in found["checks"] if check["blocking"]]
    failed = [check for check in blocking if not check["passed"]]
    against = f"champion {quoted(found['champion'][:12])}" if found["champion"] else "no champion"
    said = (
        f"**{'passed' if found['passed'] else 'refused'}**: {len(blocking) - len(failed)} of "
        f"{len(blocking)} blocking checks hold for {quoted(found['challenger'][:12])} against "
        f"{against} on {found['rows']:,} flights, {quoted(found['window'])}."
    )
    rows = [
        [quoted(c["name"]), _shown(c["found"]), _shown(c["limit"]), quoted(c["detail"])]
        for c in failed
    ]
    return f"{said}\n\n{table(['failed', 'found', 'limit', 'what'], rows)}" if rows else said


def judged() -> str:
    """The gate on the small run of these very files, or else on data/evaluate/."""
    if SMALL.is_file():
        found = json.loads(SMALL.read_text(encoding="utf-8"))
        if found["files"] == _files():
            answer = verdict(found["verdict"]) if found["verdict"] else "No verdict."
            refusal = f"\n\nRefused: {quoted(found['refusal'])}" if found["refusal"] else ""
            return f"## The gate, small run on two months\n\n{answer}{refusal}"
    if VERDICT.is_file():
        return f"## The gate, last run\n\n{verdict(json.loads(VERDICT.read_text('utf-8')))}"
    return "## The gate\n\nNo verdict on these files; `make small` or `make run` gives one."


def _files() -> str:
    with tempfile.TemporaryDirectory(prefix="report-") as name:
        return tree_of(scratch(Path(name)))


def write(base: str) -> str:
    """Write state/report.md and return it."""
    compared, said = revision(base)
    text = f"# What this changes\n\n{said}\n\n{metrics(changes(compared))}\n\n{judged()}\n"
    while len(text.encode()) > MOST_BYTES:
        text = text[: len(text) * 9 // 10] + "\n\n… cut\n"
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(text, encoding="utf-8")
    return text


def main(arguments: list[str] | None = None) -> int:
    """Compare with BASE of the environment, origin/main without one."""
    argparse.ArgumentParser(prog="python -m docs.report").parse_args(arguments)
    try:
        print(write(os.environ.get("BASE") or "origin/main"), end="")
    except (PipelineError, UsageError) as refusal:
        print(f"report: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        return refusal.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
