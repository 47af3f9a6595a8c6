"""What docs/adr/0016 says of imports is what benchmarks/imports.json measured."""

import json

from benchmarks import imports
from tests.rules import tree

FOUND = json.loads(tree.read("benchmarks/imports.json"))


def test_every_import_was_measured():
    assert set(FOUND) == {*imports.WAYS, "rounds"}


def test_feast_takes_less_than_a_third_of_the_time_and_in_every_round_less_than_half():
    assert FOUND["feast"]["ratio"] < 1 / 3
    assert FOUND["feast"]["ratios"][1] < 1 / 2


def test_great_expectations_takes_some_nine_tenths_or_less():
    assert FOUND["great_expectations"]["ratio"] < 0.9
