"""The book: every page's header holds, and answers and proofs match one to one."""

import contextlib
import io
import pkgutil
import re

import pytest

from docs import book
from exercises import drill
from tests.rules import tree

PAGES = book.pages()


def _proven() -> set[str]:
    """Every slug that a test says it proves, read from the tests' text."""
    return {
        slug
        for name in tree.files()
        if re.match(r"tests/.*test_\w+\.py$", name)
        for slug in re.findall(r'mark\.answer\("([^"]+)"\)', tree.read(name))
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_has_every_section_in_order(page):
    found = re.findall(r"^## (.+)$", page.text, re.MULTILINE)
    wanted = [h for h in book.HEADINGS if h != "The numbers here" or page.numbers]
    assert found == wanted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_names_code_that_explains_itself(page):
    assert page.code
    for symbol in page.code:
        found = pkgutil.resolve_name(symbol)
        if callable(found):
            assert (found.__doc__ or "").strip(), symbol
        assert re.match(r"[\w/]+\.py:\d+", book.place(symbol)), symbol


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_names_a_stage_a_command_and_a_drill_that_exist(page):
    assert page.stage in tree.stages()
    assert page.command.removeprefix("make ") in tree.targets()
    assert set(page.drills) <= set(drill.drills())


def test_answers_and_proofs_match_one_to_one():
    assert {page.slug for page in PAGES} == _proven()


def test_every_drill_belongs_to_an_answer():
    assert set(drill.drills()) == {name for page in PAGES for name in page.drills}


def test_generated_parts_are_fresh():
    for path, text in book.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make fill`"


def test_a_spoken_answer_fits_thirty_seconds():
    for page in PAGES:
        spoken = page.text.split("## In 30 seconds\n")[1].split("\n## ")[0].split()
        assert 50 <= len(spoken) <= 110, f"{page.slug}: {len(spoken)} words"


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        ("data-drift", "data-drift"),
        ("how do you reproduce an old model", "three-artefacts"),
        ("what does CI/CD look like", "ci-cd"),
        ("does a feature use the future", "point-in-time"),
        ("may the new model replace the champion", "model-validation"),
    ],
)
def test_an_answer_is_found_by_its_name_or_in_free_words(words, slug):
    assert book.find(words).slug == slug


def test_a_question_about_nothing_in_the_book_is_told_so():
    with pytest.raises(SystemExit, match="no answer shares a word"):
        book.find("qqqq zzzz")


def test_a_printed_answer_holds_the_file_and_line_of_its_code():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert book.main(["answer", "model-validation"]) == 0
    assert re.search(r"pipeline/evaluate/compare\.py:\d+ ", printed.getvalue())


def test_a_page_with_an_unknown_key_in_its_header_is_an_error(tmp_path):
    text = (book.ANSWERS / "ci-cd.md").read_text(encoding="utf-8")
    path = tmp_path / "ci-cd.md"
    path.write_text(text.replace("stage:", "stages:"), encoding="utf-8")
    with pytest.raises(TypeError, match="stages"):
        book.read_page(path)


def test_a_number_is_found_in_lists_and_under_names_with_dots(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "ROOT", tmp_path)
    (tmp_path / "found.json").write_text('{"p below .05": [{"at": 0.25}], "p": 7000}')
    assert book.number("found.json:p below .05.0.at") == "0.2500"
    assert book.number("found.json:p") == "7,000"
