"""The book: every page's header holds, and answers and proofs match one to one."""

import ast
import json
import pkgutil
import re
import shutil
from collections.abc import Iterator

import pytest

from docs import ask, book, proof, symbols
from docs.pages import (
    ARGUED,
    DEMONSTRATED,
    HEADINGS,
    SHOWN,
    demonstrated,
    exercises,
    find,
    pages,
)
from exercises import drill
from exercises.workbench import catalogue
from tests.flow import test_commands, test_orchestrators
from tests.rules import tree

PAGES = pages()


TESTS = [name for name in tree.files() if re.match(r"tests/.*test_\w+\.py$", name)]
PROOF = """
import pytest

@pytest.mark.answer("ci-cd")
@pytest.mark.parametrize("step", [1, 2])
def test_it(step, record_property):
    record_property("flights compared", 29425)
    record_property("largest difference", 0.00123456)
    record_property(f"found in step {step} by", "the store")
    assert HOLDS
"""
"""A proof that records figures, of which two are the same in both of its tests."""


def _named(*nodes: ast.AST) -> set[str]:
    """The pages that marks within these nodes name."""
    calls = (node for one in nodes for node in ast.walk(one) if isinstance(node, ast.Call))
    return {
        word.value
        for call in calls
        if ast.unparse(call.func) == "pytest.mark.answer"
        for word in call.args
        if isinstance(word, ast.Constant)
    }


def _measured(
    block: ast.Module | ast.ClassDef, above: set[str], marks: dict[str, ast.expr]
) -> Iterator[str]:
    """The pages of which tests record a figure: those of their own marks, and those above them."""
    made = {ast.unparse(n.targets[0]): n.value for n in block.body if isinstance(n, ast.Assign)}
    if "pytestmark" in made:
        above = above | _named(made["pytestmark"])
    for node in block.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            by_name = marks | made
            own = above | _named(*[by_name.get(ast.unparse(d), d) for d in node.decorator_list])
            if isinstance(node, ast.ClassDef):
                yield from _measured(node, own, by_name)
            elif "record_property" in {one.arg for one in node.args.args}:
                yield from own


MEASURED = {
    slug
    for name in TESTS
    if not name.startswith("tests/flow/")
    for slug in _measured(tree.parsed(name), set(), {})
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_has_every_section_in_order(page):
    found = re.findall(r"^## (.+)$", page.text, re.MULTILINE)
    wanted = [h for h in HEADINGS if h != "The numbers here" or page.numbers]
    assert found == wanted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_names_code_that_explains_itself(page):
    assert page.code
    for symbol in page.code:
        found = pkgutil.resolve_name(symbol)
        if callable(found):
            assert (found.__doc__ or "").strip(), symbol
        assert re.match(r"[\w/]+\.py:\d+", symbols.place(symbol)), symbol


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_names_a_stage_a_command_and_a_drill_that_exist(page):
    assert page.stage in tree.stages()
    assert page.command.removeprefix("make ") in tree.offered()
    assert set(page.drills) <= set(drill.drills())


def _typed() -> set[str]:
    """Every command that a test of the flow types."""
    flow = "".join(tree.read(name) for name in tree.files() if name.startswith("tests/flow/"))
    found = re.findall(r'(?:"make"|PIPELINE|"(?:pipeline|simulation)"|SERVE), "([a-z-]+)"', flow)
    measures = {f"measure M={name}" for name in test_commands.MEASURES}
    return {*found, *measures, *test_commands.SAYS, *test_orchestrators.NAMES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_the_command_of_a_page_is_typed_by_a_test(page):
    assert page.command.removeprefix("make ") in _typed()


def test_demonstrated_answers_and_proofs_match_one_to_one():
    assert {page.slug for page in demonstrated()} == _named(*map(tree.parsed, TESTS))


def test_every_exercise_is_named_below_its_answer():
    names = {page: [name for name, _ in of] for page, of in exercises().items()}
    assert sorted(name for of in names.values() for name in of) == sorted(catalogue.names())
    for page, of in names.items():
        said = ask.show(find(page))
        assert [name for name in of if f"make exercise E={name}`" not in said] == []


def test_at_least_fifty_answers_of_which_forty_are_demonstrated():
    assert len(PAGES) >= 50
    assert len(demonstrated()) >= 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_says_how_it_is_shown(page):
    assert page.shown in SHOWN
    assert (f"make prove Q={page.slug}" in ask.show(page)) is (page.shown == DEMONSTRATED)
    if page.shown == ARGUED:
        assert page.drills == [], "a drill demonstrates"
        refuted = re.search(r"(would|'d)\s+change\s+(my|our)\s+mind", page.text)
        assert refuted, "what would refute it?"


def test_a_proof_says_what_it_runs_its_sentences_and_what_was_recorded(
    proofs, capfd, monkeypatch, tmp_path
):
    record = tmp_path / "proofs.json"
    figures = {"flights compared": "29,425", "largest difference": "0.5"}
    told = {"ci-cd": {"seconds": 36, "tests": 2, "figures": figures}}
    record.write_text(json.dumps({"proofs": told}))
    monkeypatch.setattr(proof, "PROOFS", record)
    proofs(PROOF.replace("HOLDS", "step"))
    assert book.main(["prove", "ci-cd"]) == 0
    first, *said = capfd.readouterr().out.splitlines()
    assert first == "prove: runs the tests that name ci-cd, in 1 files; 36 s when recorded"
    assert "  - it (2 cases)" in said
    assert "     29,425  flights compared" in said
    assert "   0.001235  largest difference (0.5 when recorded)" in said


def test_a_page_that_only_records_are_held_against_is_not_called_proven(proofs, capfd, tmp_path):
    proofs(PROOF.replace("HOLDS", "step"))
    (tmp_path / "tests/figures").mkdir()
    (tmp_path / "tests/test_it.py").rename(tmp_path / "tests/figures/test_it.py")
    assert book.main(["prove", "ci-cd"]) == 0
    said = capfd.readouterr().out
    assert "THE PAGE AGREES WITH THE RECORDED RUN in" in said
    assert "nothing was run anew" in said
    assert "PROVEN" not in said


@pytest.mark.parametrize("main", [book.main, ask.main], ids=["prove", "answer"])
@pytest.mark.parametrize(("words", "code"), [("", 2), (" ", 2), ("qqqq zzzz", 1)])
def test_a_question_that_is_missing_or_unknown_ends_in_one_sentence(capsys, main, words, code):
    verb = "prove" if main is book.main else "answer"
    assert main([verb, words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{verb}: no ")
    assert "`make questions` lists" in line


def test_an_argued_page_has_nothing_to_prove(capsys):
    page = next(page for page in PAGES if page.shown == ARGUED)
    assert book.main(["prove", page.slug]) == 1
    assert capsys.readouterr().out.startswith(f"ARGUED ONLY: {page.question}")


@pytest.mark.parametrize("page", demonstrated(), ids=lambda page: page.slug)
def test_a_proof_of_a_page_records_what_it_measured(page):
    assert page.slug in MEASURED


@pytest.mark.parametrize(
    ("text", "measured"),
    [
        ('@pytest.mark.answer("a")\ndef test_it(record_property): ...', {"a"}),
        ('@pytest.mark.answer("a", "b")\ndef test_it(x, record_property): ...', {"a", "b"}),
        ('@pytest.mark.answer("a")\ndef test_it(x): ...', set()),
        ('pytestmark = [slow, pytest.mark.answer("a")]\ndef test_it(record_property): ...', {"a"}),
        ('of_a = pytest.mark.answer("a")\n@of_a\ndef test_it(record_property): ...', {"a"}),
        ('of_a = pytest.mark.answer("a")\ndef test_it(record_property): ...', set()),
        (
            '@pytest.mark.answer("a")\nclass TestIt:\n    def test_it(self, record_property): ...',
            {"a"},
        ),
    ],
)
def test_a_figure_is_of_the_pages_that_its_test_is_marked_with(text, measured):
    assert set(_measured(ast.parse(text), set(), {})) == measured


def test_every_drill_belongs_to_an_answer():
    assert set(drill.drills()) == {name for page in PAGES for name in page.drills}


@pytest.fixture
def proofs(tmp_path, monkeypatch):
    """A project whose proofs are the text that is given, for a page of the book."""
    (tmp_path / "tests").mkdir()
    shutil.copy(tree.ROOT / "pyproject.toml", tmp_path)
    option = "def pytest_addoption(parser): parser.addoption('--answer')"
    (tmp_path / "tests/conftest.py").write_text(option)
    monkeypatch.setattr(proof, "ROOT", tmp_path)
    return lambda text: (tmp_path / "tests/test_it.py").write_text(text)


def test_a_proof_ends_with_what_it_measured_each_figure_once(proofs, capfd):
    page = find("ci-cd")
    proofs(PROOF.replace("HOLDS", "step"))
    assert book.main(["prove", page.slug]) == 0
    said, *figures = capfd.readouterr().out.splitlines()[-5:]
    assert re.fullmatch(rf"PROVEN in \d+ s by 2 tests: {re.escape(page.question)}", said)
    assert figures == [
        "     29,425  flights compared",
        "   0.001235  largest difference",
        "  the store  found in step 1 by",
        "  the store  found in step 2 by",
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PROOF.replace("HOLDS", "step == 2"), "1 of 2 tests failed"),
        (PROOF.replace("ci-cd", "data-drift"), "0 of 0 tests failed"),
        (PROOF.replace("    assert HOLDS", "    pytest.skip()"), "0 of 0 tests failed"),
        ('"ci-cd" + 1', "1 of 1 tests failed"),
    ],
    ids=["one fails", "there is none", "all are skipped", "it cannot be read"],
)
def test_a_proof_that_fails_or_that_there_is_not_ends_with_1(proofs, capfd, text, told):
    page = find("ci-cd")
    proofs(text)
    assert book.main(["prove", page.slug]) == 1
    said = [line for line in capfd.readouterr().out.splitlines() if "PROVEN" in line]
    assert len(said) == 1
    assert said[0].startswith(f"NOT PROVEN: {page.question} ({told}, in ")
