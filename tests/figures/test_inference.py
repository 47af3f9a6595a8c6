"""What the page says of latency is what benchmarks/inference.json measured."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import inference
from pipeline.features.definitions import ENTITIES
from pipeline.features.windows import EPOCH
from tests.rules import tree

pytestmark = pytest.mark.answer("latency")
FOUND = json.loads(tree.read("benchmarks/inference.json"))
CALLS = FOUND["calls"]


def test_every_row_is_asked_once_in_calls_of_the_wanted_size():
    asked = []
    inference.timed(asked.append, np.zeros((64, 3)), 8)
    assert [len(rows) for rows in asked] == [8] * 8
    many = []
    inference.timed(many.append, np.zeros((1000, 3)), 1)
    assert len(many) == inference.MOST_CALLS


def asked(*rows):
    """Requests: minute of the prediction, origin, carrier, destination, hour."""
    frame = pd.DataFrame(rows, columns=["minute", "origin", "carrier", "dest", "sched_hour"])
    at = EPOCH + pd.to_timedelta(frame.pop("minute"), unit="min")
    return frame.assign(predict_at=at)


def test_the_first_read_of_an_instant_misses_and_the_next_hits():
    found = inference.hits(
        asked((0, "EWR", "UA", "ATL", 8), (14, "EWR", "UA", "BOS", 8), (15, "EWR", "UA", "ATL", 8)),
        grid=15,
    )
    assert set(found) == set(ENTITIES)
    assert found["system"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["origin"] == found["carrier"] == found["hour"] == found["system"]
    assert found["route"] == found["destination"] == 0


# What was recorded.


def test_onnx_answers_one_row_faster_and_many_about_as_fast(record_property):
    ratios = [CALLS[str(size)]["scikit_learn_to_onnx"] for size in inference.SIZES]
    record_property("times as long by scikit-learn, one row", ratios[0])
    record_property("times as long by scikit-learn, 4,096 rows", ratios[-1])
    assert ratios[0] > 10
    assert ratios[0] > 5 * ratios[-1]


def test_a_row_costs_less_in_a_larger_call():
    for library in ("onnx", "scikit_learn"):
        costs = [CALLS[str(size)]["us_a_row"][library] for size in inference.SIZES]
        assert costs[0] == max(costs)
    assert FOUND["onnx_one_to_many"] > 1


def test_both_libraries_give_the_same_risk():
    assert FOUND["largest_difference"] < 1e-5


def test_a_cache_hits_the_system_nearly_always_and_a_route_seldom():
    views = FOUND["cache"]["views"]
    assert set(views) == set(ENTITIES)
    assert views["system"] > 0.9
    assert views["route"] < views["carrier"] < views["origin"] < views["system"]
    assert FOUND["cache"]["all"] == pytest.approx(np.mean(list(views.values())), abs=1e-3)
