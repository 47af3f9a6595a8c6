"""Commands that take seconds and heavy libraries, in a process beside the small cockpit."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from pipeline.shared import dvc
from pipeline.shared.pages import render

_SECONDS = 120
_ROLLOUT = re.compile(r"[0-9]{4,6}-[a-z-]{1,20}")
_HERE = Path(__file__).parent
_RUNNER = _HERE / "again.py"


def decide_again(folder: Path, rollout: str) -> str:
    """Decide a rollout again from its recorded evidence; a refusal is an answer as well."""
    if not _ROLLOUT.fullmatch(rollout):
        return f"{rollout[:40]!r} names no rollout; one is 0003-canary"
    return _run(folder, "decide", rollout)


def explanation(folder: Path, request: str) -> str:
    """Explain a prediction as a fragment of the page, or say why that cannot be done."""
    words = _run(folder, "explain", request)
    try:
        told = json.loads(words)
        features = told["features"]
        largest = max((abs(one["counts"]) for one in features), default=0.0) or 1.0
        return render("cockpit/templates/explanation.html", **told, largest=largest)
    except (ValueError, TypeError, KeyError):
        return render("cockpit/templates/refusal.html", words=words)


def _run(folder: Path, *arguments: str) -> str:
    """Run `again.py` in a folder with that folder's pipeline, if it has one; returns its words."""
    code = folder if (folder / "pipeline").is_dir() else _HERE.parent
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(code.absolute())}
    try:
        done = subprocess.run(
            [sys.executable, str(_RUNNER), *arguments],
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
    last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    return done.stdout.strip() or f"{last}; is the code of that folder another version's?"
