"""The book: every page's header holds, and answers and proofs match one to one."""

import ast
import contextlib
import io
import pkgutil
import re
import shutil
from collections.abc import Iterator

import pytest

from docs import book, search
from exercises import drill
from tests.flow import test_commands, test_orchestrators
from tests.rules import tree

PAGES = book.pages()


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
    assert {page.slug for page in book.demonstrated()} == _named(*map(tree.parsed, TESTS))


def test_at_least_fifty_answers_of_which_forty_are_demonstrated():
    assert len(PAGES) >= 50
    assert len(book.demonstrated()) >= 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_says_how_it_is_shown(page):
    assert page.shown in book.SHOWN
    assert (f"make prove Q={page.slug}" in book.show(page)) is (page.shown == book.DEMONSTRATED)
    if page.shown == book.ARGUED:
        assert page.drills == [], "a drill demonstrates"
        assert re.search(r"would change (my|our) mind", page.text), "what would refute it?"


def test_a_page_that_says_nothing_of_how_it_is_shown_is_an_error(tmp_path):
    text = (book.ANSWERS / "ci-cd.md").read_text(encoding="utf-8")
    path = tmp_path / "ci-cd.md"
    path.write_text(text.replace("shown: demonstrated", "shown: probably"), encoding="utf-8")
    with pytest.raises(TypeError, match="shown is 'probably', not one of demonstrated, argued"):
        book.read_page(path)
    path.write_text(text.replace("shown: demonstrated\n", ""), encoding="utf-8")
    with pytest.raises(TypeError, match="'shown'"):
        book.read_page(path)


def test_an_argued_page_has_nothing_to_prove(capsys):
    page = next(page for page in PAGES if page.shown == book.ARGUED)
    assert book.main(["prove", page.slug]) == 1
    assert capsys.readouterr().out.startswith(f"ARGUED ONLY: {page.question}")


@pytest.mark.parametrize("page", book.demonstrated(), ids=lambda page: page.slug)
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


def test_generated_parts_are_fresh():
    for path, text in book.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make fill`"


def test_a_spoken_answer_fits_thirty_seconds():
    for page in PAGES:
        spoken = page.text.split("## In 30 seconds\n")[1].split("\n## ")[0].split()
        assert 50 <= len(spoken) <= 110, f"{page.slug}: {len(spoken)} words"


GUIDE = {
    "How do you reproduce a 6-month-old model?": "three-artefacts",
    "What does CI/CD look like for ML?": "ci-cd",
    "How do you roll out a new model safely?": "safe-rollout",
    "Why use a feature store?": "feature-store",
    "What do you monitor in production?": "what-to-monitor",
    "When and how do you retrain?": "when-to-retrain",
    "What is the difference between data drift and concept drift?": "which-drift",
    "Why is a feature store important in MLOps?": "feature-store",
    "How do you decide between batch and online model serving?": "online-or-batch",
}
"""The nine questions of the interview guide, in its words."""
FREELY = {
    "three-artefacts": [
        "how do you reproduce an old model",
        "Can you rebuild last year's model exactly?",
        "How would you get back the model you trained half a year ago?",
        "What do you need to make training reproducible?",
        "how do you version data",
        "How do you do data versioning?",
        "DVC or Git LFS for data?",
        "Where do you keep versions of your data sets?",
        "experiment tracking",
        "How do you track experiments?",
        "How do you log runs, parameters and metrics?",
        "What do you use MLflow tracking for?",
    ],
    "ci-cd": [
        "what does CI/CD look like",
        "How do you set up continuous integration for machine learning?",
        "What does your ML pipeline run on a pull request?",
        "continuous delivery of models",
    ],
    "safe-rollout": [
        "How do you deploy a new model without risk to users?",
        "What is your deployment strategy for models?",
        "How do you release a new version to production safely?",
    ],
    "feature-store": [
        "do you know feature stores",
        "What problem does a feature store solve?",
        "Do you need a feature store?",
        "Benefits of Feast or Tecton",
    ],
    "what-to-monitor": [
        "Which metrics do you watch once a model is live?",
        "How do you monitor a deployed model?",
        "What alerts do you set up for a model in production?",
    ],
    "when-to-retrain": [
        "when should I retrain my model",
        "What triggers retraining?",
        "How often should a model be retrained?",
        "Do you retrain on a schedule or on a trigger?",
    ],
    "which-drift": [
        "Explain concept drift versus data drift",
        "How does covariate shift differ from concept drift?",
        "Is it data drift or concept drift, and how do you tell them apart?",
    ],
    "online-or-batch": [
        "Batch or real-time predictions, which do you choose?",
        "When is batch scoring enough?",
        "Do you serve models online or offline in batch?",
    ],
    "release": [
        "model registry",
        "What is a model registry for?",
        "How do you manage model versions and aliases?",
        "MLflow model registry",
    ],
    "devops-engineer": [
        "what is MLOps",
        "Define MLOps",
        "What is the difference between MLOps and DevOps?",
        "How does MLOps differ from DevOps?",
    ],
    "data-drift": ["data-drift"],
    "point-in-time": ["does a feature use the future"],
    "model-validation": ["may the new model replace the champion"],
    "which-rollout": ["how do you do A/B testing?"],
    "rollback": ["rolback"],
}
"""What people ask, by the page that answers it."""


@pytest.mark.parametrize(("words", "slug"), GUIDE.items())
def test_a_question_of_the_guide_leads_to_its_page_first(words, slug):
    assert book.find(words).slug == slug
    assert book.aside(words).startswith("Near it: ")


@pytest.mark.parametrize(
    ("words", "slug"), [(words, slug) for slug, many in FREELY.items() for words in many]
)
def test_an_answer_is_found_by_its_name_or_in_free_words(words, slug):
    assert book.find(words).slug == slug


def test_a_page_is_found_by_every_phrasing_in_its_header():
    phrases = [(phrase, page.slug) for page in PAGES for phrase in [page.question, *page.asked]]
    entries = [search.Entry(p.slug, [p.question, *p.asked], p.text) for p in PAGES]
    assert [(words, search.rank(words, entries)[0]) for words, _ in phrases] == phrases


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rolback", "Near it: "),
        ("GPU quantization", "No question of the book is about 'GPU quantization'; this is the "),
    ],
)
def test_what_was_found_in_free_words_says_what_else_is_near(words, said):
    assert book.aside(words).startswith(said)
    assert book.find(words).slug not in book.aside(words)


def test_a_question_about_nothing_in_the_book_is_told_so():
    with pytest.raises(SystemExit, match="no answer shares a word"):
        book.find("qqqq zzzz")


def test_a_printed_answer_holds_the_file_and_line_of_its_code():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert book.main(["answer", "model-validation"]) == 0
    assert re.search(r"pipeline/shared/paired_difference\.py:\d+ ", printed.getvalue())


def test_a_page_with_an_unknown_key_in_its_header_is_an_error(tmp_path):
    text = (book.ANSWERS / "ci-cd.md").read_text(encoding="utf-8")
    path = tmp_path / "ci-cd.md"
    path.write_text(text.replace("stage:", "stages:"), encoding="utf-8")
    with pytest.raises(TypeError, match="stages"):
        book.read_page(path)


def test_a_label_that_yaml_reads_as_no_text_is_an_error(tmp_path):
    text = (book.ANSWERS / "what-to-monitor.md").read_text(encoding="utf-8")
    path = tmp_path / "what-to-monitor.md"
    path.write_text(text.replace("numbers:\n", "numbers:\n  false: data/x.json:y\n"))
    with pytest.raises(TypeError, match="reads a label of numbers as False; quote it"):
        book.read_page(path)


@pytest.fixture
def proofs(tmp_path, monkeypatch):
    """A project whose proofs are the text that is given, for a page of the book."""
    (tmp_path / "tests").mkdir()
    shutil.copy(tree.ROOT / "pyproject.toml", tmp_path)
    option = "def pytest_addoption(parser): parser.addoption('--answer')"
    (tmp_path / "tests/conftest.py").write_text(option)
    monkeypatch.setattr(book, "ROOT", tmp_path)
    return lambda text: (tmp_path / "tests/test_it.py").write_text(text)


def test_a_proof_ends_with_what_it_measured_each_figure_once(proofs, capfd):
    page = book.find("ci-cd")
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
    page = book.find("ci-cd")
    proofs(text)
    assert book.main(["prove", page.slug]) == 1
    said = [line for line in capfd.readouterr().out.splitlines() if "PROVEN" in line]
    assert len(said) == 1
    assert said[0].startswith(f"NOT PROVEN: {page.question} ({told}, in ")
