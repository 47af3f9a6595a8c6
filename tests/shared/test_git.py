"""Git as people have it: hooks that run our commands, settings of their own, foreign owners."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exercises import scratch
from pipeline.shared import checkouts, git, lineage
from pipeline.shared.errors import EnvironmentUnfit
from tests.shared import project

pytestmark = pytest.mark.answer("three-artefacts")

HOOK = """#!/bin/sh
set -e
env | grep ^GIT_INDEX_FILE= > {seen}
exec {python} {script}
"""
COMMANDS = """
import sys
from pathlib import Path

sys.path.insert(0, {root!r})
from docs import report
from exercises import scratch
from pipeline.shared import checkouts, dvc_lock, lineage
from tests.rules import tree
from tests.shared import project

aside = Path({aside!r})
(aside / "copy").mkdir()
scratch.scratch(aside / "copy")
scratch.tree_of(aside / "copy")
lineage.collect()
lineage.actor()
checkouts.copy(aside / "replay")
checkouts.remove_checkout(aside / "replay")
with checkouts.worktree(lineage.require_checkout(), aside / "no.patch") as folder:
    dvc_lock.use_remote(folder, dvc_lock.remote(Path()))
report.revision("HEAD")
tree.files()
project.git("status", "--porcelain")
(aside / "done").touch()
"""


def by_hand(folder: Path, *arguments: str, **changes: str) -> str:
    """Run git as a person does: with hooks, and with settings if `changes` name some."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env=git.environment() | {"GIT_CONFIG_GLOBAL": os.devnull} | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def state(folder: Path) -> dict[str, str]:
    """What a hook of ours may not change in a user's repository."""
    return {
        "commits": by_hand(folder, "log", "--all", "--format=%H %s"),
        "settings": by_hand(folder, "config", "--local", "--list"),
        "worktrees": by_hand(folder, "worktree", "list"),
        "status": by_hand(folder, "status", "--porcelain"),
    }


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("way", ["a linked worktree", "the checkout itself"])
def test_a_hook_that_runs_our_commands_changes_nothing_of_the_users(started, tmp_path_factory, way):
    main = started
    by_hand(main, "branch", "topic")
    folder = main
    if way == "a linked worktree":
        folder = tmp_path_factory.mktemp("linked") / "checkout"
        by_hand(main, "worktree", "add", "--quiet", str(folder), "topic")
        shutil.copytree(main / "data", folder / "data")
        shutil.copy(main / "configs/register.yaml", folder / "configs/register.yaml")
    aside = tmp_path_factory.mktemp("aside")
    script = aside / "commands.py"
    script.write_text(COMMANDS.format(root=str(project.ROOT), aside=str(aside)))
    hook = main / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(seen=aside / "seen", python=sys.executable, script=script))
    hook.chmod(0o755)
    (folder / "notes.txt").write_text("a change\n")
    by_hand(folder, "add", "notes.txt")
    before, rules = state(main), state(project.ROOT)
    by_hand(folder, "commit", "--quiet", "--message", "by hand")
    assert (aside / "seen").read_text().startswith("GIT_INDEX_FILE=")
    assert (aside / "done").exists()
    after = state(main)
    new = set(after.pop("commits").splitlines()) - set(before.pop("commits").splitlines())
    assert [line.partition(" ")[2] for line in new] == ["by hand"]
    assert by_hand(folder, "show", "--name-only", "--format=", "HEAD") == "notes.txt"
    assert by_hand(folder, "status", "--porcelain") == ""
    assert by_hand(main, "config", "core.bare") == "false"
    assert after["settings"] == before["settings"]
    assert after["worktrees"].count("\n") == before["worktrees"].count("\n")
    assert state(project.ROOT) == rules


def test_no_variable_by_which_git_tells_a_hook_its_repository_is_passed_on():
    told = project.git("rev-parse", "--local-env-vars").split()
    assert "GIT_DIR" in told
    assert "GIT_INDEX_FILE" in told
    given = dict.fromkeys([*told, "GIT_CONFIG_KEY_0", "GIT_NAMESPACE", "GIT_AUTHOR_DATE"], "x")
    assert git.environment(given | {"PATH": "/bin"}) == {"PATH": "/bin"}
    kept = dict.fromkeys(git.KEPT_VARIABLES, "y")
    assert git.environment(kept) == kept


def settings_of_a_user(folder: Path) -> dict[str, str]:
    """A home in which git signs without a key, asks hooks, converts and ignores."""
    (folder / "hooks").mkdir(parents=True)
    for name in ("pre-commit", "post-checkout", "commit-msg", "post-index-change"):
        (folder / "hooks" / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / "hooks" / name).chmod(0o755)
    shutil.copytree(folder / "hooks", folder / "template/hooks")
    (folder / "ignore").write_text("README.md\nexercises/\n")
    (folder / "attributes").write_text("*.yaml text eol=crlf\n")
    text = {
        "user.useConfigOnly": "true",
        "commit.gpgSign": "true",
        "gpg.program": "/bin/false",
        "commit.template": str(folder / "gone.txt"),
        "core.hooksPath": str(folder / "hooks"),
        "init.templateDir": str(folder / "template"),
        "init.defaultBranch": "not a name..",
        "core.excludesFile": str(folder / "ignore"),
        "core.attributesFile": str(folder / "attributes"),
        "core.fsmonitor": "/bin/false",
        "core.autocrlf": "true",
        "core.safecrlf": "true",
    }
    lines = [
        f"[{key.partition('.')[0]}]\n\t{key.partition('.')[2]} = {value}"
        for key, value in text.items()
    ]
    (folder / "gitconfig").write_text("\n".join(lines) + "\n")
    return {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig")}


@pytest.mark.slow
def test_a_scratch_copy_is_the_same_whatever_a_users_settings(tmp_path, monkeypatch):
    for name in ("plain", "theirs"):
        (tmp_path / name).mkdir()
    plain = scratch.tree_of(scratch.scratch(tmp_path / "plain"))
    for name, value in settings_of_a_user(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    assert scratch.tree_of(scratch.scratch(tmp_path / "theirs")) == plain
    assert scratch.tree_of(tmp_path / "theirs", "HEAD") == plain
    hooks = list((tmp_path / "theirs/.git").rglob("pre-commit"))
    assert hooks == []


def test_a_rebuilt_checkout_has_the_recorded_bytes_whatever_a_users_settings(
    started, tmp_path_factory, monkeypatch
):
    (started / "new.yaml").write_bytes(b"a: 1\nb: 2\n")
    (started / "tree.patch").write_bytes(lineage.patch())
    (started / "new.yaml").unlink()
    home = settings_of_a_user(tmp_path_factory.mktemp("home") / "own")
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    commit = lineage.require_checkout()
    with checkouts.worktree(commit, started / "tree.patch") as folder:
        for path in ("configs/train.yaml", "dvc.yaml"):
            assert (folder / path).read_bytes() == (started / path).read_bytes()
        assert (folder / "new.yaml").read_bytes() == b"a: 1\nb: 2\n"
    assert lineage.require_checkout() == commit


def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git take every checkout for another owner's, as it does for itself in its own tests."""
    (folder / "git").write_text(
        f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n'
    )
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_checkout_of_another_owner_is_refused_with_both_ways_out(
    started, tmp_path_factory, monkeypatch
):
    elsewhere(tmp_path_factory.mktemp("bin"), monkeypatch)
    empty = tmp_path_factory.mktemp("home") / "gitconfig"
    empty.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(empty))
    with pytest.raises(EnvironmentUnfit) as refused:
        lineage.require_checkout()
    said = str(refused.value)
    assert f"belongs to user {started.stat().st_uid}, this process runs as user" in said
    assert f"sudo chown -R {os.geteuid()} {started}" in said
    assert "git init" not in said
    advice = f"git config --global --add safe.directory {started}"
    assert f"`{advice}`" in said
    by_hand(started, *advice.split()[1:], GIT_CONFIG_GLOBAL=str(empty))
    assert len(lineage.require_checkout()) == 40


def test_git_init_is_no_advice_where_there_is_a_git_folder(started, tmp_path_factory):
    below = started / "configs"
    shutil.rmtree(started / ".git/objects")
    for folder in (started, below):
        with pytest.raises(EnvironmentUnfit) as refused:
            lineage.require_checkout(folder)
        assert "git init" not in str(refused.value)
    shutil.rmtree(started / ".git")
    (started / ".git").write_text("gitdir: /gone/.git/worktrees/x\n")
    with pytest.raises(EnvironmentUnfit, match="git says: fatal: not a git repository: /gone"):
        lineage.require_checkout(below)
    (started / ".git").unlink()
    project.git("init", "--quiet")
    with pytest.raises(EnvironmentUnfit, match=r"commit yet.*`git add -A && git commit -m start`"):
        lineage.require_checkout()


def test_the_words_of_git_are_read_in_one_language(started, monkeypatch):
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with pytest.raises(EnvironmentUnfit, match="git says: fatal: Needed a single revision"):
        git.run(Path(), "rev-parse", "--verify", "no-such-branch")
