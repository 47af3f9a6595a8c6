"""Checkouts beside the user's: those of killed commands go, and nobody else's."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.shared import checkouts, git, lineage
from tests.shared import project

pytestmark = pytest.mark.answer("three-artefacts")
REBUILDS = """
import sys, time
from pathlib import Path
from pipeline.shared import checkouts, lineage
with checkouts.worktree(lineage.require_checkout(), Path("no.patch")) as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory, monkeypatch):
    """Temporary folders of a test are not in the machine's."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@contextlib.contextmanager
def rebuilding() -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process that has made a checkout and works in it."""
    with subprocess.Popen(
        [sys.executable, "-c", REBUILDS],
        env=git.environment() | {"PYTHONPATH": str(project.ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def listed() -> list[str]:
    return [line.split()[0] for line in project.git("worktree", "list").splitlines()]


def made() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("worktree-*"))


def test_what_a_killed_command_left_is_removed_by_the_next(started):
    with rebuilding() as (process, folder):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert (folder / "dvc.yaml").is_file()
    assert listed() == [str(started), str(folder)]
    with checkouts.worktree(lineage.require_checkout(), Path("no.patch")) as next_one:
        assert listed() == [str(started), str(next_one)]
        assert not folder.parent.exists()
    assert listed() == [str(started)]
    assert made() == []


def test_a_checkout_that_git_was_killed_over_is_removed_too(started):
    with rebuilding() as (process, folder):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    project.git("worktree", "lock", "--reason", "initializing", str(folder))
    checkouts.remove_abandoned()
    assert listed() == [str(started)]
    assert made() == []


def test_a_checkout_in_use_and_one_of_the_users_are_kept(started, tmp_path_factory):
    theirs = tmp_path_factory.mktemp("worktree-of-mine") / "checkout"
    project.git("worktree", "add", "--quiet", "--detach", str(theirs))
    with rebuilding() as (process, folder):
        checkouts.remove_abandoned()
        assert process.poll() is None
        assert set(listed()) == {str(started), str(theirs), str(folder)}
        assert (folder / "dvc.yaml").is_file()


def test_a_checkout_of_the_users_on_a_disk_that_is_not_there_now_is_not_forgotten(
    started, tmp_path
):
    """`git worktree prune` would: a moved project's replays, and what is on another disk."""
    disk, replay = tmp_path / "disk", tmp_path / "replay"
    disk.mkdir()
    project.git("worktree", "add", "--detach", str(disk / "mine"))
    disk.rename(tmp_path / "elsewhere")
    checkouts.copy(replay)
    checkouts.remove_abandoned()
    checkouts.remove_checkout(replay)
    assert not replay.exists()
    (tmp_path / "elsewhere").rename(disk)
    assert git.run(disk / "mine", "status", "--porcelain") == b""
    assert listed()[1:] == [str(disk / "mine")]
