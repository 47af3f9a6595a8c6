"""Where a checkout and its programs live: what of them names a full path, compared with the folder.

A linked git worktree has a file .git that names a folder of the repository, which names it in turn;
the scripts of an environment may begin with the path of its Python. In a folder that was copied
both would reach into the original.
"""

import contextlib
import os
import re
import shutil
import sys
from pathlib import Path

from pipeline.shared import graph, lineage
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.files import replacing, write_text

REPLAYS = Path("state/replay")
_BESIDE = """#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'{name}' "$0" "$@"
' '''
"""
"""How a script begins that runs the Python beside it, wherever that is; uv writes the same."""


def _administration(folder: Path) -> Path | None:
    """The repository's own folder for a linked worktree; None where `folder` is none."""
    file = folder / ".git"
    if not file.is_file():
        return None
    named = file.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")
    found = folder / named
    return None if found.parent.name != "worktrees" else found


def _repository(folder: Path) -> Path:
    """The folder with the commits of a checkout."""
    own = _administration(folder)
    return own.parent.parent if own else folder / ".git"


def adopt(folder: Path) -> bool:
    """Let a replay's checkout be one of this repository, wherever both are now; was it not?

    `git worktree repair` is no help: in a copied folder it changes the original's.
    """
    named = _administration(folder)
    if named is None:
        return False
    own = _repository(Path()).resolve() / "worktrees" / named.name
    back = own / "gitdir"
    file = (folder / ".git").resolve()
    if not back.is_file():
        return False
    right = (folder / ".git").read_text(encoding="utf-8"), back.read_text(encoding="utf-8")
    if right == (f"gitdir: {own}\n", f"{file}\n"):
        return False
    write_text(folder / ".git", f"gitdir: {own}\n")
    write_text(back, f"{file}\n")
    lend_environment(folder)
    graph.use_cache(folder)
    return True


def lend_environment(folder: Path) -> None:
    """Let a checkout below this one use its packages."""
    ours = Path(".venv").absolute()
    if ours.is_dir():
        (folder / ".venv").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # without symlinks, as on exFAT, make there makes one
            (folder / ".venv").symlink_to(os.path.relpath(ours, folder.absolute()))


def name_account() -> None:
    """Give an account without a name or a folder both: some tools fail without them."""
    os.environ.setdefault("LOGNAME", lineage.account())
    try:
        Path.home()
    except RuntimeError:
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
    """Refuse to work in a folder that was moved or copied, where that would reach into another.

    Raises:
        EnvironmentUnfit: names both folders.
    """
    here = Path.cwd().resolve()
    _require_readable_name(here)
    require_own_scripts(Path(sys.prefix) / "bin")
    named = _administration(Path())
    if named is None:
        return
    back = named / "gitdir"
    owner = Path(back.read_text(encoding="utf-8").strip()).resolve() if back.is_file() else None
    if owner == here / ".git":
        return
    replay = here.parent.parts[-2:] == REPLAYS.parts
    raise EnvironmentUnfit(
        f"{here} is a git worktree that belongs to {owner.parent if owner else named}: it was "
        "moved or copied, and git would write there; "
        + (
            f"`make relocate` in {here.parents[2]}"
            if replay
            else "if it was moved, `git worktree repair` in it; if copied, `git clone` instead"
        )
    )


def _interpreter(script: Path) -> Path | None:
    """The Python of an environment that a script begins with, if it names one in full."""
    if not script.is_file() or script.is_symlink():
        return None
    with script.open("rb") as stream:
        line = os.fsdecode(stream.readline(4096))
    path = line.removeprefix("#!").strip()
    named = Path(path)
    ours = line.startswith("#!/") and named.parent.name == "bin" and named.name.startswith("python")
    return named if ours else None


def require_own_scripts(programs: Path) -> None:
    """Refuse an environment whose programs run another one.

    Raises:
        EnvironmentUnfit: names both.
    """
    python = _interpreter(programs / "dvc")
    if python is not None and python.parent.resolve() != programs.resolve():
        raise EnvironmentUnfit(
            f"the environment {programs.parent} was made in {python.parent.parent}, and its "
            "programs would run what is there: `make relocate`"
        )


def relocate_scripts(programs: Path) -> int:
    """Let the scripts of an environment find their own Python beside them; how many did not."""
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
    """Let `source .venv/bin/activate` enter this environment; how many files did not."""
    settings = programs.parent / "pyvenv.cfg"
    lines = settings.read_text(encoding="utf-8").splitlines() if settings.is_file() else []
    command = next((line for line in lines if line.startswith("command = ")), "")
    made = command.partition(" -m venv ")[2]
    if not made or Path(made) == programs.parent:
        return 0
    old, new = made.encode(), os.fsencode(programs.parent)
    files = [p for p in (settings, *programs.glob("activate*")) if old in p.read_bytes()]
    for path in files:
        _rewrite(path, path.read_bytes().replace(old, new))
    return len(files)


def _rewrite(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        shutil.copymode(path, temporary)
