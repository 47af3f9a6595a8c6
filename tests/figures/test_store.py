"""What pages say of the store and of skew is what the benchmarks have measured."""

import json
import re

import pytest

from tests.rules import tree

STORE = json.loads(tree.read("benchmarks/store.json"))
SKEW = json.loads(tree.read("benchmarks/skew.json"))
HORIZON = json.loads(tree.read("benchmarks/horizon.json"))["horizons"]
READ, BY_FEAST = (STORE["online"]["milliseconds"][name] for name in ("direct", "by_feast"))
COSTLY = [name for name in SKEW["mistakes"] if name != "flights not yet landed"]


@pytest.mark.parametrize(
    ("what", "found", "limit"),
    [
        ("seconds for the features of the year", STORE["training"]["seconds"], 15),
        ("gigabytes for them", STORE["training"]["peak_memory_gb"], 3),
        ("milliseconds for a read, p50", READ["p50"], 3),
        ("milliseconds for a read, p99", READ["p99"], 8),
        ("seconds to materialize a day", STORE["online"]["seconds_for_a_day"], 5),
    ],
)
def test_the_store_keeps_within_its_limits(what, found, limit):
    assert 0 < found <= limit, what


def test_it_was_the_whole_year_and_a_whole_day():
    assert STORE["training"]["requests"] == STORE["joins"]["year"]["requests"] == 336_776
    assert STORE["online"]["reads"] >= 900


def test_feasts_own_read_takes_more_than_twice_as_long():
    assert BY_FEAST["p50"] > 2 * READ["p50"]


def test_feasts_join_falls_further_behind_the_more_is_asked():
    ratios = [STORE["joins"][size]["feast_duckdb_to_training"] for size in ("300", "1000", "3000")]
    assert 10 < ratios[0] < ratios[1] < ratios[2]
    pieces = 336_776 / 3_000
    assert 5 < pieces * STORE["joins"]["3000"]["feast_duckdb_seconds"] / 60 < 30


def test_feasts_default_lost_requests_and_took_many_times_as_long():
    told = STORE["feast_default"]
    back, asked = map(int, re.findall(r"gave (\d+) rows for (\d+) requests", told["refused"])[0])
    assert back < asked == told["requests"]
    assert told["to_training"] > told["to_duckdb"] > 10


@pytest.mark.parametrize("name", COSTLY)
def test_a_mistake_of_serving_costs_for_certain(name):
    assert SKEW["mistakes"][name]["minus_honest"]["low"] > 0


def test_an_aggregate_that_knows_the_future_would_be_applauded():
    early = SKEW["mistakes"]["flights not yet landed"]
    assert early["minus_honest"]["high"] < 0
    assert early["roc_auc"] > SKEW["honest"]["roc_auc"]


def test_the_wrong_time_zone_costs_least():
    costs = {name: SKEW["mistakes"][name]["minus_honest"]["point"] for name in COSTLY}
    assert min(costs, key=lambda name: costs[name]) == "UTC for local time"


def test_withholding_loses_less_than_serving_what_is_old():
    old, withheld = (SKEW["mistakes"][name] for name in ("stale by 6 h", "withheld as stale"))
    assert withheld["log_loss"] < old["log_loss"]
    assert withheld["roc_auc"] > old["roc_auc"]


def test_a_model_of_two_hours_asked_a_day_ahead_is_worse_than_one_trained_for_it():
    day = HORIZON["24h"]
    assert day["live_model"]["log_loss"] > day["own_model"]["log_loss"]
    costs = {name: found["live_model"]["minus_live"]["point"] for name, found in HORIZON.items()}
    assert max(costs, key=lambda name: costs[name]) == "8h"
