"""Several workers on one port: all answer, each counts apart, and one that is killed comes back."""

import json
import os
import re
import signal

import psutil
import pytest

from pipeline.records.request_log import read_predictions
from pipeline.serve import workers
from pipeline.shared import loopback
from tests import needs
from tests.flow import life
from tests.patience import PATIENCE, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.answer("scaling"),
    needs.unless(os.uname().sysname == "Linux", "Linux"),
]
COUNT = 2
FLIGHT = {**life.UA_1545, "scheduled_departure": "2013-02-14T14:00Z"}


class Running:
    """`python -m pipeline serve-http` by two workers, in a small project."""

    def __init__(self, folder):
        self.folder = folder
        self.process = life.start(folder, *life.PIPELINE, "serve-http", "--port=0")
        until(lambda: len(set(re.findall(r"(worker-\d): .* ready;", self.words))) == COUNT)
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+) serves", self.words)[1])

    @property
    def words(self):
        return life.words(self.folder)

    def pid(self, number):
        name = f"worker-{number}.pid"
        return int((self.folder / workers.FOLDER / str(self.port) / name).read_text())

    def ask(self, request_id):
        """The code of one prediction, on a connection of its own."""
        headers = {"content-type": "application/json", "x-request-id": request_id}
        content = json.dumps({"flights": [FLIGHT]}).encode()
        return loopback.request(self.port, "/predict", content, headers, PATIENCE)[0].status

    def counted(self, number):
        """How many predictions a worker has answered, by its own metrics."""
        text = loopback.get(workers.own_port(self.port, number), "/metrics")
        found = re.search(r'serve_requests_total{code="200",route="/predict"} (\d+)', text or "")
        return int(found[1]) if found else 0

    def logged(self):
        """The ids of the requests in the log, without what the server adds to each."""
        found = read_predictions(f"sqlite:///{self.folder}/state/serve/log.db")
        return [one.rpartition(".")[0] for one in found["request_id"]]


@pytest.fixture(scope="module")
def running(small, shelf):
    folder = life.twin(small.folder, shelf / "workers")
    life.configure(folder, "serve", workers=COUNT)
    found = Running(folder)
    yield found
    life.kill(found.process)


def test_both_answer_at_one_port_and_each_counts_its_own(running):
    for number in range(40):  # a connection goes to either by chance: 1 in 2^40 misses one
        assert running.ask(f"a-{number}") == 200
    counts = [running.counted(number) for number in (1, 2)]
    assert sum(counts) == 40
    assert min(counts) > 0


def test_the_shared_port_names_where_metrics_are(running):
    response, body = loopback.request(running.port, "/metrics")
    own = [workers.own_port(running.port, number) for number in (1, 2)]
    assert response.status == 421
    assert int(json.loads(body)["error"].split()[-1]) in own


def test_a_killed_worker_comes_back_while_the_other_goes_on(running):
    killed, other = running.pid(1), running.pid(2)
    os.kill(killed, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(killed))  # its last thread closes its sockets
    assert [running.ask(f"b-{number}") for number in range(20)] == [200] * 20
    until(lambda: loopback.get(workers.own_port(running.port, 1), "/v2/health/ready") is not None)
    assert running.pid(1) != killed
    assert running.pid(2) == other
    os.kill(other, 0)


def test_all_write_one_log_and_end_together(running):
    for number in range(20):
        assert running.ask(f"c-{number}") == 200
    children = [running.pid(number) for number in (1, 2)]
    running.process.send_signal(signal.SIGTERM)
    done = life.finish(running.process, running.folder).well()
    assert re.search(r"2 workers at 127\.0\.0\.1:\d+, 1 restarted, in", done.words)
    logged = running.logged()
    assert len(logged) == len(set(logged))
    assert {f"{part}-{n}" for part in "bc" for n in range(20)} <= set(logged)
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_that_never_listen_are_a_refusal_with_where_to_read_why(small, shelf):
    folder = life.twin(small.folder, shelf / "no-release")
    script = f"workers.serve_by_workers('{'0' * 64}', 0, '127.0.0.1', {COUNT})"
    done = life.run(folder, "python", "-c", f"from pipeline.serve import workers; {script}")
    assert re.search(
        r"ServersFailed: worker-[12] of 2 ended 3 times before it listened", done.words
    )
    assert re.search(r"worker-[12]: server: VersionUnknown: ", done.words)
