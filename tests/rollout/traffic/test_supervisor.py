"""The keeper: what it keeps comes back when it is killed, and goes when it does."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from pipeline.rollout.traffic import envoy, routes, servers, supervisor
from pipeline.rollout.traffic.routes import Route
from pipeline.rollout.traffic.supervisor import SERVER_STATE, ServerSpec
from pipeline.shared.errors import ServersFailed
from pipeline.shared.files import write_json
from tests.patience import PATIENCE, until
from tests.processes import runs
from tests.rollout.arms import SALT
from tests.rules.tree import ROOT

pytestmark = pytest.mark.slow
_KEEPS = """
from pipeline.rollout.traffic import supervisor
supervisor.LEASE_SECONDS = {}
raise SystemExit(supervisor.supervise(prepared=lambda: None))
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start keepers in a folder of their own; all are gone with the test."""
    monkeypatch.chdir(tmp_path)
    SERVER_STATE.mkdir(parents=True)
    (SERVER_STATE / "lease").touch()
    processes = []

    def started(lease=30.0):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", _KEEPS.format(lease)]
        with (SERVER_STATE / "supervisor.log").open("ab") as log:
            processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def wanted(start):
    """A file that asks for an Envoy and no server."""
    users, callers, admin = servers.free_ports(3)
    keys = routes.new_keys()
    ports = {"users": users, "callers": callers, "admin": admin}
    found = ServerSpec(servers={}, project="rollout", keys=keys, **ports)
    envoy.write(SERVER_STATE, found.ports, Route({"champion": 10_000}, SALT), keys)
    write_json(SERVER_STATE / "wanted.json", found.model_dump())
    return found


def kept(wanted):
    """Envoy's process, once it takes requests."""
    until(lambda: envoy.is_ready(wanted.ports))
    return supervisor.status()["envoy"]


def test_what_is_asked_for_runs_and_is_told(start, wanted):
    start()
    told = kept(wanted)
    assert told["starts"] == 1
    assert runs(told["pid"])


def test_what_was_killed_is_started_again_and_counted(start, wanted):
    start()
    first = kept(wanted)["pid"]
    for starts in (2, 3):
        os.kill(supervisor.status()["envoy"]["pid"], signal.SIGKILL)
        until(lambda starts=starts: supervisor.status()["envoy"]["starts"] == starts)
        assert kept(wanted)["pid"] != first


def test_there_is_one_keeper_and_a_second_leaves_with_three(start, wanted):
    first = start()
    kept(wanted)
    assert start().wait(PATIENCE) == 3
    assert first.poll() is None
    assert (SERVER_STATE / "pid").read_text() == str(first.pid)


def test_a_keeper_that_is_told_to_end_ends_what_it_keeps(start, wanted):
    process = start()
    pid = kept(wanted)["pid"]
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert not runs(pid)
    assert supervisor.status() == {}
    assert not servers.is_running()


def test_the_children_of_a_keeper_that_was_killed_die_with_it_and_another_starts_them(
    start, wanted
):
    process = start()
    pid = kept(wanted)["pid"]
    process.kill()
    process.wait()
    until(lambda: not runs(pid))
    assert not servers.is_running()
    start()
    until(lambda: supervisor.status()["envoy"]["pid"] != pid)
    kept(wanted)


def test_left_alone_it_goes_on_for_a_while_and_then_ends_with_all_it_keeps(start, wanted):
    lease = 4.0  # a machine with other work does not stand still for so long
    process = start(lease=lease)
    seen = set()
    ended = time.monotonic() + 2 * lease
    while time.monotonic() < ended:
        (SERVER_STATE / "lease").touch()
        seen.add(supervisor.status().get("envoy", {"pid": 0})["pid"])
        time.sleep(0.05)
    assert process.poll() is None
    assert process.wait(PATIENCE) == 0
    assert not any(runs(pid) for pid in seen if pid)


def test_a_machine_that_slept_longer_than_the_lease_finds_its_servers_as_they_were(start, wanted):
    """A closed lid stops everybody at once: nobody could show that he lives, and all still do."""
    process = start(lease=2.0)
    pid = kept(wanted)["pid"]
    for number in (process.pid, pid):
        os.kill(number, signal.SIGSTOP)
    time.sleep(6.0)
    for number in (pid, process.pid):
        os.kill(number, signal.SIGCONT)
    (SERVER_STATE / "lease").touch()
    time.sleep(1.0)  # a keeper that had gone by its clock would be ending
    assert process.poll() is None
    assert envoy.is_ready(wanted.ports)
    assert supervisor.status()["envoy"] == {"pid": pid, "starts": 1}


def test_without_a_sign_of_life_at_all_it_keeps_nothing(start, wanted):
    (SERVER_STATE / "lease").unlink()
    assert start().wait(PATIENCE) == 0
    assert supervisor.status() == {}


def test_what_is_asked_for_anew_replaces_what_runs(start, wanted):
    start()
    first = kept(wanted)["pid"]
    users, callers, admin = servers.free_ports(3)
    ports = {"users": users, "callers": callers, "admin": admin}
    other = wanted.model_copy(update=ports)
    envoy.write(SERVER_STATE, other.ports, Route({"champion": 10_000}, SALT), other.keys)
    write_json(SERVER_STATE / "wanted.json", other.model_dump())
    until(lambda: supervisor.status()["envoy"]["pid"] not in (first, 0))
    assert kept(other)["starts"] == 1
    assert not runs(first)


def test_a_proxy_that_cannot_start_is_told_with_the_line_that_says_why(start, wanted):
    """Envoy says why first, and then where it stood; and nobody waits a minute for a fourth try."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = wanted.model_copy(update={"admin": taken.getsockname()[1]})
        envoy.write(SERVER_STATE, other.ports, Route({"champion": 10_000}, SALT), other.keys)
        write_json(SERVER_STATE / "wanted.json", other.model_dump())
        start()
        with pytest.raises(ServersFailed, match=r"envoy .* \d+ starts; .*Address already in use"):
            servers.Servers(SERVER_STATE, other).wait_until_ready()


ENVOYS_WORDS = """\
[1][critical][assert] [inotify/watcher_impl.cc:25] assert failure: inotify_fd_ >= 0. Details: \
Consider increasing value of fs.inotify.max_user_instances
[1][error][envoy_bug] [assert.h:60] stacktrace for envoy bug
[1][critical][backtrace] [./source/server/backtrace.h:167] #0: [0x7f81a0e01050]
"""
PYTHONS_WORDS = """\
Traceback (most recent call last):
  File "server.py", line 3, in serve
pipeline.shared.errors.ReleaseRefused: the release has other features
"""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (ENVOYS_WORDS, "max_user_instances"),
        (PYTHONS_WORDS, "the release has other features"),
        ("", "it said nothing"),
    ],
)
def test_of_a_log_the_line_that_says_why_is_told(words, why):
    assert servers._reason(words).endswith(why)


def test_ending_what_is_not_there_is_nothing(start):
    servers.end()
    assert not servers.is_running()


def test_a_keeper_that_is_still_being_started_keeps_nothing_once_it_was_ended(start, wanted):
    servers.end()
    late = start()
    assert late.wait(PATIENCE) == 0
    assert supervisor.status() == {}


def test_a_copy_of_the_keeper_does_not_hold_its_lock(start):
    """Else who was left by a killed keeper would be taken for one."""
    script = _COPIES.format(folder=str(SERVER_STATE))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        child, watching = (int(word) for word in process.stdout.readline().split())
        os.kill(watching, signal.SIGKILL)
        process.kill()
        process.wait()
    assert runs(child)
    assert not servers.is_running()
    servers.end()
    until(lambda: not runs(child))


_COPIES = """
import time
from pathlib import Path
from pipeline.rollout.traffic import supervisor
from pipeline.rollout.traffic.routes import new_keys
from pipeline.rollout.traffic.supervisor import ServerSpec, ServerSupervisor
from pipeline.shared.processes import Supervisor
supervisor._serve = lambda name, wanted: (print(flush=True), time.sleep(600))
wanted = ServerSpec(servers={{"champion": {{"release": "r", "port": 1, "arm": "champion"}}}},
                users=1, callers=3, admin=2, project="p", keys=new_keys())
folder = Path("{folder}")
with supervisor._single_instance(folder) as lock, Supervisor(folder / "children") as children:
    child = ServerSupervisor(folder, children, lock)._start("champion", wanted)
    log = folder / "champion.log"
    while not log.is_file() or not log.read_text():
        time.sleep(0.01)
    print(child.pid, children._watcher.pid, flush=True)
    time.sleep(600)
"""
