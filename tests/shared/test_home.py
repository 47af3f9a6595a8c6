"""A checkout or an environment that was copied never reaches into the original."""

import getpass
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.shared import checkouts, home, lineage
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.files import file_hash
from tests.shared import project

pytestmark = pytest.mark.slow

REPLAY = Path("state/replay/run")


def contents(folder):
    return {path: file_hash(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def replaying(tmp_path_factory, tmp_path, monkeypatch):
    """A project with a replay in a worktree below it."""
    folder = tmp_path / "original"
    folder.mkdir()
    project.enter("started", tmp_path_factory, folder, monkeypatch)
    checkouts.copy(REPLAY)
    return folder


def in_replay_of(folder, monkeypatch):
    monkeypatch.chdir(folder / REPLAY)


def test_a_project_and_its_replay_are_at_home_where_they_were_made(replaying, monkeypatch):
    home.require_home()
    in_replay_of(replaying, monkeypatch)
    home.require_home()


def test_the_replay_of_a_copied_project_is_refused_with_both_names(
    replaying, tmp_path, monkeypatch
):
    shutil.copytree(replaying, tmp_path / "copy", symlinks=True)
    in_replay_of(tmp_path / "copy", monkeypatch)
    told = (
        rf"{tmp_path}/copy/{REPLAY} is a git worktree that belongs to {replaying}/{REPLAY}: .*"
        rf"`make relocate` in {tmp_path}/copy"
    )
    with pytest.raises(EnvironmentUnfit, match=told):
        home.require_home()


def test_a_replay_that_was_adopted_commits_to_its_own_project(replaying, tmp_path, monkeypatch):
    shutil.copytree(replaying, tmp_path / "copy", symlinks=True)
    before = contents(replaying)
    monkeypatch.chdir(tmp_path / "copy")
    assert home.adopt(REPLAY)
    assert not home.adopt(REPLAY)
    in_replay_of(tmp_path / "copy", monkeypatch)
    home.require_home()
    Path("new.txt").write_text("of the copy\n")
    commit = project.commit()
    assert contents(replaying) == before
    monkeypatch.chdir(tmp_path / "copy")
    assert project.git("cat-file", "-t", commit) == "commit"


def test_the_replay_of_a_moved_project_goes_on_once_it_was_adopted(
    replaying, tmp_path, monkeypatch
):
    replaying.rename(tmp_path / "moved")
    in_replay_of(tmp_path / "moved", monkeypatch)
    with pytest.raises(EnvironmentUnfit, match=f"belongs to {replaying}/"):
        home.require_home()
    monkeypatch.chdir(tmp_path / "moved")
    assert home.adopt(REPLAY)
    in_replay_of(tmp_path / "moved", monkeypatch)
    home.require_home()
    assert project.git("status", "--porcelain", "--untracked-files=no") == ""


def programs(folder, python):
    """The programs of an environment whose script names this Python."""
    made = folder / "bin"
    made.mkdir(parents=True)
    (made / "python").symlink_to(sys.executable)
    (made / "dvc").write_text(f"#!{python}\nimport sys\nprint(sys.argv[0])\n")
    (made / "dvc").chmod(0o755)
    (made / "activate").write_text(f"VIRTUAL_ENV='{Path(python).parents[1]}'\n")
    (folder / "pyvenv.cfg").write_text(f"command = /usr/bin/python3 -m venv {python.parents[1]}\n")
    return made


def test_an_environment_whose_programs_run_another_is_refused_and_mended(tmp_path):
    made = programs(tmp_path / "né b", tmp_path / "original/bin/python")
    told = f"{tmp_path}/né b was made in {tmp_path}/original"
    with pytest.raises(EnvironmentUnfit, match=f"{told}, .*`make relocate`"):
        home.require_own_scripts(made)
    assert home.relocate_scripts(made) == 3
    assert home.relocate_scripts(made) == 0
    assert (made / "activate").read_text() == f"VIRTUAL_ENV='{tmp_path}/né b'\n"
    home.require_own_scripts(made)
    done = subprocess.run([made / "dvc"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{made}/dvc"


def test_scripts_that_find_their_python_themselves_are_left_alone(tmp_path):
    made = programs(tmp_path, tmp_path / "bin/python")
    for first in ("#!/bin/sh", "#!/usr/bin/env python3"):
        (made / "dvc").write_text(f"{first}\n'''exec' \"$(dirname \"$0\")\"/'python' \"$0\"\n")
        before = contents(tmp_path)
        home.require_own_scripts(made)
        assert home.relocate_scripts(made) == 0
        assert contents(tmp_path) == before


# Names: of the account and of the folder.


@pytest.fixture
def nameless(monkeypatch):
    """An account that is only a number, as `docker run -u 12345` gives one."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME", "GITHUB_ACTOR"):
        monkeypatch.delenv(name, raising=False)


def test_an_account_without_a_name_is_its_number(nameless):
    assert lineage.account() == f"uid-{os.getuid()}"


def test_tools_find_a_name_and_a_home_where_the_account_has_none(nameless, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for asked in (getpass.getuser, Path.home):
        with pytest.raises((KeyError, OSError, RuntimeError)):
            asked()
    for name in ("LOGNAME", "HOME"):  # taken back at the end
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    home.name_account()
    assert getpass.getuser() == f"uid-{os.getuid()}"
    assert Path.home() == tmp_path / "state/home"


@pytest.mark.parametrize("name", ["p%q", "a:b", "{x,y}", "new\nline"])
def test_a_folder_whose_name_tools_cannot_read_is_refused_with_another(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    other = str(tmp_path / re.sub("[%:{}\n]", "-", name))
    with pytest.raises(EnvironmentUnfit, match=re.escape(f"rename it, as to {other!r}")) as refused:
        home.require_home()
    assert repr(str(tmp_path / name)) in str(refused.value)
