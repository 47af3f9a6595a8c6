"""Law 6: only the use case knows the domain; the rest of pipeline/ would serve another one."""

import re

from tests.rules import tree

WORDS = re.compile(
    r"(?<!\bin[ _])flight|airline|carrier|airport|aircraft|tailnum|weather", re.IGNORECASE
)
"""Words of the first use case; requests in flight are the field's."""
SWITCH = ("pipeline/usecase/chosen.py", "pipeline/usecase/take.py")
"""The files that put a use case in place: they name its folder, and nothing else of it."""


def _text(name: str) -> str:
    """A file's text; of the switch without the name of the folder."""
    return re.sub(r"\bflights\b", "", tree.read(name)) if name in SWITCH else tree.read(name)


def test_no_other_file_says_a_word_of_the_domain() -> None:
    """The cockpit is one more reader of stages, the simulation their user."""
    places = ("pipeline/", "cockpit/", "simulation/")
    cases = tuple(f"pipeline/{name}/" for name in tree.use_cases())
    names = [n for n in tree.files() if n.startswith(places) and not n.startswith(cases)]
    assert set(SWITCH) < set(names)
    found = {name: WORDS.search(_text(name)) for name in names}
    assert {name: found[0] for name, found in found.items() if found} == {}


def test_the_use_cases_know_nothing_of_each_other() -> None:
    for name in tree.use_cases():
        others = {f"pipeline.{other}" for other in tree.use_cases()} - {f"pipeline.{name}"}
        files = [file for file in tree.code() if file.startswith(f"pipeline/{name}/")]
        assert {one for file in files for one in tree.imported(file)} & others == set()


def test_no_type_of_a_config_names_a_year() -> None:
    configs = [name for name in tree.code() if name.startswith("pipeline/shared/config/")]
    assert [name for name in configs if re.search(r"\b20\d\d\b", tree.read(name))] == []
