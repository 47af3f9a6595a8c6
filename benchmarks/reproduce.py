"""How long does it take to rebuild a champion of four promotions ago, and is it the same?

In a scratch copy the real project lives from May to October: four times a challenger passes the
gate and is promoted, once one is refused, configs move, code changes. Then the cache is emptied and
the first champion is rebuilt from the registry, git and the remote. Takes some eight minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exercises.drill import configure, replace_once
from exercises.scratch import scratch
from pipeline.__main__ import run_command
from pipeline.shared import dvc, git

FOUND = Path(__file__).with_name("reproduce.json")
MONTHS = {  # what arrives, the last day to learn from, and the trees that the model gets
    "2013-04": ("2013-03-31", 150),
    "2013-05": ("2013-04-30", 150),
    "2013-06": ("2013-05-31", 300),
    "2013-08": ("2013-07-31", 300),
    "2013-09": ("2013-08-31", 300),
}
"""July is left out: its challenger is refused, which `make retrain AS_OF=2013-07` shows."""


def main() -> None:
    """Live, rebuild, and write down the times and answers."""
    with tempfile.TemporaryDirectory(prefix="reproduce-bench-") as name:
        folder = scratch(Path(name))
        for month, (last, trees) in MONTHS.items():
            _move(folder, month, last, trees)
            _run(folder, "dvc", "repro", "--quiet")
            stages = ["register"] if month == min(MONTHS) else ["register", "promote"]
            print(_run(folder, "python", "-m", "pipeline", *stages), flush=True)
            _commit(folder, month)
        replace_once(  # the code moves on, too
            folder / "pipeline/flights/features.py",
            '"dep_late": [1, 3],',
            '"dep_late": [1, 2],',
        )
        _commit(folder, "another feature")
        _run(folder, "rm", "-rf", ".dvc/cache")
        found = {"promotions": len(MONTHS) - 1, "rebuilt": [_rebuild(folder, v) for v in (1, 4)]}
    FOUND.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(FOUND.read_text(encoding="utf-8"))


def _move(folder: Path, month: str, last: str, trees: int) -> None:
    """Let a month arrive, as `make retrain` does, and give the model so many trees."""
    judged = {"first": f"{month}-01", "last": _last_day(month)}
    learned = {"first": "2013-01-08", "last": last}
    configure(folder, "ingest", as_of=month)
    configure(folder, "train", window=learned, **{"boosting.max_iter": trees})
    for stage in ("evaluate", "monitor"):
        configure(folder, stage, window=judged)


def _last_day(month: str) -> str:
    import pandas as pd

    return f"{pd.Period(month, freq='M').end_time:%Y-%m-%d}"


def _run(folder: Path, *command: str) -> str:
    settings = {
        **dvc.isolated_environment(),
        "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=folder, env=settings, check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def _commit(folder: Path, message: str) -> None:
    git.own(folder, "add", "--all")
    git.own(folder, "commit", "--quiet", "--no-verify", "--message", message)


def months_ago(version: int) -> int:
    """Calendar months from the arrival that a version was trained on to the newest."""
    (year, month), (own_year, own_month) = (
        map(int, name.split("-")) for name in (max(MONTHS), list(MONTHS)[version - 1])
    )
    return 12 * (year - own_year) + month - own_month


def _rebuild(folder: Path, version: int) -> dict[str, object]:
    started = time.perf_counter()
    _run(folder, "python", "-m", "pipeline", "reproduce", "--version", str(version))
    seconds = time.perf_counter() - started
    report = json.loads((folder / f"data/reproduce/version-{version}.json").read_text())
    answers = [item["answer"] for item in [*report["headlines"], *report["outputs"]]]
    return {
        "version": version,
        "promotions_ago": len(MONTHS) - version,
        "months_ago": months_ago(version),
        "seconds": round(seconds),
        "compared": len(answers),
        "equal": answers.count("equal"),
    }


if __name__ == "__main__":
    sys.exit(run_command(main))
