"""What pages say of growth is what benchmarks/scale.json measured."""

import json

import pytest

from benchmarks import scale
from benchmarks.joins import parts
from docs import measured
from tests.rules import tree

pytestmark = pytest.mark.answer("hundred-times")
FOUND = json.loads(tree.read("benchmarks/scale.json"))
ENGINES = FOUND["engines"]


def test_the_page_is_made_from_the_record():
    assert tree.read("docs/scale.md") == measured.scale(FOUND)


def test_it_was_the_year_and_ten_and_a_hundred_times_its_rows():
    assert FOUND["requests"] == {str(times): times * 336_776 for times in parts.SHAPES}


@pytest.mark.parametrize("name", scale.ENGINES)
def test_at_the_year_every_engine_gives_the_features_of_training(name):
    assert ENGINES[name]["sizes"]["1"]["features_differing"] == 0


@pytest.mark.parametrize("name", scale.ENGINES)
def test_an_engine_was_measured_at_every_size_or_its_page_says_why_not(name):
    sizes = list(ENGINES[name]["sizes"])
    stopped = [size for size in sizes if ENGINES[name]["sizes"][size]["stopped"]]
    assert sizes == list(FOUND["requests"]) or stopped == sizes[-1:]
    assert all(f"stopped {ENGINES[name]['sizes'][s]['stopped']}" in tree.read("docs/scale.md")
               for s in stopped)  # fmt: skip


def test_spark_on_one_machine_only_costs_more():
    for size, of in ENGINES["Spark"]["sizes"].items():
        assert of["stopped"] or of["seconds"] > ENGINES["DuckDB"]["sizes"][size]["seconds"]


def test_ours_by_parts_grows_as_the_rows_and_keeps_to_its_memory(record_property):
    ours = ENGINES["ours by parts"]
    record_property("exponent, the year to a hundred", ours["exponent"]["1 to 100"])
    assert ours["exponent"]["1 to 100"] <= 1.1
    memory = [of["peak_memory_gb"] for of in ours["sizes"].values()]
    assert memory[-1] < 3 * memory[0]
