"""An adoption that fails or is killed at a write leaves the checkout as it was, or is finished."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.adopt import change_set
from pipeline.shared.errors import StorageFailed
from tests.adopt.tables import give, loans
from tests.rules.tree import ROOT

AT = """
import errno, os, signal, sys

event, number, what = sys.argv.pop(1), int(sys.argv.pop(1)), sys.argv.pop(1)
seen = 0

def at(name, arguments):
    global seen
    writes = name == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax")
    if name == event and (event != "open" or writes) and "adopt" in str(arguments[0]):
        seen += 1
        if seen == number and what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if seen == number:
            raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))

import pipeline.adopt.adopt, pipeline.adopt.__main__ as door
sys.addaudithook(at)
sys.exit(door.main())
"""
"""Runs the command, and kills it or fails its disk at the n-th write or rename of its own."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    skip = shutil.ignore_patterns("__pycache__", "Bikeshare.csv")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=skip)
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / "dvc.yaml", folder)
    return folder


def _adopt(checkout: Path, given: Path, *at: object) -> "subprocess.CompletedProcess[str]":
    words = ["-c", AT, *map(str, at)] if at else ["-m", "pipeline.adopt"]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words, str(given)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _files(folder: Path) -> dict[str, bytes]:
    """The files and folders of a checkout; what Git ignores, in state/, aside."""
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*")}
    kept = {name: path for name, path in found.items() if name.split("/")[0] != "state"}
    return {name: path.read_bytes() if path.is_file() else b"" for name, path in kept.items()}


@pytest.mark.long
@pytest.mark.parametrize(
    ("event", "number", "what"),
    [
        ("open", 1, "full"),
        ("open", 4, "full"),
        ("open", 9, "full"),
        ("os.rename", 1, "full"),
        ("os.rename", 2, "full"),
        ("os.rename", 9, "full"),
        ("open", 4, "kill"),
        ("os.rename", 1, "kill"),
    ],
)
def test_before_all_is_written_nothing_has_changed(
    checkout: Path, tmp_path: Path, event: str, number: int, what: str
) -> None:
    given, before = give(tmp_path / "loans", loans()), _files(checkout)
    done = _adopt(checkout, given, event, number, what)
    assert done.returncode == (-signal.SIGKILL if what == "kill" else 1), done.stderr
    assert _files(checkout) == before
    if what == "full":
        assert "StorageFailed: cannot write" in done.stderr
        assert not (checkout / change_set.ASIDE).exists()
    assert _adopt(checkout, given).returncode == 0
    assert "name: loans" in (checkout / "configs/usecase.yaml").read_text()


@pytest.mark.long
@pytest.mark.parametrize("number", [2, 5, 9])
def test_a_command_killed_between_two_renames_is_finished_by_the_next(
    checkout: Path, tmp_path: Path, number: int
) -> None:
    given = give(tmp_path / "loans", loans())
    whole = tmp_path / "whole"
    shutil.copytree(checkout, whole)
    assert _adopt(whole, given).returncode == 0
    assert _adopt(checkout, given, "os.rename", number, "kill").returncode == -signal.SIGKILL
    done = _adopt(checkout, given)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the adoption that was interrupted is whole now: pipeline/loans/" in done.stdout
    assert _files(checkout) == _files(whole)
    assert not (checkout / change_set.ASIDE).exists()


def test_a_folder_that_cannot_be_written_leaves_every_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("old")
    Path("file").write_text("no folder")
    files = {Path("a"): b"new", Path("new/b"): b"new", Path("file/c"): b"new"}
    with pytest.raises(StorageFailed, match="nothing was half-written"):
        change_set.replace_all(files, "a note")
    assert _files(tmp_path) == {"a": b"old", "file": b"no folder"}
    assert not Path("new").exists()
    assert change_set.resume() is None
