"""Programs that a machine may lack, and its package manager's command that installs them.

Standard library only: set-up asks here before any package is installed.
"""

import shutil
from collections.abc import Iterable
from typing import NamedTuple

MANAGERS = {
    "apt-get": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "apk": "sudo apk add",
    "brew": "brew install",
}
"""Package managers by program, in order of preference: a Linux with Homebrew uses its own."""


class Packages(NamedTuple):
    """The package of one program, by manager; dnf defaults to the name of its file."""

    apt: str
    brew: str
    apk: str
    dnf: str = ""


PROGRAMS = {
    "alertmanager": Packages("prometheus-alertmanager", "alertmanager", "alertmanager"),
    "amtool": Packages("prometheus-alertmanager", "alertmanager", "alertmanager"),
    "buildah": Packages("buildah", "buildah", "buildah", "buildah"),
    "chromium": Packages("chromium", "--cask chromium", "chromium"),
    "curl": Packages("curl", "curl", "curl"),
    "docker": Packages("docker.io", "docker", "docker", "docker"),
    "gh": Packages("gh", "gh", "github-cli"),
    "git": Packages(apt="git", brew="git", apk="git", dnf="git"),
    "java": Packages("default-jre-headless", "openjdk", "openjdk17-jre-headless"),
    "podman": Packages("podman", "podman", "podman", "podman"),
    "postgres": Packages("postgresql", "postgresql", "postgresql"),
    "prometheus": Packages("prometheus", "prometheus", "prometheus"),
    "promtool": Packages("prometheus", "prometheus", "prometheus"),
    "python3": Packages("python3 python3-venv", "python@3.13", "python3", "python3.13"),
    "redis-server": Packages("redis-server", "redis", "redis"),
}
"""Programs that tests, drills and commands need beyond the lock."""
_NAMES = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}
"""Programs with another name in Debian, under both names."""


def locate_program(name: str) -> str | None:
    """The path of a program under any of its names; None if it is not installed."""
    return next((path for one in _NAMES.get(name, (name,)) if (path := shutil.which(one))), None)


def installing(names: Iterable[str]) -> str:
    """The command that installs programs on this machine, or only the packages' names.

    Args:
        names: keys of PROGRAMS; two of one package make one word, one with an option of its own,
            as Homebrew's casks have, a command of its own.
    """
    manager = next((name for name in MANAGERS if shutil.which(name)), None)
    packages = dict.fromkeys(_package(manager or "apt-get", name) for name in names)
    begin = MANAGERS[manager] if manager else "install"
    apart = [package for package in packages if package.startswith("-")]
    together = " ".join(package for package in packages if package not in apart)
    return " && ".join(f"{begin} {words}" for words in [together, *apart] if words)


def _package(manager: str, name: str) -> str:
    known = PROGRAMS[name]
    by = {"apt-get": known.apt, "brew": known.brew, "apk": known.apk}
    return by.get(manager) or known.dnf or f"/usr/bin/{name}"
