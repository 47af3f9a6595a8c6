"""What pages say of the peers is what benchmarks/peers.json measured."""

import json

import pytest

from benchmarks.model_servers import launch
from benchmarks.model_servers.rounds import CALLERS
from benchmarks.model_servers.ways import NAMES, OURS
from docs import measured
from tests.rules import tree

pytestmark = pytest.mark.answer("model-server")
FOUND = json.loads(tree.read("benchmarks/peers.json"))
PATHS = FOUND["paths"]
AT = [f"at_{callers}" for callers in CALLERS]


def test_the_page_is_made_from_the_record():
    assert tree.read("docs/peers.md") == measured.peers(FOUND)


def test_the_versions_are_those_of_the_locks():
    assert FOUND["conditions"]["versions"] == launch.versions()


@pytest.mark.parametrize("name", NAMES)
def test_every_server_was_measured_at_every_number_of_callers(name):
    for at in AT:
        assert PATHS[name][at]["requests"] > 100
        assert PATHS[name][at]["milliseconds"]["p50"] < PATHS[name][at]["milliseconds"]["p99"]
    server = FOUND["servers"]["ours" if name in OURS else name]
    assert server["memory_mb"] > 0
    assert server["cold_start_seconds"] > 0


def test_client_and_servers_had_a_processor_each_and_the_client_was_not_the_limit():
    assert FOUND["conditions"]["pinned"]
    busy = {(name, at): of[at]["client_busy"] for name, of in PATHS.items() for at in AT}
    assert max(busy.values()) < 0.95


@pytest.mark.parametrize("at", AT)
def test_nothing_is_faster_than_the_floor(at):
    rates = {name: of[at]["requests_a_second"] for name, of in PATHS.items()}
    assert max(rates, key=rates.__getitem__) == "bare"
    rows = {name: of["rows_a_second"] for name, of in PATHS.items()}
    assert max(rows.values()) <= FOUND["runtime_rows_a_second"]["256"]


@pytest.mark.parametrize("at", AT)
def test_ratios_are_those_of_the_rates(at, record_property):
    for name, by in FOUND["ratios"][at].items():
        for ours, ratio in by.items():
            record_property(f"{ours} against {name}, {at}", ratio["median"])
            low, high = ratio["quartiles"]
            assert low <= ratio["median"] <= high
            rates = [PATHS[one][at]["requests_a_second"] for one in (ours, name)]
            assert ratio["median"] == pytest.approx(rates[0] / rates[1], rel=0.25)


def test_a_hundred_callers_get_their_answers_where_they_bring_the_features():
    assert PATHS["features"]["at_100"]["errors"] == 0


def test_the_page_says_where_ours_loses():
    servers = FOUND["servers"]
    for what in ("cold_start_seconds", "memory_mb"):
        assert servers["kserve"][what] < servers["ours"][what]
    rows = {name: of["rows_a_second"] for name, of in PATHS.items()}
    assert rows["mlserver"] > rows["features"]
    for name in ("kserve", "mlserver"):
        assert (
            FOUND["ratios"]["at_8"][name]["store"]["median"]
            < 1
            < (FOUND["ratios"]["at_8"][name]["features"]["median"])
        )


CHECKS = json.loads(tree.read("benchmarks/bare_checks.json"))


@pytest.mark.parametrize("what", measured.CHECKS)
def test_our_checks_of_a_month_cost_no_multiple_of_the_bare_defaults(what, record_property):
    record_property("ours over bare", CHECKS[what]["ratio"])
    assert 0 < CHECKS[what]["ratio"] < 2
