"""Lives that tests share: each is lived once. Two of them last minutes and are lived beside."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from exercises import drill
from exercises.scratch import SHARED_CACHE
from tests.flow import life

HERE = Path(__file__).parent
_INTERFACES = "import socket; print('interfaces:', *[name for _, name in socket.if_nameindex()])"
LIVED_BESIDE = ("full", "called", "called_in_vain")
Lived = Callable[[str], life.Life]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "drill(slug): the test looks at what this drill said")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Among these tests, those that wait for what is lived beside come last."""
    places = [place for place, item in enumerate(items) if HERE in item.path.parents]
    ordered = sorted((items[place] for place in places), key=lambda item: bool(_beside(item)))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _beside(item: pytest.Item) -> list[str]:
    """The lives beside that a test asks for by its mark or its fixtures."""
    drills = [mark.args[0] for mark in item.iter_markers("drill")]
    return drills + [name for name in LIVED_BESIDE if name in getattr(item, "fixturenames", [])]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the copies are, each some ten megabytes; they go with the session."""
    folder = tmp_path_factory.mktemp("flow")
    yield folder
    life.kill_all()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def beside(request: pytest.FixtureRequest, shelf: Path) -> Iterator[dict[str, Future[life.Life]]]:
    """What is lived beside the tests, one life after the other, the longest first."""
    life.inherited()  # before a test changes the environment
    asked = {name for item in request.session.items for name in _beside(item)}
    lives: dict[str, Callable[[], life.Life]] = {"slice": lambda: _drilled(shelf, "slice")}
    lives["full"] = lambda: _full(shelf)
    lives["called"] = lambda: _called(life.checkout(shelf / "called"))
    lives["called_in_vain"] = lambda: _called(_demanding(shelf / "called-in-vain"))
    lives |= {name: lambda name=name: _drilled(shelf, name) for name in drill.drills()}
    with ThreadPoolExecutor(1) as executor:
        yield {name: executor.submit(live) for name, live in lives.items() if name in asked}
        executor.shutdown(wait=False, cancel_futures=True)
        life.kill_all()


def _full(shelf: Path) -> life.Life:
    """The whole thing, from what is committed, with the limits and months of the project."""
    folder = life.clone(life.ROOT, shelf / "full")
    return life.Life(folder, life.run(folder, "make", "champion"))


def _called(folder: Path) -> life.Life:
    """A checkout in which `make small` was called."""
    return life.Life(folder, life.run(folder, "make", "small"))


def _demanding(folder: Path) -> Path:
    """A gate that asks for more than the small model can do."""
    life.configure(life.checkout(folder), "evaluate", **{"behaviour.stormy_evening_min": 0.99})
    return folder


def _drilled(shelf: Path, name: str) -> life.Life:
    folder = life.checkout(shelf / f"drill-{name}")
    # What one drill has run, the next one finds: their graphs begin alike.
    shared = {SHARED_CACHE: str(shelf / "drilled")}
    command = ("python", "-m", "exercises.drill", "run", name)
    return life.Life(folder, life.run(folder, *command, **shared))


@pytest.fixture(scope="session")
def full(beside: dict[str, "Future[life.Life]"]) -> life.Life:
    """`make run` in a fresh clone of what is committed."""
    return beside["full"].result()


@pytest.fixture(scope="session")
def called(beside: dict[str, "Future[life.Life]"]) -> life.Life:
    """`make small` in a checkout."""
    return beside["called"].result()


@pytest.fixture(scope="session")
def called_in_vain(beside: dict[str, "Future[life.Life]"]) -> life.Life:
    """`make small` in a checkout whose gate refuses."""
    return beside["called_in_vain"].result()


@pytest.fixture(scope="session")
def cut_off() -> list[str]:
    """The command before a command that takes all networks away from it; empty if not allowed."""
    for wrapper in (["unshare", "-n"], ["unshare", "-r", "-n"]):
        if (
            shutil.which("unshare")
            and not subprocess.run([*wrapper, "true"], check=False).returncode
        ):
            return wrapper
    return []


@pytest.fixture(scope="session")
def small(shelf: Path, cut_off: list[str]) -> life.Life:
    """An undisturbed run of the small project, without a network where that can be had."""
    folder = life.small(shelf / "small")
    both = f'python -c "{_INTERFACES}" && make champion'
    done = life.run(folder, *cut_off, "bash", "-c", both).well()
    life.commit(folder)
    return life.Life(folder, done)


@pytest.fixture(scope="session")
def aged(small: life.Life, shelf: Path) -> life.Life:
    """The small project after another promotion, and after its code and config have moved on."""
    folder = life.twin(small.folder, shelf / "aged")
    return life.Life(folder, life.grow(folder))
