"""docs/state.md lists every file of state with what notices and what rebuilds it, each held."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.rules import tree

PAGE = tree.read("docs/state.md")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
FILES = [row[0].strip("`") for row in ROWS]
SCRATCH = {"state/home", "state/as-it-was.txt", "state/story.json", "state/faulty"}
"""An account's home where it has none, and what a replay's checkout holds of itself."""


def listed(path: str) -> bool:
    """Whether a row tells of a file, or of a folder of it."""
    return any(fnmatchcase(path, row) or row.startswith(f"{path}/") or row == path for row in FILES)


def named_in_code() -> set[str]:
    """Every path below state/ and data/ that the code names."""
    texts = [tree.read(name) for name in tree.code()]
    found = {p for text in texts for p in re.findall(r'Path\("((?:state|data)/[^"]+)"\)', text)}
    return found | {p for t in texts for p in re.findall(r'= "(state/[^"]+)"', t)}


def named_in_configs() -> set[str]:
    texts = [tree.read(f"configs/{stage}.yaml") for stage in tree.stages()]
    return {p for t in texts for p in re.findall(r"(?:sqlite:///|_url: )(state/\S+)", t)}


def test_every_path_that_code_and_configs_name_has_its_row() -> None:
    named = named_in_code() | named_in_configs() | set(tree.data_folders().values())
    assert len(named) > 15
    unused = {"data/register"}  # the registry keeps what it writes
    assert {path for path in named - SCRATCH - unused if not listed(path)} == set()


def test_a_file_that_nobody_listed_would_be_found() -> None:
    assert not listed("state/secret.db")
    assert listed("state/feast/online.db")


@pytest.mark.parametrize("row", ROWS, ids=FILES)
def test_a_row_names_commands_and_a_test_that_there_are(row: list[str]) -> None:
    _, notices, rebuilds, held = row
    commands = set(re.findall(r"`make ([a-z-]+)", notices + rebuilds))
    assert re.search(r"`make |backup only", rebuilds)
    assert commands - set(tree.targets()) == set()
    tests = [tree.read(name) for name in tree.files() if name.startswith("tests/")]
    assert any(f"def {held.strip('`')}(" in text for text in tests)


def test_nothing_on_the_page_is_ever_deleted() -> None:
    assert not re.search(r"make clean|rm -r", PAGE)
    for name in tree.code():
        assert "make clean" not in tree.read(name)
        assert not re.search(r"`rm -r", Path(tree.ROOT / name).read_text(encoding="utf-8"))
