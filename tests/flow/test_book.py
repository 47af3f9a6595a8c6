"""The answer book in a real Chromium: it loads, is searched and rehearsed, and axe finds nothing."""

import shutil
import subprocess
from pathlib import Path

import pytest

from docs import site
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PACKAGES = life.ROOT / ".venv" / "browser"


def test_every_page_works_in_a_browser_in_light_dark_and_on_a_phone(tmp_path: Path) -> None:
    node, chromium = shutil.which("node"), shutil.which("chromium")
    if not node or not chromium or not PACKAGES.is_dir():
        pytest.skip("no node, no chromium or no .venv/browser here: .ci/run brings them")
    site.build(tmp_path / "book")
    look = [node, ".ci/book.mjs", str(PACKAGES), chromium, str(tmp_path / "book")]
    done = subprocess.run(look, cwd=life.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert done.stdout.count("ok   axe on") == 10
