"""Children end with whoever started them, however that one ends; and nobody else does."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.shared import processes, watcher
from pipeline.shared.processes import Patience, Supervisor, handle_signals
from tests.patience import PATIENCE, until
from tests.processes import runs
from tests.rules.tree import ROOT

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
STARTED = {
    "a new program": "children.start('child', [sys.executable, '-c', WAIT], Path('log'))",
    "a copy": "children.fork('child', lambda: time.sleep(600), Path('log'))",
}
SCRIPT = """
import sys, time
from pathlib import Path
from pipeline.shared.processes import Supervisor, exit_on_signals
WAIT = "import time; time.sleep(600)"
with exit_on_signals(), Supervisor(Path("children")) as children:
    print({}.pid, children._watcher.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def supervised(tmp_path):
    """Start a supervisor with a child in a process of its own: it, the child and the watcher."""
    started = []

    def start(how):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(STARTED[how])],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, *(int(word) for word in process.stdout.readline().split())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", STARTED)
@pytest.mark.parametrize(
    ("told", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_child_goes_with_whoever_started_it(supervised, how, told, code):
    process, child, watching = supervised(how)
    assert runs(child)
    process.send_signal(told)
    assert process.wait(PATIENCE) == code
    until(lambda: not runs(child) and not runs(watching))


@pytest.mark.parametrize("how", STARTED)
def test_what_nobody_ended_the_next_supervisor_of_the_folder_ends(supervised, how, tmp_path):
    process, child, watching = supervised(how)
    os.kill(watching, signal.SIGKILL)
    process.kill()
    process.wait()
    assert runs(child)
    with Supervisor(tmp_path / "children"):
        assert not runs(child)


def test_a_number_that_now_is_somebody_elses_is_left_alone(tmp_path):
    with subprocess.Popen(SLEEPS) as stranger:
        (tmp_path / f"child{watcher.PID}").write_text(str(stranger.pid))
        assert watcher.kill_all(tmp_path)
        with Supervisor(tmp_path):
            assert stranger.poll() is None
        stranger.kill()


KILLED_EARLY = """
import os, signal, subprocess, sys, time
from pathlib import Path
from pipeline.shared.processes import Supervisor
WAIT = "import time; time.sleep(600)"
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
with Supervisor(Path("children")) as children:
    print(children._watcher.pid, flush=True)
    kinds = {{"a new program": (subprocess, "Popen"), "a copy": (os, "fork")}}
    module, name = kinds[{how!r}]
    begin = getattr(module, name)
    def begun(*arguments, **settings):
        child = begin(*arguments, **settings)
        if child:
            print(getattr(child, "pid", child), flush=True)
            killed()
        return child
    setattr(module, name, begun)
    {start}
"""


@pytest.mark.parametrize("how", STARTED)
def test_a_child_whose_supervisor_was_killed_while_it_began_goes_too(tmp_path, how):
    """Nobody has noted its number but itself."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EARLY.format(how=how, start=STARTED[how])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    watching, child = map(int, done.stdout.split())
    assert done.returncode == -signal.SIGKILL
    until(lambda: not runs(watching))
    assert not runs(child)


def test_a_lock_is_held_by_one_and_ends_with_it(tmp_path):
    path = tmp_path / "below/lock"
    assert not watcher.is_locked(path)
    with watcher.hold(path) as mine:
        assert mine is not None
        assert watcher.is_locked(path)
        with watcher.hold(path) as second:
            assert second is None
        assert watcher.is_locked(path)
    assert not watcher.is_locked(path)


def test_who_asks_at_that_moment_keeps_nobody_from_a_free_lock(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    with path.open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)  # as `is_locked` has it for a moment
        assert not watcher.is_locked(path)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(asking, fcntl.LOCK_UN))
        with watcher.hold(path) as mine:
            assert mine is not None


def test_what_goes_wrong_while_a_lock_is_held_is_heard_of(tmp_path):
    with pytest.raises(BlockingIOError, match="another"), watcher.hold(tmp_path / "lock"):
        raise BlockingIOError("another")


def test_what_a_child_says_is_kept_and_its_end_is_seen(tmp_path):
    with Supervisor(tmp_path) as children:
        said = [sys.executable, "-c", "import os; print(os.environ['A'], os.getcwd())"]
        one = children.start("one", said, tmp_path / "one.log", tmp_path, {"A": "b"})
        two = children.fork("two", lambda: 1 / 0, tmp_path / "two.log")
        until(lambda: one.poll() is not None and two.poll() is not None)
        assert (one.poll(), two.poll()) == (0, 1)
    assert (tmp_path / "one.log").read_text() == f"b {tmp_path}\n"
    assert "ZeroDivisionError" in (tmp_path / "two.log").read_text()


def test_a_child_that_will_not_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.3)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    log = tmp_path / "log"
    with Supervisor(tmp_path / "children") as children:
        child = children.start("deaf", [*SLEEPS[:2], f"{deaf}; time.sleep(600)"], log)
        until(lambda: log.read_text())
    assert child.poll() == -signal.SIGKILL


def test_a_program_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path):
    with Supervisor(tmp_path) as children:
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            children.start("none", ["no-such-program"], tmp_path / "log")
        assert watcher.holder(tmp_path / f"none{watcher.PID}") == 0


def test_a_machine_that_sleeps_uses_up_no_patience(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    patience = Patience(5.0)
    now[0] += 8 * 3600  # a night
    assert not patience.over()
    for _ in range(3):
        now[0] += 1.0
        assert not patience.over()
    now[0] += 1.0
    assert patience.over()
    patience.renew()
    assert not patience.over()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handled_within_the_block_and_as_before_after_it(name):
    came, before = [], signal.getsignal(name)
    with handle_signals(lambda number, _: came.append(number)):
        signal.raise_signal(name)
    assert came == [name]
    assert signal.getsignal(name) is before


def test_a_block_that_fails_restores_what_handles_a_signal():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), handle_signals(lambda *_: None):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before
