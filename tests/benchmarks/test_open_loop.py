"""Callers at a rate: every request that is due is asked, and its seconds count from then."""

import contextlib
import socket
import threading
import time

import numpy as np
import pytest

from benchmarks import open_loop
from benchmarks.open_loop import Answers, Plan
from tests.patience import PATIENCE

pytestmark = pytest.mark.answer("scaling")
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nx-version: 7\r\ncontent-length: 2\r\n\r\nok"
FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"


@contextlib.contextmanager
def answering(*answers):
    """A server of one connection at a time that gives these answers in turn; "" hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def serve():
            left = list(answers)
            while left:
                connection, _ = listener.accept()
                with connection:
                    while left and connection.recv(65_536):
                        if not (one := left.pop(0)):
                            break
                        connection.sendall(one)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(PATIENCE)


def asked(port, count, rate=1000.0):
    began = time.monotonic()
    return open_loop.ask(Plan(port, [REQUEST], rate, began, began + (count - 0.5) / rate, 1))


def test_code_version_and_retry_after_are_those_of_the_answer():
    with answering(FINE, FULL, FINE) as port:
        found = asked(port, 3)
    assert found.column("code").tolist() == [200, 503, 200]
    assert found.column("version").tolist() == [7, 0, 7]
    assert found.column("retry_after").tolist() == [0, 1, 0]


def test_a_connection_that_is_lost_is_no_answer_and_the_next_request_has_a_new_one():
    with answering(FINE, b"", FINE) as port:
        assert asked(port, 3).column("code").tolist() == [200, 0, 200]


def test_every_request_is_due_at_its_instant_even_if_the_one_before_took_longer():
    with answering(FINE, FINE, FINE, FINE) as port:
        found = asked(port, 4, rate=200.0)
    assert np.diff(np.sort(found.column("due"))) == pytest.approx([0.005] * 3)
    assert (found.column("seconds") > 0).all()


def test_what_met_a_stall_is_left_out():
    rows = np.array([[0.0, 0.5, 200, 1, 0], [1.0, 3.0, 200, 1, 0], [9.0, 0.1, 200, 1, 0]])
    found = Answers(rows, np.array([[2.0, 3.5]])).but_stalled()
    assert found.column("due").tolist() == [0.0, 9.0]


def test_a_request_that_nobody_was_free_to_send_is_given_up_and_said_to_be():
    began = time.monotonic() - 1.0  # so nothing is sent, and no server is needed
    found = open_loop.ask(Plan(0, [REQUEST], 1000.0, began, began + 0.0025, 1))
    assert found.column("code").tolist() == [open_loop.UNSENT] * 3
