"""The README says how many files each recipe takes, and none takes more than it may."""

import re

import pytest

from tests.recipes import RECIPES
from tests.rules import tree


@pytest.mark.parametrize(
    ("said", "folder"),
    [("in Python", "pipeline/bikes/"), ("a declaration", "tests/usecase/visits/")],
)
def test_other_data_take_as_many_files_as_the_readme_says(said, folder):
    there = [n for n in tree.files() if n.startswith(folder) and n.endswith((".py", ".yaml"))]
    count = re.search(rf"{said}: (\d+)\b", " ".join(tree.read("README.md").split()))
    assert count
    assert len(there) == int(count[1])


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_as_many_files_as_the_readme_says(name):
    said = re.search(rf"{name} (\d)\b", " ".join(tree.read("README.md").split()))
    assert said
    assert len(RECIPES[name].files) == int(said[1]) <= RECIPES[name].most
