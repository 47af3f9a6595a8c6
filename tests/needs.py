"""What some tests need that a machine may not have, and what installs it."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Need:
    """Packages by their managers; `otherwise` is a command where no package has it."""

    apt: str = ""
    brew: str = ""
    otherwise: str = ""


NEEDS = {
    "prometheus": Need("prometheus", "prometheus"),
    "promtool": Need("prometheus", "prometheus"),
    "alertmanager": Need("prometheus-alertmanager", "alertmanager"),
    "amtool": Need("prometheus-alertmanager", "alertmanager"),
    "chromium": Need("chromium", "--cask chromium"),
    "redis-server": Need("redis-server", "redis"),
    "postgres": Need("postgresql", "postgresql"),
    "java": Need("default-jre-headless", "openjdk"),
    "pyspark": Need(otherwise="python -m uv pip install pyspark==4.3.0"),
    "axe-core": Need(otherwise=".ci/run"),
    "Linux": Need(otherwise="a Linux: macOS ends a copy of a process that has loaded libraries"),
    "a package index": Need(otherwise="a connection to one"),
}
REASON = "needs "
"""How the reason of a skipped test begins, before one of these names."""


def skip(name: str) -> None:
    """Skip the test that asks: this is not here."""
    assert name in NEEDS
    pytest.skip(REASON + name)


def unless(found: object, name: str) -> pytest.MarkDecorator:
    """A mark of tests that are skipped where something was not found."""
    assert name in NEEDS
    return pytest.mark.skipif(not found, reason=REASON + name)


def installing(names: Iterable[str]) -> str:
    """The commands that install what is missing, in this platform's way."""
    missing = [(name, NEEDS[name]) for name in names if name in NEEDS]
    packaged = [(name, need) for name, need in missing if need.apt]
    others = {need.otherwise: None for _, need in missing if need.otherwise}
    return "; ".join([*([_packages(packaged)] if packaged else []), *others])


def _packages(missing: list[tuple[str, Need]]) -> str:
    if shutil.which("apt-get") is None and shutil.which("dnf"):
        programs = [f"/usr/bin/{name}" for name, _ in missing]  # dnf knows whose file it is
        return f"sudo dnf install {' '.join(programs)}"
    by_brew = shutil.which("apt-get") is None and shutil.which("brew")
    packages = dict.fromkeys(need.brew if by_brew else need.apt for _, need in missing)
    command = "brew install" if by_brew else "sudo apt-get install"
    return f"{command} {' '.join(packages)}"
