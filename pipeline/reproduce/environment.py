"""The packages of a recorded version: compared with the installed ones, or built beside them."""

import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.shared import requirements
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.files import file_hash

ENVIRONMENTS = Path("state/environments")
_UV = Path(__file__).resolve().parents[2] / ".ci/registry.py"
"""Runs uv with pip's settings as well: only one of them may name the user's registry."""


def pinned_versions(text: str) -> dict[str, str]:
    """The packages that a lock file pins for this machine: canonical names and versions."""
    entries = filter(None, map(str.strip, text.replace("\\\n", " ").splitlines()))
    wanted = [Requirement(e.partition(" --hash")[0]) for e in entries if e[0] not in "#-"]
    return {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one in wanted
        if one.marker is None or one.marker.evaluate()
    }


def required_versions(text: str) -> dict[str, str]:
    """The packages of a lock that are required here: all but those that training never imports."""
    return pinned_versions(requirements.without(text, requirements.OPTIONAL))


def installed_versions() -> dict[str, str]:
    """The installed versions of this Python, by canonical name."""
    found: dict[str, str] = {}
    for one in distributions():
        found.setdefault(canonicalize_name(one.name), one.version)  # the first on the path wins
    return found


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """Each package whose version is not the wanted one; additional packages do not count."""
    return [
        f"{name} {found.get(name, 'nothing')} is installed, {version} was recorded"
        for name, version in sorted(wanted.items())
        if found.get(name) != version
    ]


def find_environment(recorded: Path, python: str, rebuild: bool) -> Path:
    """The bin folder of an environment that matches the lock.

    It is the current one if that matches; otherwise, with `rebuild`, one that is built and cached.

    Raises:
        EnvironmentUnfit: packages differ, and `rebuild` is off or the build fails.
    """
    differing = differences(
        required_versions(recorded.read_text(encoding="utf-8")), installed_versions()
    )
    if not differing:
        return Path(sys.executable).parent
    if not rebuild:
        raise EnvironmentUnfit(
            f"{len(differing)} package(s) differ from those of the recorded version: "
            f"{'; '.join(differing[:5])}; `make reproduce VERSION=... REBUILD_ENV=1` builds that "
            "environment beside this one"
        )
    return _build_environment(recorded, python)


def _build_environment(recorded: Path, python: str) -> Path:
    """Build an environment with exactly the lock's packages, or reuse one built before."""
    folder = (ENVIRONMENTS / f"{file_hash(recorded)[:12]}-python{_minor(python)}").absolute()
    done = folder / "installed"
    if not done.is_file():
        here = ".".join(map(str, sys.version_info[:2]))
        wanted = sys.executable if _minor(python) == here else _minor(python)
        _uv("venv", "--quiet", "--no-python-downloads", "--clear", "--python", wanted, folder)
        target = ("--python", folder / "bin/python")
        kept = folder / "requirements.lock"
        kept.write_text(
            requirements.without(recorded.read_text(encoding="utf-8"), requirements.OPTIONAL),
            "utf-8",
        )
        _uv("pip", "sync", "--quiet", *target, "--require-hashes", "--compile-bytecode", kept)
        done.touch()
    return folder / "bin"


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _uv(*arguments: str | Path) -> None:
    command = [sys.executable, "-I", str(_UV), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentUnfit(
            f"the recorded environment cannot be built: uv says {done.stderr.strip()[-400:]!r}; "
            "make what it needs reachable (that Python, a package index), then run the same again"
        )
