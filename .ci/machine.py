"""Whether the lock serves this machine: asked by set-up, before anything is removed.

A lock's markers are false on a machine that it does not serve: an installer then installs nothing,
removes what is there, and ends with 0. Standard library only.
"""

import os
import platform
import re
import struct
import subprocess
import sys
import sysconfig
from typing import NamedTuple

from pipeline.shared.programs import installing

SERVED = {"linux": ("x86_64", "aarch64"), "darwin": ("arm64",)}
"""Machines with wheels for every package, by platform: docs/platforms.json records it."""
OLDEST = {"glibc": (2, 28), "macOS": (14,)}
"""The oldest systems with wheels for every package, from the same record."""
NAMES = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}
SERVES = (
    f"the lock serves Linux on {' and '.join(SERVED['linux'])} with glibc "
    f"{'.'.join(map(str, OLDEST['glibc']))} or newer, and macOS {OLDEST['macOS'][0]} or newer on "
    f"{SERVED['darwin'][0]}"
)


class Machine(NamedTuple):
    """What decides whether there are wheels for a Python."""

    system: str
    machine: str
    bits: int = 64
    glibc: tuple[int, ...] = ()
    macos: tuple[int, ...] = ()
    rosetta: bool = False
    implementation: str = "cpython"
    free_threaded: bool = False


def here() -> Machine:
    """The machine as this Python sees it."""
    return Machine(
        sys.platform,
        platform.machine(),
        struct.calcsize("P") * 8,
        _glibc(),
        _numbers(platform.mac_ver()[0]),
        _rosetta(),
        sys.implementation.name,
        bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def _glibc() -> tuple[int, ...]:
    """Its version; empty where another C library runs this Python, as musl does on Alpine."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, OSError, ValueError):
        return ()
    return _numbers(version) if name == "glibc" else ()


def _rosetta() -> bool:
    """Whether an Intel program is being translated on Apple silicon."""
    if sys.platform != "darwin":
        return False
    asked = ["/usr/sbin/sysctl", "-n", "sysctl.proc_translated"]
    said = subprocess.run(asked, check=False, capture_output=True, text=True)
    return said.stdout.strip() == "1"


def unfit(found: Machine) -> str | None:
    """Why not every package can be installed on a machine, and what helps; None if all can."""
    name = f"{NAMES.get(found.system, found.system)} on {found.machine}"
    if found.machine not in SERVED.get(found.system, ()):
        return f"this Python runs on {name}, and {SERVES}: {_elsewhere(found)}"
    if found.bits != 64:
        return f"this Python is a {found.bits}-bit program, 64 bits are needed: {_python()}"
    if found.implementation != "cpython" or found.free_threaded:
        kind = "a free-threaded build" if found.free_threaded else found.implementation
        return f"this Python is {kind}, and the lock's wheels are for CPython: {_python()}"
    if found.system == "linux" and not found.glibc:
        return (
            f"this {name} has no glibc (Alpine has musl), and {SERVES}: use a system or an image "
            "of a container that has it, such as Debian, Ubuntu or Fedora"
        )
    return _aged(found, name)


def _aged(found: Machine, name: str) -> str | None:
    """Why a system is too old; an old build of Python reads every macOS as 10.16."""
    kind, version = ("macOS", found.macos) if found.system == "darwin" else ("glibc", found.glibc)
    if not version or version >= OLDEST[kind] or (kind == "macOS" and version[0] < 11):
        return None
    told = ".".join(map(str, version))
    return f"this {name} has {kind} {told}, and {SERVES}: use a newer system"


def _elsewhere(found: Machine) -> str:
    """What somebody on a machine without wheels can do instead."""
    if found.rosetta:
        return (
            "this is Apple silicon with an Intel Python under Rosetta; use one for arm64: "
            "`arch -arm64 brew install python@3.13`, then `make setup "
            'PYTHON="$(brew --prefix)/bin/python3.13"`'
        )
    if found.system == "darwin":
        return "on an Intel Mac use a Linux virtual machine or container"
    if found.system in ("win32", "cygwin", "msys"):
        return (
            "on Windows use WSL: `wsl --install`, then clone into its own Linux file system and "
            "run `make setup` there"
        )
    return "use a machine that it serves"


def _python() -> str:
    return f"`{installing(['python3'])}`, then `make setup PYTHON=/path/to/python3`"
