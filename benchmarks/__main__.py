"""The benchmarks by name: `make measure` lists them, `make measure M=skews` runs one of them.

A benchmark is a module here that can be run; it writes the record beside it, of its own name.
"""

import ast
import os
import sys
from difflib import get_close_matches
from pathlib import Path

from pipeline.__main__ import run_command
from pipeline.shared import git
from pipeline.shared.errors import EnvironmentUnfit

NAMES = {
    "loop": "year",
    "outcome": "outcomes",
    "rollout": "rollouts",
    "skew": "skews",
    "year": "bench",
}
"""Benchmarks that bear another name than their module."""
NEED_A_COMMIT = {"processors", "real-canaries", "year"}


def benchmarks() -> dict[str, Path]:
    """The file of each benchmark by its name."""
    files = [path for path in Path(__file__).parent.glob("*.py") if path != Path(__file__)]
    runnable = [path for path in files if "\nif __name__ ==" in path.read_text(encoding="utf-8")]
    named = {NAMES.get(path.stem, path.stem.replace("_", "-")): path for path in runnable}
    return dict(sorted(named.items()))


def questions() -> dict[str, str]:
    """What each benchmark measures: the first line of its docstring, by its name."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in benchmarks().items()}
    docs = {name: ast.get_docstring(ast.parse(text)) or "" for name, text in texts.items()}
    return {name: doc.partition("\n")[0] for name, doc in docs.items()}


def main() -> int:
    """List the benchmarks, or become the one that is named."""
    name, known = "".join(sys.argv[1:]), benchmarks()
    lines = "\n".join(f"  M={one:<14} {question}" for one, question in questions().items())
    if name in known:
        return _run(name, known[name].stem)
    if not name:
        print(lines)
        return 0
    nearest = get_close_matches(name, known, n=1, cutoff=0)[0]
    refused = f"measure: no benchmark {name!r}; the nearest is `make measure M={nearest}`"
    print(f"{refused}\n{lines}", file=sys.stderr)
    return 2


def _run(name: str, module: str) -> int:
    """Let this process become the benchmark; the exit code where there is no commit for it."""
    if name in NEED_A_COMMIT:
        try:
            git.commit(Path())
        except EnvironmentUnfit as refusal:
            print(f"measure: EnvironmentUnfit: {refusal}", file=sys.stderr)
            return refusal.exit_code
    return os.execv(sys.executable, [sys.executable, "-m", f"benchmarks.{module}"])


if __name__ == "__main__":
    sys.exit(run_command(main))
