"""The installation: full paths in worktrees and scripts, checked and repaired after a move or copy.

A linked git worktree has a file .git that names a folder of the repository, which names it in turn,
by full or (from git 2.48 on) relative paths; the repository itself need not be at .git. The scripts
of an environment may begin with the path of its Python. In a copied folder both would reach into
the original.
"""

import contextlib
import os
import re
import shutil
import sys
from pathlib import Path

from pipeline.shared import dvc_lock, lineage
from pipeline.shared.errors import EnvironmentUnfit, shell_quote
from pipeline.shared.files import atomic_write, write_text

REPLAYS = Path("state/replay")
_BESIDE = """#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'{name}' "$0" "$@"
' '''
"""
"""The start of a script that runs the Python beside it, wherever that is, as uv writes it."""


def _line(file: Path) -> str:
    """The path in one of git's files."""
    return os.fsdecode(file.read_bytes()).rstrip("\n").removeprefix("gitdir: ")


def _git_folder(folder: Path) -> Path:
    """Git's folder of a checkout: .git, or the folder that this file names, as in a submodule."""
    own = folder / ".git"
    return folder / _line(own) if own.is_file() else own


def _administration(folder: Path) -> Path | None:
    """The repository's folder for a linked worktree; None if `folder` is not one."""
    named = _git_folder(folder)
    if not (folder / ".git").is_file():
        return None
    linked = (named / "commondir").is_file() if named.is_dir() else named.parent.name == "worktrees"
    return named if linked else None


def _repository(folder: Path) -> Path:
    """The folder with the commits of a checkout, which all its worktrees share."""
    own = _git_folder(folder)
    common = own / "commondir"
    return (own / _line(common) if common.is_file() else own).resolve()


def _owner(administration: Path) -> Path | None:
    """The .git file of the worktree that the repository's folder for it names."""
    back = administration / "gitdir"
    return (administration / _line(back)).resolve() if back.is_file() else None


def _is_alive(owner: Path | None, administration: Path) -> bool:
    """Whether the worktree that a repository names exists and names it in turn."""
    if owner is None or not owner.is_file():
        return False
    return _git_folder(owner.parent).resolve() == administration.resolve()


def attach_replay(folder: Path) -> bool:
    """Attach a replay's checkout to this repository, wherever both are; returns whether it changed.

    `git worktree repair` does not help: in a copied folder it changes the original's.

    Raises:
        EnvironmentUnfit: this folder shares its repository with another that has such a replay.
    """
    named = _administration(folder)
    if named is None:
        return False
    own = _repository(Path()) / "worktrees" / named.name
    file, owner = (folder / ".git").resolve(), _owner(own)
    if owner is None:
        return False
    settings = folder / ".dvc/config.local"
    before = settings.read_bytes() if settings.is_file() else b""
    changed = named.resolve() != own or owner != file
    if changed:
        if owner != file and _is_alive(owner, own):
            raise EnvironmentUnfit(
                f"{file.parent} and {owner.parent} are both worktrees of {own}, 1 can be: this "
                f"folder was copied with a .git that names {_repository(Path())}; use a clone of "
                f"its own: `git clone {shell_quote(Path.cwd())} FOLDER`"
            )
        _link(folder / ".git", own, folder.resolve(), "gitdir: ")
        _link(own / "gitdir", file, own)
    lend_environment(folder)
    dvc_lock.use_cache(folder)
    return changed or settings.read_bytes() != before


def _link(file: Path, target: Path, seen_from: Path, word: str = "") -> None:
    """Write a path into one of git's files, full or relative as before."""
    full = Path(_line(file)).is_absolute()
    write_text(file, f"{word}{target if full else os.path.relpath(target, seen_from)}\n")


def lend_environment(folder: Path) -> None:
    """Link this environment into a checkout below, unless that has its own."""
    ours, theirs = Path.cwd().resolve() / ".venv", folder / ".venv"
    if ours.is_dir() and (theirs.is_symlink() or not theirs.exists()):
        theirs.unlink(missing_ok=True)
        with contextlib.suppress(
            OSError
        ):  # without symlinks, as on exFAT, make creates an environment there
            theirs.symlink_to(os.path.relpath(ours, folder.resolve()))


def name_account() -> None:
    """Set LOGNAME and HOME for an account without them: some tools fail otherwise.

    A home that is not a folder (/dev/null, /nonexistent) or not writable (the root in a container)
    is replaced too.
    """
    os.environ.setdefault("LOGNAME", lineage.account())
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        path = Path(os.environ.get(name, ""))
        if path.exists() and not path.is_dir():
            del os.environ[name]
    with contextlib.suppress(RuntimeError):
        given = os.environ.get("HOME") != "" and Path.home().is_dir()
        if given and os.access(Path.home(), os.W_OK):
            return
    os.environ["HOME"] = str(Path("state/home").absolute())


def _require_readable_name(here: Path) -> None:
    for mark in ("%", ":", "{", "}", "\n"):
        if mark in str(here):
            other = re.sub(r"[%:{}\n]", "-", str(here))
            raise EnvironmentUnfit(
                f"the folder {str(here)!r} has {mark!r} in its name, and PATH, DVC or MLflow "
                f"cannot have it there: rename it, as to {other!r}, then `make relocate`"
            )


def require_home() -> None:
    """Refuse to work in a moved or copied folder whose paths reach into another.

    Raises:
        EnvironmentUnfit: with both folders.
    """
    here = Path.cwd().resolve()
    _require_readable_name(here)
    require_own_scripts(Path(sys.prefix) / "bin")
    named = _administration(Path())
    owner = None if named is None else _owner(named)
    if named is None or owner == here / ".git":
        return
    belongs = owner.parent if owner else named
    raise EnvironmentUnfit(
        f"{here} is a git worktree that belongs to {belongs}: it was moved or copied, and git "
        f"would write there or nowhere (`git worktree list`); {_repair(here, named, owner)}"
    )


def _repair(here: Path, named: Path, owner: Path | None) -> str:
    """The message on a worktree in another place, and the command that repairs it."""
    linked = Path(os.environ.get("PWD") or here)  # state may be a symlink to another disk
    for place in (here, linked):
        if place.parent.parts[-2:] == REPLAYS.parts and place.resolve() == here:
            return f"in {place.parents[2]}: `make relocate`"
    if not named.is_dir():
        return (
            f"{named} is gone; where the repository is now: `git worktree repair "
            f"{shell_quote(here)}`"
        )
    if _is_alive(owner, named):
        return f"the original is there, so use a clone: `git clone {shell_quote(here)} FOLDER`"
    return f"it was moved: `git -C {shell_quote(here)} worktree repair`"


def _interpreter(script: Path) -> Path | None:
    """The Python in a script's first line, if it is a full path into an environment."""
    if not script.is_file() or script.is_symlink():
        return None
    with script.open("rb") as stream:
        line = os.fsdecode(stream.readline(4096))
    path = line.removeprefix("#!").strip()
    named = Path(path)
    ours = line.startswith("#!/") and named.parent.name == "bin" and named.name.startswith("python")
    return named if ours else None


def require_own_scripts(programs: Path) -> None:
    """Refuse an environment whose scripts run another one's Python.

    Raises:
        EnvironmentUnfit: with both environments.
    """
    python = _interpreter(programs / "dvc")
    if python is not None and python.parent.resolve() != programs.resolve():
        raise EnvironmentUnfit(
            f"the environment {programs.parent} was made in {python.parent.parent}, and its "
            "programs would run what is there: `make relocate`"
        )


def relocate_scripts(programs: Path) -> int:
    """Let an environment's scripts run the Python beside them; returns how many were changed."""
    changed = _relocate_activation(programs)
    for script in sorted(programs.iterdir()):
        python = _interpreter(script)
        if python is None or python.parent.resolve() == programs.resolve():
            continue
        text = script.read_bytes()
        own = _BESIDE.format(name=python.name).encode()
        _rewrite(script, own + text[text.index(b"\n") + 1 :])
        changed += 1
    return changed


def _relocate_activation(programs: Path) -> int:
    """Let `source .venv/bin/activate` enter this environment; returns how many files changed."""
    settings = programs.parent / "pyvenv.cfg"
    lines = settings.read_text(encoding="utf-8").splitlines() if settings.is_file() else []
    command = next((line for line in lines if line.startswith("command = ")), "")
    made = command.partition(" -m venv ")[2]
    environment = programs.parent.resolve()  # behind a link it is another project's too
    if not made or Path(made).resolve() == environment:
        return 0
    old, new = made.encode(), os.fsencode(environment)
    files = [p for p in (settings, *programs.glob("activate*")) if old in p.read_bytes()]
    for path in files:
        _rewrite(path, path.read_bytes().replace(old, new))
    return len(files)


def _rewrite(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
        shutil.copymode(path, temporary)
