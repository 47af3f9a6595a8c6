"""Pages are templates: each beside the code that fills it, none of them left over.

One stands beside its module; two and more of a folder are in `templates` below it.
"""

import re
from pathlib import Path

import pytest

from tests.rules import tree

TEMPLATES = {
    name
    for name in tree.files()
    if re.match(r"(pipeline|simulation|cockpit)/.+\.(html|md|txt)$", name)
}


def test_every_template_is_filled_by_some_code_and_every_one_that_is_named_exists() -> None:
    assert tree.templates(set(tree.code())) == TEMPLATES


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_template_lies_beside_what_fills_it_and_its_name_stands_once(name: str) -> None:
    short = name.removeprefix("pipeline/")
    users = [file for file in {*tree.code(), *TEMPLATES} if f'"{short}"' in tree.read(file)]
    folders = {Path(user.replace("/templates/", "/")).parent for user in users}
    own = Path(name.replace("/templates/", "/")).parent
    assert folders == {own} or name.startswith("pipeline/shared/")
    beside = [one for one in TEMPLATES if Path(one.replace("/templates/", "/")).parent == own]
    assert ("/templates/" in name) is (len(beside) > 1)
    assert [other for other in TEMPLATES if Path(other).name == Path(name).name] == [name]


@tree.each(tree.code())
def test_no_code_puts_markup_together(name: str) -> None:
    assert (
        re.findall(r"</?(?:html|style|table|tr|td|th|ul|li|p|h[1-6]|pre)\b", tree.read(name)) == []
    )
