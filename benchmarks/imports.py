"""What do heavy imports cost, and what does each one that is left out save?

Each import runs in processes of its own, in turn with what it is held against, so that a busy
machine slows both: docs/adr/0016 says what is left out.
"""

import subprocess
import sys
from pathlib import Path
from statistics import median

from pipeline.__main__ import run_command
from pipeline.shared.files import write_json

FOUND = Path("benchmarks/imports.json")
ROUNDS = 7
WAYS = {
    "feast": {
        "as it is": "import feast",
        "here": "from pipeline.features.feast_repository import import_feast; import_feast()",
    },
    "great_expectations": {
        "as it is": "import great_expectations",
        "here": "import pipeline.shared.expectations",
    },
}
_TIMED = "import pandas, time\nbegan = time.perf_counter()\n{}\nprint(time.perf_counter() - began)"


def seconds(statement: str) -> float:
    """How long a statement takes in a process that has loaded pandas and nothing else."""
    command = [sys.executable, "-c", _TIMED.format(statement)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Measure both ways of each import in turn, and write medians and their ratio."""
    found = {}
    for name, ways in WAYS.items():
        rounds = [
            {way: seconds(statement) for way, statement in ways.items()} for _ in range(ROUNDS)
        ]
        ratios = sorted(one["here"] / one["as it is"] for one in rounds)
        found[name] = {
            "seconds": {way: round(median(one[way] for one in rounds), 2) for way in ways},
            "ratio": round(median(ratios), 2),
            "ratios": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
        sys.stdout.write(f"{name}: {found[name]}\n")
    write_json(FOUND, {"rounds": ROUNDS, **found})


if __name__ == "__main__":
    sys.exit(run_command(main))
