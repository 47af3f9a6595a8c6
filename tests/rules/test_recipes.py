"""The README says how many files each recipe takes, and none takes more than it may."""

import re

import pytest

from tests.recipes import RECIPES
from tests.rules import tree


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_as_many_files_as_the_readme_says(name):
    said = re.search(rf"{name} (\d)\b", " ".join(tree.read("README.md").split()))
    assert said
    assert len(RECIPES[name].files) == int(said[1]) <= RECIPES[name].most
