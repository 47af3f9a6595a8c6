"""The only module that calls git: each call names its folder and gets its own environment.

Git sets variables for its hooks and aliases that name a repository, index and objects. A call that
inherits them works there, whatever its folder: a commit into a scratch copy would land on the
user's branch. `environment` removes them, also for tools that call git themselves.

`run` works in the user's checkout and reads their settings, which decide the meaning of its files
(line ends, ignored files, trusted owners). `own` works in our own repositories and reads none.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.shared.errors import EnvironmentUnfit, shell_quote
from pipeline.shared.programs import installing

KEPT_VARIABLES = frozenset(
    "GIT_CEILING_DIRECTORIES GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM GIT_CONFIG_SYSTEM "
    "GIT_DISCOVERY_ACROSS_FILESYSTEM GIT_EXEC_PATH GIT_SSH GIT_SSH_COMMAND GIT_SSL_CAINFO".split()
)
"""Variables that locate git and the user's settings; all others of git's may lead elsewhere."""
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
"""Settings that keep line ends as committed, since digests depend on them."""
_OWN = (
    *AS_RECORDED,
    *("-c", f"core.excludesFile={os.devnull}"),  # by default ~/.config/git/ignore, with no setting
    *("-c", "init.templateDir="),
    *("-c", "init.defaultBranch=main"),
    *("-c", "user.name=pipeline"),
    *("-c", "user.email=pipeline@localhost"),
)


_NO_COMMIT = ("single revision", "bad revision", "valid object name", "ambiguous argument 'HEAD")
"""Messages of various git versions for a repository without a commit."""
_ANOTHER_OWNER = "dubious ownership"


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables, by default this process's, without those that lead git elsewhere."""
    given = os.environ if variables is None else variables
    return {k: v for k, v in given.items() if not k.startswith("GIT_") or k in KEPT_VARIABLES}


def run(folder: Path, *arguments: str, index: Path | None = None) -> bytes:
    """Git's output in the user's checkout; `index` replaces its index file.

    Raises:
        EnvironmentUnfit: git failed: its message, and a remedy.
    """
    changes = {"GIT_INDEX_FILE": str(index)} if index else {}
    return _run(folder, [*_QUIET, *arguments], changes)


def own(folder: Path, *arguments: str) -> bytes:
    """Git's output in our own repository, without anybody's settings.

    Raises:
        EnvironmentUnfit: git failed: its message, and a remedy.
    """
    return _run(folder, [*_QUIET, *_OWN, *arguments], _APART)


def unreadable_reason(folder: Path) -> str | None:
    """Why git refuses a checkout of another owner, and a remedy; None if it does not."""
    try:
        if (folder / ".git").exists():
            run(folder, "rev-parse", "--git-dir")
    except EnvironmentUnfit as refusal:
        failure = refusal.__cause__
        if isinstance(failure, subprocess.CalledProcessError):
            return str(refusal) if _ANOTHER_OWNER in os.fsdecode(failure.stderr) else None
    return None


def commit(folder: Path) -> str:
    """The commit of a checkout, as 40 hex digits; the folder must be its top.

    Raises:
        EnvironmentUnfit: it is not a checkout, has no commit, or is part of another one.
    """
    output = os.fsdecode(run(folder, "rev-parse", "--show-toplevel", "HEAD^{commit}"))
    top_path, _, digest = output.removesuffix("\n").rpartition("\n")
    top, here = Path(top_path).resolve(), folder.resolve()
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
    return digest


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
    """The cause of git's failure, and the next command."""
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
