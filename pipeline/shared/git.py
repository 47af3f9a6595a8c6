"""The door to git: each call names its folder and gets an environment of its own.

Git tells its hooks and aliases by variables which repository, index and objects they work on. A
call that inherits these works there, whatever its folder: a commit into a scratch copy then lands
on the user's branch. `environment` keeps them from git, and from each tool that calls git itself.

`run` works in the user's checkout and reads their settings, because they decide what its files mean
(line ends, ignored files, trusted owners). `own` works in a repository of ours and reads none.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.shared.errors import EnvironmentUnfit, shell_quote
from pipeline.shared.programs import installing

KEPT = frozenset(
    "GIT_CEILING_DIRECTORIES GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM GIT_CONFIG_SYSTEM "
    "GIT_DISCOVERY_ACROSS_FILESYSTEM GIT_EXEC_PATH GIT_SSH GIT_SSH_COMMAND GIT_SSL_CAINFO".split()
)
"""Where git and the user's settings are; every other variable of git's may lead elsewhere."""
_ALWAYS = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
_QUIET = (
    "--no-pager",
    *("-c", f"core.hooksPath={os.devnull}"),  # a hook may change what is recorded, or ask
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.quotePath=true"),
    *("-c", f"diff.orderFile={os.devnull}"),
    *("-c", "core.safecrlf=false"),  # true refuses files that it would convert
    *("-c", "commit.gpgSign=false"),
    *("-c", "tag.gpgSign=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
)
_APART = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
}
AS_RECORDED = (
    *("-c", "core.autocrlf=false"),
    *("-c", "core.eol=lf"),
    *("-c", f"core.attributesFile={os.devnull}"),
)
"""Files come out of git with the line ends that their hashes were taken of."""
_OWN = (
    *AS_RECORDED,
    *("-c", f"core.excludesFile={os.devnull}"),  # by default ~/.config/git/ignore, with no setting
    *("-c", "init.templateDir="),
    *("-c", "init.defaultBranch=main"),
    *("-c", "user.name=pipeline"),
    *("-c", "user.email=pipeline@localhost"),
)


_NO_COMMIT = ("single revision", "bad revision", "valid object name", "ambiguous argument 'HEAD")
"""What git says, in one version or another, where there is no commit yet."""
_ANOTHER_OWNER = "dubious ownership"


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """These variables, this process's by default, without those that lead git elsewhere."""
    given = os.environ if variables is None else variables
    return {k: v for k, v in given.items() if not k.startswith("GIT_") or k in KEPT}


def run(folder: Path, *arguments: str, index: Path | None = None) -> bytes:
    """What git says in a folder of the user's; with `index`, that file takes the index's place.

    Raises:
        EnvironmentUnfit: git failed: what it said, and what helps.
    """
    changes = {"GIT_INDEX_FILE": str(index)} if index else {}
    return _run(folder, [*_QUIET, *arguments], changes)


def own(folder: Path, *arguments: str) -> bytes:
    """What git says in a repository of ours, where nobody's settings count.

    Raises:
        EnvironmentUnfit: git failed: what it said, and what helps.
    """
    return _run(folder, [*_QUIET, *_OWN, *arguments], _APART)


def unreadable_reason(folder: Path) -> str | None:
    """Why git reads nothing of a checkout, as another owner's, and what helps; None if it does."""
    try:
        if (folder / ".git").exists():
            run(folder, "rev-parse", "--git-dir")
    except EnvironmentUnfit as refusal:
        failure = refusal.__cause__
        if isinstance(failure, subprocess.CalledProcessError):
            return str(refusal) if _ANOTHER_OWNER in os.fsdecode(failure.stderr) else None
    return None


def commit(folder: Path) -> str:
    """The commit of a folder that is the top of a checkout, as 40 hex digits.

    Raises:
        EnvironmentUnfit: it is no checkout, has no commit, or is a part of another one.
    """
    said = os.fsdecode(run(folder, "rev-parse", "--show-toplevel", "HEAD^{commit}"))
    told, _, found = said.removesuffix("\n").rpartition("\n")
    top, here = Path(told).resolve(), folder.resolve()
    if top != here:
        if (here / ".git").is_file():
            raise EnvironmentUnfit(
                f"the .git of {here} names the repository of {top}, whose commits would be its "
                f"lineage: it was copied; `git clone {shell_quote(top)} FOLDER` "
                "makes its own checkout"
            )
        raise EnvironmentUnfit(
            f"{here} is a part of the git checkout {top}, whose commits would be its lineage; make "
            f"it a checkout of its own: `git init && git add -A && git commit -m start` in {here}"
        )
    return found


def _run(folder: Path, arguments: list[str], changes: dict[str, str]) -> bytes:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment() | _ALWAYS | changes,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        raise EnvironmentUnfit(
            f"there is no git on the PATH ({error.strerror}), and a model's lineage begins with a "
            f"commit; `{installing(['git'])}`, then run the same again"
        ) from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())
        raise EnvironmentUnfit(_advice(folder.absolute(), said)) from error
    return done.stdout


def _advice(folder: Path, said: str) -> str:
    """What git's failure means here, and the next command."""
    top = next((path for path in (folder, *folder.parents) if (path / ".git").exists()), None)
    if top is None:
        return (
            f"{folder} is not a git checkout with a commit: a model's lineage begins with one; "
            "clone the project, or `git init && git add -A && git commit -m start` "
            f"(git says: {said})"
        )
    if _ANOTHER_OWNER in said:
        return (
            f"{top} belongs to user {top.stat().st_uid}, this process runs as user {os.geteuid()}, "
            "and git reads no checkout of another owner: trust it with `git config --global --add "
            f"safe.directory {shell_quote(top)}`, or make it yours with `sudo chown -R "
            f"{os.geteuid()} {shell_quote(top)}`"
        )
    if any(words in said for words in _NO_COMMIT):
        return (
            f"{top} is not a git checkout with a commit yet: a model's lineage begins with one; "
            f"`git add -A && git commit -m start` (git says: {said})"
        )
    return f"git cannot work in {top}; see `git -C {shell_quote(top)} status` (git says: {said})"


if __name__ == "__main__":
    try:
        commit(Path())
    except EnvironmentUnfit as refusal:
        print(f"checkout: EnvironmentUnfit: {refusal}", file=sys.stderr)
        sys.exit(refusal.exit_code)
