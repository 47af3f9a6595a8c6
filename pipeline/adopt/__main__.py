"""The command line: `python -m pipeline.adopt FOLDER [--name NAME] [--trust FILE]`."""

import argparse
import sys
from pathlib import Path

from pipeline.__main__ import run_command
from pipeline.adopt.adopt import adopt
from pipeline.shared.errors import PipelineError, UsageError


def main() -> int:
    """Adopt a folder; 0 done, 1 refused, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.adopt")
    parser.add_argument("folder", metavar="FOLDER", help="one table, or a folder with one")
    parser.add_argument("--name", help="the use case's name; the folder's without it")
    parser.add_argument("--trust", metavar="FILE", help="the pickle in it that may be loaded")
    chosen = parser.parse_args()
    if not chosen.folder:
        needed = "`make adopt FROM=folder`, or `make adopt FROM=table.csv`"
        print(f"adopt: 0 folders or tables are named, 1 is needed: {needed}", file=sys.stderr)
        return UsageError.exit_code
    try:
        print(f"adopt: {adopt(Path(chosen.folder), chosen.name, chosen.trust)}")
    except (PipelineError, UsageError) as refusal:
        print(f"adopt: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        return refusal.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
