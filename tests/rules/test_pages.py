"""The pages as Python alone reads them: what YAML reads too, and nothing that it would not."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from docs import ask, numbers, pages, tonight
from tests.rules import tree

TEXTS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in pages.ANSWERS.glob("*.md")
    if path.name != "README.md"
}
PAGE = TEXTS["ci-cd"]


def _read(tmp_path: Path, text: str) -> pages.Answer:
    path = tmp_path / "ci-cd.md"
    path.write_text(text, encoding="utf-8")
    return pages.read_page(path)


@pytest.mark.parametrize("slug", TEXTS)
def test_a_header_is_read_as_yaml_reads_it(slug: str) -> None:
    from pipeline.shared import yaml_files

    top = TEXTS[slug].split("---\n", 2)[1]
    assert pages.header(top) == yaml_files.parse(top)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("a: b\na: c\n", "'a' stands twice"),
        ("a:\n  b: c\n  b: d\n", "'b' stands twice"),
        ("a: b\n  - c\n", "'  - c' stands below 'a', which has a value"),
        ("a:\n  - b\n  c: d\n", "'- b' is no `key: text`"),
        ("a:\n    b: c\n", "'  b: c' is no `key: text`"),
        ("a:\n  b:\n", "'b:' is no `key: text`"),
        ("- a\n", "'- a' is no `key: text`"),
        ("a\n", "'a' is no `key: text`"),
    ],
)
def test_what_is_no_header_is_refused_with_its_line(header: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pages.header(header)


def test_a_page_with_an_unknown_key_in_its_header_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="stages"):
        _read(tmp_path, PAGE.replace("stage:", "stages:"))


def test_a_page_is_demonstrated_or_argued_and_nothing_else(tmp_path: Path) -> None:
    shown = "shown: demonstrated\n"
    assert _read(tmp_path, PAGE.replace(shown, "shown: argued\n")).shown == "argued"
    with pytest.raises(ValueError, match=r"ci-cd.md: shown is 'told'; it is one of demonstrated"):
        _read(tmp_path, PAGE.replace(shown, "shown: told\n"))
    with pytest.raises(TypeError, match="'shown'"):
        _read(tmp_path, PAGE.replace(shown, ""))


def test_marks_of_generated_parts_are_not_read() -> None:
    text = "Before\n<!-- numbers -->\n| a |\n<!-- end numbers -->\nof <!-- n -->0.9<!-- / --> it\n"
    assert pages.readable(text) == "Before\n| a |\nof 0.9 it\n"


# What a sentence cites.


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A record with these values, whose measures are the project's own."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/loop.json").write_text(
        '{"flights": 255827, "never": {"log_loss": 0.4843}, "promotions": 7,'
        ' "against_never": {"point": -0.0081, "low": -0.012, "high": -0.0042}}'
    )
    read = numbers.value
    monkeypatch.setattr(numbers, "value", lambda place: read(place, tmp_path))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("benchmarks/loop.json:flights", "255,827"),
        ("benchmarks/loop.json:never.log_loss", "0.48"),
        ("-benchmarks/loop.json:against_never", "0.0081"),
    ],
)
def test_a_sentence_cites_two_figures_and_no_sign(recorded, place: str, said: str) -> None:
    text = numbers.cite("by <!-- it -->?<!-- / -->", {"it": place})
    assert text == f"by <!-- it -->{said}<!-- / -->"


@pytest.mark.parametrize(
    "place", ["benchmarks/loop.json:against_never", "-benchmarks/loop.json:promotions"]
)
def test_a_sentence_that_says_the_opposite_of_the_record_is_refused(recorded, place: str) -> None:
    with pytest.raises(ValueError, match="a sentence says the opposite"):
        numbers.cite("<!-- it -->?<!-- / -->", {"it": place})


@pytest.mark.parametrize("figures", [{}, {"it": "benchmarks/loop.json:flights", "more": "x"}])
def test_marks_and_figures_match_one_to_one(figures: dict[str, str]) -> None:
    with pytest.raises(LookupError, match="a mark without a figure, or a figure without a mark"):
        numbers.cite("<!-- it -->?<!-- / -->", figures)


# Without an environment.


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the project, with no .venv beside them."""
    folder = tmp_path_factory.mktemp("bare") / "project"
    for name in tree.files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tree.ROOT / name, target)
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tonight"], "How do you reproduce a 6-month-old model?"),
        (["questions"], "make answer Q=rollback"),
        (["answer", "Q=how do you roll back"], "pipeline/rollout/rollback.py:"),
        (["answer", "Q=model-validation"], "pipeline/shared/paired_difference.py:"),
    ],
)
def test_the_book_is_printed_by_python_alone(
    bare: Path, arguments: list[str], said: str, record_property: Callable[[str, object], None]
) -> None:
    """PATH has make, the shell's tools and a Python that knows no package beside its own."""
    tools = bare.parent / "bin"
    tools.mkdir(exist_ok=True)
    python = tools / "python3"
    if not python.exists():
        python.write_text(f'#!/bin/sh\nexec "{sys._base_executable}" -S -E "$@"\n')
        python.chmod(0o755)
    environment = tree.environment(PATH=f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["make", *arguments], cwd=bare, env=environment, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    record_property(f"processor seconds of make {arguments[0]} without .venv", round(seconds, 3))
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert "<!--" not in done.stdout
    assert not (bare / ".venv").exists()


def test_the_list_holds_every_question_below_its_stage() -> None:
    lines = ask.question_list().splitlines()
    for page in pages.pages():
        assert any(line.split()[:1] == [page.slug] and page.question in line for line in lines)
    assert [line for line in lines if line in pages.stages()] == [
        stage for stage in pages.stages() if any(p.stage == stage for p in pages.pages())
    ]


def test_the_sheet_is_where_the_maker_writes_it() -> None:
    assert tonight.SHEET.relative_to(tree.ROOT).as_posix() in tree.files()
