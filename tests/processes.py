"""Other processes of this machine: by /proc where there is one, else by ps and lsof."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Other(NamedTuple):
    """A process: its number, its parent's, whether it is a zombie, and its command's words."""

    pid: int
    parent: int
    zombie: bool
    command: str


def everyone() -> list[Other]:
    """All processes, this one among them.

    A machine that shows none of them would make every test of what is left over pass.
    """
    found = _by_proc() if (PROC / "self" / "stat").exists() else _by_ps()
    assert os.getpid() in {one.pid for one in found}, "this process is not among those found"
    return found


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    return any(one.pid == pid and not one.zombie for one in everyone())


def below(pid: int) -> list[Other]:
    """The children of a process that run."""
    return [one for one in everyone() if one.parent == pid and not one.zombie]


def working_in(*places: Path) -> list[str]:
    """The commands of processes whose folder is one of these, or below it."""
    wanted, cwds = [place.resolve() for place in places], _folders()
    assert cwds[os.getpid()] == Path.cwd(), "this process is not found in its own folder"
    inside = {
        pid
        for pid, folder in cwds.items()
        if any(folder == place or place in folder.parents for place in wanted)
    }
    return [one.command for one in everyone() if one.pid in inside and not one.zombie]


def _by_proc() -> list[Other]:
    found = []
    for place in PROC.glob("[0-9]*"):
        try:
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        found.append(Other(int(place.name), int(parent), state == "Z", words.strip()))
    return found


def _by_ps() -> list[Other]:
    columns = ["ps", "-axo", "pid=,ppid=,stat=,command="]
    told = subprocess.run(columns, capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in told.splitlines()]
    return [
        Other(int(pid), int(parent), state.startswith("Z"), " ".join(words))
        for pid, parent, state, *words in rows
    ]


def _folders() -> dict[int, Path]:
    if (PROC / "self" / "cwd").exists():
        found = {}
        for place in PROC.glob("[0-9]*"):
            try:
                found[int(place.name)] = (place / "cwd").resolve()
            except OSError:
                continue
        return found
    told = subprocess.run(
        ["lsof", "-a", "-d", "cwd", "-Fpn"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    numbers = [int(line[1:]) for line in told if line.startswith("p")]
    return dict(zip(numbers, [Path(n[1:]) for n in told if n.startswith("n")], strict=True))
