"""Commands that take seconds and heavy libraries, in a process beside the small cockpit."""

import os
import re
import subprocess
import sys
from pathlib import Path

from pipeline.shared import dvc
from pipeline.shared.pages import render

_SECONDS = 120
_ROLLOUT = re.compile(r"[0-9]{4,6}-[a-z-]{1,20}")
_ROOT = Path(__file__).parents[1]


def decide_again(folder: Path, rollout: str) -> str:
    """Decide a rollout again from its recorded evidence; a refusal is an answer as well."""
    if not _ROLLOUT.fullmatch(rollout):
        return f"{rollout[:40]!r} names no rollout; one is 0003-canary"
    return _run(folder, "decide", rollout)


def explanation(folder: Path, request: str) -> str:
    """Explain a prediction as a fragment of the page, or say why that cannot be done."""
    words = _run(folder, "explain", request)
    if words.startswith("<"):
        return words
    return render("cockpit/templates/refusal.html", words=words)


def _run(folder: Path, *arguments: str) -> str:
    """Run `cockpit.again` in a folder, with that folder's pipeline; returns its words."""
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_ROOT)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cockpit.again", *arguments],
            cwd=folder,
            env=dvc.isolated_environment(os.environ) | quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {_SECONDS} s; run the command on a terminal"
    if done.returncode in (0, 1, 2):
        return (done.stdout or done.stderr).strip()
    return (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
