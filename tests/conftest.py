"""What every test gets: no network, a clean environment, a fixed seed; and the real data."""

import contextlib
import gc
import ipaddress
import os
import random
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.flights import published as source
from pipeline.shared import git
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from tests.rules.tree import ROOT
from tests.shared import project

_OWN = "session-"
"""How the folder begins in which a session of tests has its temporary files."""
FOREIGN_SETTINGS = (
    "MLFLOW_",
    "AWS_",
    "DVC_",
    "FEAST_",
    "GX_",
    "PROMETHEUS_",
    "AIRFLOW_",
    "PIPELINE_",
    "SCRATCH_",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--answer SLUG` runs only the tests that prove that page of docs/answers/."""
    parser.addoption("--answer", default=None, help="run the tests that prove an answer")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what the asked answer is proven by."""
    slug = config.getoption("--answer")
    if slug is None:
        return
    proofs = [item for item in items if _proves(item, slug)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(proofs)])
    items[:] = proofs


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Let the garbage collector pass over what is imported and collected, which stays to the end.

    That is more than a million objects, and a third of the time of collecting tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _proves(item: pytest.Item, slug: str) -> bool:
    """Whether a mark names the answer; one without any takes a long test out of its file's."""
    marks = list(item.iter_markers("answer"))
    return all(mark.args for mark in marks) and any(slug in mark.args for mark in marks)


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a path or a kernel address: on this machine
    host = str(address[0]).partition("%")[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Refuse, loudly and in every thread, to connect to another machine."""

    def guarded(original: Any) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if not _is_local(address):
                raise RuntimeError(f"a test tried to reach {address} on the network")
            return original(self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        yield


FIRST_SEEN: dict[str, str] = {}
"""What lay among the temporary files after a test, and the first test after which it did."""
FOREIGN_FILES = {".ses": "ONNX Runtime's number of a session, though it is told to report none"}
"""What libraries leave among the temporary files, and why that may be."""
_FEAST = "feast_metrics_"
"""A folder that Feast makes when it is imported, and removes when the process ends."""


def _temporary(folder: str) -> list[str]:
    """The names in a folder for temporary files; what pytest keeps there it removes itself."""
    names = {path.name for path in Path(folder).iterdir()} - FOREIGN_FILES.keys()
    return sorted(name for name in names if not name.startswith(("pytest-of-", _FEAST)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Note what lies among the temporary files once a test is over."""
    yield
    if Path(folder := tempfile.gettempdir()).name.startswith(_OWN):
        for name in _temporary(folder):
            FIRST_SEEN.setdefault(name, item.nodeid)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of the session's own for temporary files, which is empty at its end."""
    tmp_path_factory.getbasetemp()  # which lasts for longer, and is elsewhere
    with tempfile.TemporaryDirectory(prefix=_OWN) as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o711)  # PostgreSQL runs as another user, below it
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
        left = [
            f"{name}, there since {FIRST_SEEN.get(name, 'the last test')}"
            for name in _temporary(folder)
        ]
    assert left == [], "left among the temporary files: " + "; ".join(left)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out the developer's own settings, which tools would silently obey; fix the seeds."""
    kept = git.environment()  # a hook's variables would lead git out of a test's folder
    for name in os.environ:
        if name.startswith(FOREIGN_SETTINGS) or name not in kept:
            monkeypatch.delenv(name)
    random.seed(0)
    np.random.seed(0)


@pytest.fixture
def record_property(
    record_property: Callable[[str, object], None],
) -> Callable[[str, object], None]:
    """pytest's own, for NumPy's numbers too: xdist ends where it has to send one."""

    def recorded(name: str, value: object) -> None:
        record_property(name, value.item() if isinstance(value, np.generic) else value)

    return recorded


def _at(step: str) -> Callable[..., Path]:
    """A fixture: a small project that has come so far, as the working folder."""

    def entered(
        tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Path:
        return project.enter(step, tmp_path_factory, tmp_path, monkeypatch)

    entered.__doc__ = f"A small project that is {step}, as the working folder."
    return pytest.fixture(name=step)(entered)


started, trained, judged, registered, challenged = map(_at, project.STEPS)


@pytest.fixture(scope="session")
def published_year() -> dict[str, pd.DataFrame]:
    """The published flights and weather of the whole year, as ingest reads them."""
    with contextlib.chdir(ROOT):
        return source.read_source(load(IngestConfig))


@pytest.fixture(scope="session")
def published(published_year: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The published flights and weather of January to March."""
    return {
        name: table[table["month"] <= 3].reset_index(drop=True)
        for name, table in published_year.items()
    }
