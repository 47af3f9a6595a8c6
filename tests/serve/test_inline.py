"""Work in the event loop: only what is small and brief, and only before its deadline."""

import asyncio
import threading

import orjson
import pytest

from pipeline.serve import handler, inline
from pipeline.serve.app import create_app
from pipeline.serve.inline import SMALL_BYTES, Inline
from pipeline.serve.metrics import Metrics
from pipeline.serve.predictor import Predictor
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from tests.serve.fakes import Session, Store, loaded
from tests.serve.live import CALM, Nowhere
from tests.serve.test_app import ROWS, flights, rows

pytestmark = pytest.mark.answer("model-server")
PATIENT = CALM | {"max_connections": 1}
"""Limits by which any work is brief, on any machine."""


class Threads(Session):
    """A model that remembers which thread computed each of its predictions."""

    def run(self, names, inputs):
        self.names = [*getattr(self, "names", []), threading.current_thread().name]
        return super().run(names, inputs)


class Site:
    """An app over a model, asked by its ASGI interface, as a connection asks it."""

    def __init__(self, session, store=None, **changes):
        self.log, self.metrics = Nowhere(), Metrics()
        self.store = store or Store()
        config = load(ServeConfig).model_copy(update=PATIENT | changes)
        predictor = Predictor(loaded(session), self.store)
        self.app = create_app(predictor, self.log, config, self.metrics, str)

    async def ask(self, path, body, **state):
        """The status code of a request; `state` is what its connection knows."""
        sent, content = [], orjson.dumps(body)
        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "state": state}
        parts = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive():
            return parts.pop(0)

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"]

    def ask_all(self, *bodies, path=ROWS, **state):
        """The status codes of requests, one after the other."""

        async def in_turn():
            return [await self.ask(path, body, **dict(state)) for body in bodies]

        return asyncio.run(in_turn())


def test_small_work_is_done_in_the_event_loop_while_it_is_brief():
    model = Threads()
    here = Site(model)
    assert here.ask_all(rows(0.5), rows(0.5), rows(0.5)) == [200] * 3
    assert model.names == [threading.current_thread().name] * 3
    assert here.metrics.value("serve_waiting") == 0
    assert len(here.log.rows) == 3


def test_a_small_body_that_cannot_be_read_leaves_nothing_behind():
    here = Site(Threads())
    assert here.ask_all(rows(0.5), rows("1"), {"inputs": []}, rows(0.5)) == [200, 400, 400, 200]
    assert here.metrics.value("serve_waiting") == 0


def test_a_large_body_is_parsed_and_computed_beside_the_event_loop(monkeypatch):
    model, parsed = Threads(), []
    read = handler.read_tensors
    monkeypatch.setattr(
        handler,
        "read_tensors",
        lambda *a: (parsed.append(threading.current_thread().name), read(*a))[1],
    )
    large = rows(*[0.5] * 100)
    assert len(orjson.dumps(large)) > SMALL_BYTES
    assert Site(model).ask_all(rows(0.5), large) == [200, 200]
    assert model.names == parsed == [threading.current_thread().name, "store_0"]


def test_what_reads_the_store_has_its_thread():
    store, names = Store(), []
    store.before = lambda: names.append(threading.current_thread().name)
    here = Site(Session(), store)
    assert here.ask_all(flights(), flights(), path="/predict") == [200, 200]
    assert names == ["store_0", "store_0"]


def test_work_that_is_not_brief_leaves_the_event_loop(monkeypatch):
    """By these limits no work is brief."""
    monkeypatch.setattr(inline, "_REST", 1e9)
    model = Threads()
    here = Site(model, max_connections=100_000, queue_ms=1)
    assert here.ask_all(*[rows(0.5)] * 5) == [200] * 5
    assert model.names == [*[threading.current_thread().name] * 3, "store_0", "store_0"]


def test_brief_work_whose_deadline_is_over_is_not_done():
    """The deadline counts from when the connection read the request's head."""
    model = Threads()
    here = Site(model)
    assert here.ask_all(rows(0.5)) == [200]
    assert here.ask_all(rows(0.5), began=float("-inf")) == [504]
    assert len(model.names) == 1
    assert here.metrics.value("serve_waiting") == 0


FOREVER = 1e6
"""Seconds that some work took, after which it is not tried again within a test."""


def test_brief_is_what_every_connection_may_ask_for_at_once():
    work = Inline(connections=100, queue_seconds=100 * FOREVER)
    for _ in range(200):
        work.record_work(FOREVER)
    assert work.is_open
    work.record_work(10 * FOREVER)
    assert not work.is_open


def test_one_interruption_is_no_slow_work_and_a_few_are():
    work = Inline(connections=1, queue_seconds=1)
    work.record_work(FOREVER)
    assert work.is_open
    for _ in range(2):
        work.record_work(FOREVER)
    assert not work.is_open


def test_slow_work_is_tried_again_and_comes_back_when_it_is_brief():
    work = Inline(connections=1, queue_seconds=1)
    for _ in range(3):
        work.record_work(FOREVER)
    assert not work.is_open
    work.record_work(0)  # the next try is due at once
    assert work.is_open
    for _ in range(100):
        work.record_work(0)
    work.record_work(FOREVER)
    assert work.is_open
