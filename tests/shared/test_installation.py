"""A checkout or an environment that was copied never reaches into the original."""

import contextlib
import getpass
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.shared import checkouts, installation, lineage
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
    installation.require_home()
    in_replay_of(replaying, monkeypatch)
    installation.require_home()


def test_the_replay_of_a_copied_project_is_refused_with_both_names(
    replaying, tmp_path, monkeypatch
):
    shutil.copytree(replaying, tmp_path / "copy", symlinks=True)
    in_replay_of(tmp_path / "copy", monkeypatch)
    told = (
        rf"{tmp_path}/copy/{REPLAY} is a git worktree that belongs to {replaying}/{REPLAY}: .*"
        rf"in {tmp_path}/copy: `make relocate`"
    )
    with pytest.raises(EnvironmentUnfit, match=told):
        installation.require_home()


@pytest.mark.long
def test_a_replay_that_was_adopted_commits_to_its_own_project(replaying, tmp_path, monkeypatch):
    shutil.copytree(replaying, tmp_path / "copy", symlinks=True)
    before = contents(replaying)
    monkeypatch.chdir(tmp_path / "copy")
    assert installation.attach_replay(REPLAY)
    assert not installation.attach_replay(REPLAY)
    in_replay_of(tmp_path / "copy", monkeypatch)
    installation.require_home()
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
        installation.require_home()
    monkeypatch.chdir(tmp_path / "moved")
    assert installation.attach_replay(REPLAY)
    in_replay_of(tmp_path / "moved", monkeypatch)
    installation.require_home()
    assert project.git("status", "--porcelain", "--untracked-files=no") == ""


def git_dir_elsewhere(folder):
    project.git("init", "--quiet", "--separate-git-dir", str(folder.parent / "repository"))
    checkouts.copy(REPLAY)
    return folder


def submodule(folder):
    above = folder.parent / "above"
    above.mkdir()
    project.git("-C", str(above), "init", "--quiet")
    allowed = ("-c", "protocol.file.allow=always")
    project.git("-C", str(above), *allowed, "submodule", "--quiet", "add", str(folder), "sub")
    with contextlib.chdir(above / "sub"):
        checkouts.copy(REPLAY)
    return above / "sub"


def state_elsewhere(folder):
    (folder.parent / "disk").mkdir()
    Path("state").symlink_to(folder.parent / "disk")
    checkouts.copy(REPLAY)
    return folder


def relative_links(folder):
    """As git makes them from 2.48 on where `worktree.useRelativePaths` is set."""
    checkouts.copy(REPLAY)
    own = folder / ".git/worktrees" / REPLAY.name
    (REPLAY / ".git").write_text(f"gitdir: {os.path.relpath(own, REPLAY)}\n")
    (own / "gitdir").write_text(f"{os.path.relpath(REPLAY / '.git', own)}\n")
    return folder


def named_worktrees(folder):
    """A repository whose own folder is called as that of worktrees is."""
    place = folder.parent / "worktrees"
    place.mkdir()
    project.git("init", "--quiet", "--separate-git-dir", str(place / "repository"))
    checkouts.copy(REPLAY)
    return folder


LAYOUTS = [git_dir_elsewhere, submodule, state_elsewhere, relative_links, named_worktrees]


@pytest.fixture
def started(tmp_path_factory, tmp_path, monkeypatch):
    folder = tmp_path / "original"
    folder.mkdir()
    project.enter("started", tmp_path_factory, folder, monkeypatch)
    shutil.rmtree("state", ignore_errors=True)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_project_and_its_replay_are_at_home_however_git_keeps_them(started, layout, monkeypatch):
    folder = layout(started)
    monkeypatch.chdir(folder)
    (folder / ".venv").mkdir()
    installation.lend_environment(REPLAY)
    assert (REPLAY / ".venv").resolve() == folder / ".venv"
    installation.require_home()
    monkeypatch.chdir(REPLAY)
    installation.require_home()


@pytest.mark.long
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_replay_is_adopted_by_a_moved_project_however_git_keeps_it(
    started, layout, tmp_path, monkeypatch
):
    folder = layout(started)
    above = folder.parent if layout is submodule else folder
    above.rename(tmp_path / "moved here")
    folder = tmp_path / "moved here" / folder.relative_to(above)
    monkeypatch.chdir(folder)
    assert installation.attach_replay(REPLAY)
    assert not installation.attach_replay(REPLAY)
    monkeypatch.chdir(REPLAY)
    installation.require_home()
    Path("new.txt").write_text("of the replay\n")
    commit = project.commit()
    monkeypatch.chdir(folder)
    assert project.git("cat-file", "-t", commit) == "commit"


def test_the_replay_of_a_copy_that_shares_its_repository_stays_with_the_original(
    started, tmp_path, monkeypatch
):
    git_dir_elsewhere(started)
    shutil.copytree(started, tmp_path / "copy", symlinks=True)
    before = contents(tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "copy")
    told = f"{tmp_path}/copy/{REPLAY} and {started}/{REPLAY} are both worktrees of .*`git clone "
    with pytest.raises(EnvironmentUnfit, match=told):
        installation.attach_replay(REPLAY)
    assert contents(tmp_path / "repository") == before


def moved_worktree(repository, worktree):
    worktree.rename(worktree.with_name("moved here"))
    return repository, worktree.with_name("moved here")


def moved_repository(repository, worktree):
    repository.rename(repository.with_name("main moved"))
    return repository.with_name("main moved"), worktree


def moved_both(repository, worktree):
    return moved_repository(*moved_worktree(repository, worktree))


def copied(repository, worktree):
    shutil.copytree(worktree, worktree.with_name("copied here"), symlinks=True)
    return repository, worktree.with_name("copied here")


@pytest.mark.parametrize("history", [moved_worktree, moved_repository, moved_both, copied])
def test_the_advice_for_a_worktree_in_another_place_works(started, history, tmp_path, monkeypatch):
    project.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "w t"))
    repository, folder = history(started, tmp_path / "w t")
    monkeypatch.chdir(folder)
    with pytest.raises(EnvironmentUnfit, match="is a git worktree that belongs to") as refused:
        installation.require_home()
    command = re.search("; .*`(git .*)`", str(refused.value))[1]
    monkeypatch.chdir(repository)
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    monkeypatch.chdir(repository / "FOLDER" if history is copied else folder)
    installation.require_home()
    assert project.git("status", "--porcelain", "--untracked-files=no") == ""


def test_a_submodule_that_was_copied_is_no_checkout_of_its_own(started, monkeypatch):
    folder = submodule(started)
    shutil.copytree(folder, folder.with_name("copy"), symlinks=True)
    monkeypatch.chdir(folder.with_name("copy"))
    told = f"the .git of {folder.with_name('copy')} names the repository of {folder}, .*`git clone"
    with pytest.raises(EnvironmentUnfit, match=told) as refused:
        lineage.require_checkout()
    assert "`git init" not in str(refused.value)


def test_an_environment_of_the_replays_own_is_left_to_it(replaying):
    Path(".venv").mkdir()
    (REPLAY / ".venv").mkdir()
    installation.lend_environment(REPLAY)
    assert not (REPLAY / ".venv").is_symlink()


@pytest.mark.parametrize("place", ["/dev/null", "/nonexistent", ""])
def test_a_home_that_is_no_folder_is_replaced(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", place)
    monkeypatch.setenv("XDG_CONFIG_HOME", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not yet"))
    installation.name_account()
    assert Path.home() == tmp_path / "state/home"
    assert "XDG_CONFIG_HOME" not in os.environ
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "not yet")


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
        installation.require_own_scripts(made)
    assert installation.relocate_scripts(made) == 3
    assert installation.relocate_scripts(made) == 0
    assert (made / "activate").read_text() == f"VIRTUAL_ENV='{tmp_path}/né b'\n"
    installation.require_own_scripts(made)
    done = subprocess.run([made / "dvc"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{made}/dvc"


def test_an_environment_behind_a_link_keeps_the_name_of_its_own_project(tmp_path):
    programs(tmp_path / "original", tmp_path / "original/bin/python")
    (tmp_path / "linked").symlink_to("original")
    before = contents(tmp_path / "original")
    assert installation.relocate_scripts(tmp_path / "linked/bin") == 0
    assert contents(tmp_path / "original") == before


def test_scripts_that_find_their_python_themselves_are_left_alone(tmp_path):
    made = programs(tmp_path, tmp_path / "bin/python")
    for first in ("#!/bin/sh", "#!/usr/bin/env python3"):
        (made / "dvc").write_text(f"{first}\n'''exec' \"$(dirname \"$0\")\"/'python' \"$0\"\n")
        before = contents(tmp_path)
        installation.require_own_scripts(made)
        assert installation.relocate_scripts(made) == 0
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
    installation.name_account()
    assert getpass.getuser() == f"uid-{os.getuid()}"
    assert Path.home() == tmp_path / "state/home"


@pytest.mark.parametrize("name", ["p%q", "a:b", "{x,y}", "new\nline"])
def test_a_folder_whose_name_tools_cannot_read_is_refused_with_another(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    other = str(tmp_path / re.sub("[%:{}\n]", "-", name))
    with pytest.raises(EnvironmentUnfit, match=re.escape(f"rename it, as to {other!r}")) as refused:
        installation.require_home()
    assert repr(str(tmp_path / name)) in str(refused.value)
