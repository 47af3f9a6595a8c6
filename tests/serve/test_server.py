"""The process around the app; what it answers is in tests/flow/test_server.py."""

import socket

import pytest

from pipeline.serve.server import listener
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import ConfigError, EnvironmentUnfit
from pipeline.shared.loopback import HOST

pytestmark = pytest.mark.answer("model-server")


def test_a_port_that_is_taken_is_refused_at_once():
    with (
        listener(0) as first,
        pytest.raises(
            EnvironmentUnfit, match=r"cannot be listened at .*`make serve-http PORT=8081`"
        ),
        listener(first.getsockname()[1]),
    ):
        pass


def test_a_port_is_shared_only_by_those_that_all_share_it():
    with listener(0, shared=True) as first:
        port = first.getsockname()[1]
        with listener(port, shared=True) as second:
            assert second.getsockname() == first.getsockname()
        with pytest.raises(EnvironmentUnfit), listener(port):
            pass


def test_a_port_that_is_none_is_refused():
    with pytest.raises(EnvironmentUnfit), listener(70_000):
        pass


def test_only_this_machine_is_listened_to():
    with listener(0) as found:
        assert found.getsockname()[0] == HOST == "127.0.0.1"
        assert found.family == socket.AF_INET


def test_an_image_may_listen_at_all_addresses_of_its_container_and_nothing_else(monkeypatch):
    monkeypatch.delenv("PIPELINE_HOST", raising=False)
    assert load(ServeConfig).host == HOST
    monkeypatch.setenv("PIPELINE_HOST", "0.0.0.0")
    assert load(ServeConfig).host == "0.0.0.0"
    monkeypatch.setenv("PIPELINE_HOST", "example.com")
    with pytest.raises(ConfigError, match="host: Input should be"):
        load(ServeConfig)
