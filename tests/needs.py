"""What some tests need that a machine may not have, and what installs it."""

from collections.abc import Iterable

import pytest

from pipeline.shared import programs

OTHERWISE = {
    "peers": "make peers",
    "pyspark": "python -m uv pip install pyspark==4.3.0",
    "tritonclient": "python -m uv pip install tritonclient[http]",
    "axe-core": ".ci/run",
    "mmdebstrap and buildah": "apt-get install mmdebstrap buildah, as root",
    "Linux": "a Linux: macOS ends a copy of a process that has loaded libraries",
    "a package index": "a connection to one",
}
"""What no package manager has, and what brings it."""
REASON = "needs "
"""How the reason of a skipped test begins, before a program's name or one of these."""


def skip(name: str) -> None:
    """Skip the test that asks: this is not here."""
    assert name in programs.PROGRAMS or name in OTHERWISE
    pytest.skip(REASON + name)


def unless(found: object, name: str) -> pytest.MarkDecorator:
    """A mark of tests that are skipped where something was not found."""
    assert name in programs.PROGRAMS or name in OTHERWISE
    return pytest.mark.skipif(not found, reason=REASON + name)


def installing(names: Iterable[str]) -> str:
    """The commands that install what is missing, in this platform's way."""
    missing = list(names)
    packaged = [name for name in missing if name in programs.PROGRAMS]
    others = dict.fromkeys(OTHERWISE[name] for name in missing if name in OTHERWISE)
    return "; ".join([*([programs.installing(packaged)] if packaged else []), *others])
