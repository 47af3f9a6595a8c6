"""What this runs on, from the dry runs of the lock that `make platforms` records."""

import json
from pathlib import Path

RECORD = Path(__file__).resolve().parent / "platforms.json"
PAGE = RECORD.with_suffix(".md")
Lacks = dict[str, dict[str, list[str]]]
"""By Python: the packages without a wheel, of those that are `needed` and of those `apart`."""


_WORDS = """\
# Platforms

`make run` and the tests ran on Linux x86-64 only. For the platforms below uv resolved every package
of `requirements.lock`, wheels only, for Python {}; nothing was installed there.
`make platforms` renews this page. `make setup` refuses a machine that is not served, with both
names. Without a wheel of Envoy it goes on, and rollouts ask for a program:
`ENVOY_BIN=/path/to/envoy`.

| platform | all but Envoy | Envoy |
|---|---|---|
"""


def record() -> dict[str, Lacks]:
    """The recorded dry runs, by platform."""
    return dict(json.loads(RECORD.read_text(encoding="utf-8")))


def oldest(found: dict[str, Lacks], part: str = "needed") -> dict[str, tuple[int, ...]]:
    """The oldest system of each kind from which on every one has all wheels of a part.

    Kinds are the platforms without their version: "Linux x86_64 glibc", "macOS arm64".
    """
    kinds: dict[str, dict[tuple[int, ...], bool]] = {}
    for name, pythons in found.items():
        kind, _, version = name.rpartition(" ")
        whole = not any(by[part] or by["needed"] for by in pythons.values())
        kinds.setdefault(kind, {})[tuple(map(int, version.split(".")))] = whole
    since = {}
    for kind, versions in kinds.items():
        lacking = [version for version, whole in versions.items() if not whole]
        later = [v for v in versions if not lacking or v > max(lacking)]
        if later:
            since[kind] = min(later)
    return since


def sentence() -> str:
    """The README's: what it was run on, and from where on a dry run found every wheel."""
    since = oldest(record())
    return (
        "Run on Linux x86-64; [resolves](docs/platforms.md) for arm64, "
        f"glibc {_version(since, 'Linux')}+, macOS {_version(since, 'macOS')}+."
    )


def page() -> str:
    """docs/platforms.md: the record as a table, and what it means."""
    found = list(record().items())
    rows = [f"| {name} | {_lacks(by, 'needed')} | {_lacks(by, 'apart')} |" for name, by in found]
    return "\n".join([*_WORDS.format(", ".join(found[0][1])).splitlines(), *rows, ""])


def _lacks(by: Lacks, part: str) -> str:
    names = sorted({name for lacking in by.values() for name in lacking[part]})
    return f"no wheel of {', '.join(names)}" if names else "yes"


def _version(since: dict[str, tuple[int, ...]], system: str) -> str:
    """The oldest version on every machine of a system, as it is written."""
    versions = [version for kind, version in since.items() if kind.startswith(system)]
    return ".".join(map(str, max(versions)))
