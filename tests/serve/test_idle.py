"""The timer of an idle connection: one for many requests, and as long as the config says."""

import asyncio

import pytest
from uvicorn.server import ServerState

from tests.serve.live import Live

pytestmark = pytest.mark.answer("model-server")


class Hours:
    """The time and the timers of an event loop, which a test lets pass."""

    def __init__(self):
        self.now, self.timers = 0.0, []

    def time(self):
        return self.now

    def call_later(self, wait, call, *_):
        timer = asyncio.TimerHandle(self.now + wait, call, (), self)
        self.timers.append(timer)
        return timer

    def get_debug(self):
        return False

    def _timer_handle_cancelled(self, timer):
        pass

    def pass_to(self, now):
        self.now = now
        due = [t for t in self.timers if t.when() <= now and not t.cancelled()]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            timer._run()


class Transport(asyncio.Transport):
    """A transport that remembers that it was closed."""

    closed = False

    def is_closing(self):
        return self.closed

    def get_extra_info(self, name, default=None):
        return default

    def abort(self):
        self.closed = True

    def resume_reading(self):
        pass


def test_one_timer_lasts_for_many_requests_and_closes_the_connection_only_when_it_is_idle():
    hours, transport, here = Hours(), Transport(), Live(idle_seconds=10)
    settings = here.server.config
    settings.load()
    connection = settings.http_protocol_class(settings, ServerState(), {}, _loop=hours)
    connection.connection_made(transport)
    connection._end_timer()  # of a first request that never comes
    made = len(hours.timers)
    for second in (1, 8, 15):
        hours.pass_to(second)
        connection._unset_keepalive_if_required()  # as with each byte that arrives
        connection.on_response_complete()
    assert len(hours.timers) <= made + 1
    hours.pass_to(24)
    assert not transport.closed
    connection._unset_keepalive_if_required()
    hours.pass_to(60)
    assert not transport.closed  # it is being answered
    connection.on_response_complete()
    hours.pass_to(69)
    assert not transport.closed
    hours.pass_to(70)
    assert transport.closed
