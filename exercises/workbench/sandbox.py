"""What a solution's process may take and touch, and what this system can do about it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from exercises.workbench import subject, wire

MB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What a solution may take: seconds a call, and for the whole process the rest.

    `loading_seconds` are added for the import of its module; `processes` counts it and its
    children.
    """

    seconds: float = 10.0
    loading_seconds: float = 30.0
    cpu_seconds: int = 120
    memory_mb: int = 4096
    file_mb: int = 16
    scratch_mb: int = 64
    files: int = 256
    processes: int = 12
    reply_mb: int = 16


def environment(scratch: Path) -> dict[str, str]:
    """The few variables of a solution's process: no name, no address, no secret of this one's."""
    threads = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], "1")
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
    return {
        "PATH": os.defpath,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        **threads,
        **kept,
    }


def resources(limits: Limits) -> dict[str, int]:
    """The system's limits by name, as `subject.limit` takes them."""
    return {
        "CPU": limits.cpu_seconds,
        "AS": limits.memory_mb * MB,
        "FSIZE": limits.file_mb * MB,
        "NOFILE": limits.files,
        "CORE": 0,
    }


def readable_places() -> list[str]:
    """The folders that Python and its packages are in, and what the system's libraries read."""
    paths = sysconfig.get_paths()
    python = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    python |= {sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)}
    tools = {str(Path(subject.__file__)), str(Path(wire.__file__))}
    system = {
        "/usr",
        "/lib",
        "/lib64",
        "/bin",
        "/etc",
        "/dev/null",
        "/dev/urandom",
        "/proc",
        "/sys",
    }
    resolved = {os.path.realpath(one) for one in python}
    return sorted(python | resolved | tools | system)


@cache
def isolation() -> list[str]:
    """The command that cuts a process off the network and others' processes; empty without."""
    if not sys.platform.startswith("linux") or (program := shutil.which("unshare")) is None:
        return []
    command = [program, "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    command += ["--mount-proc"]
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else []


def lacking() -> list[str]:
    """What this system cannot do for a grade; there the audit hook alone stands in the way."""
    lacks = [] if isolation() else ["cut a process off the network"]
    return lacks + ([] if subject.landlock_version() else ["keep a process from files"])


def family(pid: int) -> list[psutil.Process]:
    """A process and everything that it started; empty once it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def kill(pid: int) -> None:
    """Kill a process, its group and its children, until none is left."""
    for _ in range(100):
        alive = family(pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        for one in alive:
            with contextlib.suppress(psutil.Error):
                one.kill()
        if all(one.pid == pid for one in alive):
            return


def folder_size(folder: Path) -> int:
    """The bytes below a folder; what is removed meanwhile counts nothing."""
    total = 0
    for top, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(top) / name).lstat().st_size
    return total
