"""`python -m docs.site` builds the book where people look for it, and says how it went."""

import sys
import time

from docs.pages import ROOT
from docs.site import build
from pipeline.__main__ import run_command

FOLDER = ROOT / "state" / "book"


def main() -> int:
    """Build the site; one line says how many pages, in what time, and where to begin."""
    started = time.perf_counter()
    count = build.site(FOLDER)
    seconds = time.perf_counter() - started
    print(f"book      {count} pages in {seconds:.1f} s -> {FOLDER.relative_to(ROOT)}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
