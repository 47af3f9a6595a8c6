"""What the page says of erasure is what benchmarks/erasure.json measured, and how."""

import json

import pandas as pd
import pytest

from benchmarks import erasure
from benchmarks.study import Raw
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from tests.features import oracle
from tests.features.oracle import flight
from tests.rules import tree

pytestmark = pytest.mark.answer("governance")
FOUND = json.loads(tree.read("benchmarks/erasure.json"))
MAY = Window(first="2013-05-01", last="2013-05-31")


def raw(*flights):
    weather = oracle.weather("05-20 10:00")
    return Raw(oracle.flights(*flights), weather, load(FeaturesConfig))


def of(tables, tail):
    return (tables.flights["tailnum"] == tail).to_numpy()


@pytest.mark.parametrize(
    ("departs", "learned"),
    [
        pytest.param("05-20 14:00", True, id="within the window"),
        pytest.param("06-02 14:00", False, id="after it"),
        pytest.param("06-01 03:30", False, id="within it, landed after its end"),
    ],
)
def test_a_model_learned_from_what_lies_in_its_window_with_a_known_label(departs, learned):
    tables = raw(flight(departs, tailnum="N1"), flight("05-20 15:00", tailnum="N2"))
    found = erasure.learned_from({"a": MAY}, tables.asked, of(tables, "N1"))
    assert found == (["a"] if learned else [])


def test_every_model_with_such_a_window_is_named():
    earlier, later = Window(first="2013-04-01", last="2013-04-30"), MAY
    tables = raw(flight("05-20 14:00", tailnum="N1"))
    found = erasure.learned_from({"a": earlier, "b": later}, tables.asked, of(tables, "N1"))
    assert found == ["b"]


def test_a_deleted_flight_is_gone_and_its_influence_on_others_is_found(record_property):
    tables = raw(
        flight("05-20 09:00", 60, 60, tailnum="N1"),
        flight("05-20 15:00", tailnum="N2"),
        flight("05-28 15:00", tailnum="N2", origin="JFK"),
    )
    gone = of(tables, "N1")
    less = erasure.without(tables, gone)
    assert less.flights["tailnum"].tolist() == ["N2", "N2"]
    rest = tables.honest[~gone].reset_index(drop=True)
    moved = erasure.changed(rest, less.honest)
    assert moved[0]
    assert not erasure.changed(rest, rest).any()
    record_property(
        "of other flights with a changed feature, the busiest aircraft deleted",
        FOUND["busiest"]["others_changed"],
    )


def test_the_champions_are_those_of_the_recorded_year():
    first = Window(first="2013-01-08", last="2013-03-31")
    found = erasure.windows_of_champions(first)
    loop = json.loads(tree.read("benchmarks/loop.json"))
    assert len(found) == 1 + loop["promotions"]
    assert found["the first"] == first
    ends = [pd.Timestamp(window.last) for window in found.values()]
    assert ends == sorted(ends)


# What was recorded.


@pytest.mark.parametrize("name", ["busiest", "median"])
def test_rows_are_few_and_what_they_leave_behind_is_more(name):
    found = FOUND[name]
    assert found["flights"] < 0.01 * FOUND["flights"]
    assert found["others_changed"] > 10 * found["flights"] / FOUND["flights"]
    assert len(found["learned_by"]) <= found["champions"]
    assert found["risk_moved"]["median"] <= found["risk_moved"]["p99"] <= found["risk_moved"]["max"]


def test_the_busiest_aircraft_taught_every_champion_and_is_missed_by_none():
    found = FOUND["busiest"]
    assert len(found["learned_by"]) == found["champions"]
    assert found["loss_after_less_before"]["low"] < 0 < found["loss_after_less_before"]["high"]


def test_risks_move_about_as_much_for_a_few_rows_as_for_many():
    moved = [FOUND[name]["risk_moved"]["median"] for name in ("busiest", "median")]
    assert max(moved) < 1.5 * min(moved)
    assert FOUND["busiest"]["learned"] > 10 * FOUND["median"]["learned"]


def test_most_aircraft_taught_the_first_champion():
    assert 0.5 < FOUND["aircraft_learned_from"] / FOUND["aircraft"] <= 1
