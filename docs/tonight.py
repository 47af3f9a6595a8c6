"""Tonight's sheet: nine answers to read aloud in twenty minutes. It needs Python alone."""

import sys

from docs.pages import ROOT, readable
from pipeline.__main__ import run_command

SHEET = ROOT / "docs" / "tonight.md"


def main() -> int:
    """Print the sheet."""
    print(readable(SHEET.read_text(encoding="utf-8")).strip())
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
