"""What one says while walking through the pipeline is what its graph and its records hold."""

import hashlib
import json

import pytest

from tests.rules import tree

pytestmark = pytest.mark.answer("walk-through")
METRICS = sorted(name for name in tree.files() if name.endswith("/metrics.json"))
LOOP = json.loads(tree.read("benchmarks/loop.json"))


def test_the_picture_shows_the_stages_of_the_graph_in_their_order(record_property):
    picture = tree.read("docs/answers/walk-through.md").split("```")[1]
    places = [picture.index(stage) for stage in tree.graph()]
    assert places == sorted(places)
    record_property("stages of the graph", len(tree.graph()))


@pytest.mark.parametrize("name", METRICS)
def test_the_metrics_are_those_that_the_lock_says_the_graph_wrote(name):
    locked = tree.load("dvc.lock")["stages"]
    written = {out["path"]: out["md5"] for stage in locked.values() for out in stage["outs"]}
    assert written[name] == hashlib.md5(tree.read(name).encode()).hexdigest()


def test_the_gate_judged_by_what_the_page_says():
    found = json.loads(tree.read("data/evaluate/metrics.json"))
    assert found["beats_hour_rate"] < 0
    assert found["beats_logistic"] < 0
    assert found["worst_slice"] < 0


def test_no_more_promotions_were_surely_harmful_than_chance_would_call_so(record_property):
    """Of intervals at 95 %, one in forty lies above zero where the model is as good as before."""
    assert len(LOOP["surely_harmful"]) <= 0.05 * LOOP["promotions"]
    record_property("promotions in the replayed year", LOOP["promotions"])
    record_property("of these surely harmful", len(LOOP["surely_harmful"]))
