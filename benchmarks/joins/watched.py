"""An engine's process, watched: its time, memory and files, and the limits that stop it."""

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from exercises.scratch import ROOT

LIMIT_DISK_GB, MEMORY_SHARE = 30.0, 0.8
"""When an engine is stopped: with so much on disk, of the memory that was free."""
EVERY = 0.2


@dataclass(frozen=True)
class Cost:
    """What a join took, and why it was stopped; "" if it ended by itself."""

    seconds: float
    peak_memory_gb: float
    peak_disk_gb: float
    processor_seconds: float
    stopped: str
    said: str


@cache
def memory_limit_gb() -> float:
    """The memory that an engine may have: most of what was free before the first one."""
    return MEMORY_SHARE * psutil.virtual_memory().available / 1e9


def watch(command: list[str], scratch: Path, folder: Path, limit_seconds: float) -> Cost:
    """Run an engine to its end, or until it is over a limit; `folder` is all that is on disk."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    began, peak, disk, spent, stopped = time.perf_counter(), 0.0, 0.0, 0.0, ""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, cwd=scratch, env=environment, stdout=said, stderr=said, start_new_session=True
        ) as process,
    ):
        try:
            looks = 0
            while process.poll() is None and not stopped:
                time.sleep(EVERY)
                memory, spent = _family(process.pid, spent)
                peak, looks = max(peak, memory), looks + 1
                if looks % 20 == 0:  # to walk the folder takes longer
                    disk = max(disk, _size_gb(folder))
                stopped = _over(memory, disk)
                if (limit := limit_seconds) < time.perf_counter() - began:
                    stopped = f"after {limit:,.0f} s"
            seconds = time.perf_counter() - began
        finally:
            _end(process)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if process.returncode and not stopped:
        stopped = f"ended with {process.returncode}"
    disk = max(disk, _size_gb(folder))
    return Cost(round(seconds, 2), round(peak, 2), round(disk, 2), round(spent, 1), stopped, text)


def _over(memory: float, disk: float) -> str:
    if memory > (limit := memory_limit_gb()):
        return f"at {limit:.1f} GB of memory"
    if disk > LIMIT_DISK_GB:
        return f"at {LIMIT_DISK_GB:.0f} GB of disk"
    return ""


def _family(pid: int, spent: float) -> tuple[float, float]:
    """The memory of a process and of all below it in GB, and the most processor seconds so far."""
    memory, seconds = 0.0, 0.0
    try:
        root = psutil.Process(pid)
        for one in [root, *root.children(recursive=True)]:
            memory += one.memory_info().rss / 1e9
            seconds += sum(one.cpu_times()[:2])
    except psutil.NoSuchProcess:  # it ended meanwhile
        pass
    return memory, max(spent, seconds)


def _size_gb(folder: Path) -> float:
    whole = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                whole += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118  many files
            except FileNotFoundError:
                continue
    return whole / 1e9


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End an engine with all its processes, if it has not ended."""
    if process.poll() is None:
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        for one in [*family, psutil.Process(process.pid)]:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
    process.wait()


def emptied(folder: Path) -> Path:
    """A folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
