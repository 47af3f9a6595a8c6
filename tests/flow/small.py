"""`make small`: the whole graph on two months in a scratch copy, and what its gates answer.

The same small project that the tests of this folder live in. The checkout is read and nothing in it
changes; what is kept is the answer, state/small.json, with the files that it is about.
"""

import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from exercises.drill import shown
from exercises.scratch import tree_of
from pipeline.__main__ import run_command
from pipeline.shared.errors import PipelineError, UsageError
from pipeline.shared.files import read_json, write_json
from tests.flow import life

ANSWER = life.ROOT / "state/small.json"
VERDICT = Path("data/evaluate/verdict.json")
_REFUSAL = re.compile(r"^([a-z]+: [A-Z]\w+: .+?)(?=^ERROR: |\Z)", re.MULTILINE | re.DOTALL)


def live(folder: Path) -> tuple[int, str]:
    """Run the graph in a copy, showing what it says; DVC's exit code, and all that was said."""
    outcome = shown(["dvc", "repro"], folder, life.settings(folder))
    return outcome.code, outcome.words


def answer(folder: Path, code: int, said: str) -> dict[str, Any]:
    """What the gates said: a verdict, or the refusal of a stage, or neither after a bug."""
    refused = _REFUSAL.search(said) if code else None
    judged = (folder / VERDICT).is_file()
    return {
        "refusal": refused[1].strip() if refused else None,
        "verdict": read_json(folder / VERDICT, "evaluate") if judged else None,
    }


def main() -> int:
    """0 if every gate said yes, 1 if one refused, DVC's own code after a bug."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which takes the copy away, too
    try:
        return _run()
    except (PipelineError, UsageError) as refusal:  # there is no scratch copy to be had
        print(f"small: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        return refusal.exit_code


def _run() -> int:
    started = time.monotonic()
    ANSWER.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="small-") as name:
        folder = life.small(Path(name) / "small")
        files = tree_of(folder, "HEAD~1")
        code, said = live(folder)
        found = answer(folder, code, said)
    write_json(ANSWER, {"files": files, **found})
    seconds = f"in {time.monotonic() - started:.0f} s -> {os.path.relpath(ANSWER)}"
    if code == 0:
        print(f"small: passed {seconds}")
    elif found["refusal"]:
        print(f"small: refused {seconds}\n{found['refusal']}", file=sys.stderr)
    else:
        print(f"small: a bug, no refusal, {seconds}", file=sys.stderr)
    return 1 if found["refusal"] else code


if __name__ == "__main__":
    sys.exit(run_command(main))
