"""The page at the terminal: it lists, opens, checks on save, hints, and goes on."""

import os
import threading
from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from exercises.workbench import catalogue, commands, learn, progress
from tests.patience import until

TODAY = date(2026, 3, 2)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A page that reads from a pipe, in the state of a folder of its own; commands are noted."""
    reading, writing = os.pipe()
    done: list[str] = []

    def note(name: str):
        return lambda slug, *_, **__: done.append(f"{name} {getattr(slug, 'slug', slug)}")

    for name in ("begin", "hint", "reset", "solution", "submit", "brief"):
        monkeypatch.setattr(commands, name, note(name))
    monkeypatch.setattr(progress.load, "__defaults__", (tmp_path,))
    monkeypatch.setattr(learn.worktree, "path_of", lambda exercise: tmp_path / exercise.slug)
    said = StringIO()
    with os.fdopen(reading) as keys, os.fdopen(writing, "w", buffering=1) as hand:
        yield learn.Page(Console(file=said, width=160), TODAY, keys), hand, done, said


def test_the_page_lists_every_exercise_and_quits(page) -> None:
    shown, hand, done, said = page
    hand.write("q\n")
    shown.run()
    assert [one.title for one in catalogue.exercises() if one.title not in said.getvalue()] == []
    assert f"0 of {len(catalogue.exercises())} passed" in said.getvalue()
    assert done == []


def test_the_end_of_input_quits(page) -> None:
    shown, hand, _, _ = page
    hand.close()
    shown.run()


def test_keys_do_what_they_say(page) -> None:
    shown, hand, done, _ = page
    first = catalogue.exercises()[0]
    second = catalogue.next_of_reader(first)
    assert second is not None
    hand.write("1\nh\n\nr\ns\nb\nn\nq\n")  # all at once, as pasted
    shown.run()
    begun = [f"{verb} {first.slug}" for verb in "begin hint submit reset solution brief".split()]
    assert done == [*begun, f"begin {second.slug}"]


def test_a_save_gives_a_verdict(page, tmp_path: Path) -> None:
    shown, hand, done, _ = page
    exercise = catalogue.exercises()[0]
    file = tmp_path / exercise.slug / exercise.files[0]
    file.parent.mkdir(parents=True)
    file.write_text("x = 1\n", encoding="utf-8")
    running = threading.Thread(target=shown.run)
    running.start()
    hand.write("1\n")
    until(lambda: f"begin {exercise.slug}" in done)
    until(lambda: _saved_later(file, done, f"submit {exercise.slug}"))
    hand.write("q\n")
    running.join()
    assert set(done) == {f"begin {exercise.slug}", f"submit {exercise.slug}"}


def _saved_later(file: Path, done: list[str], wanted: str) -> bool:
    """Save once more, and look: the first save may come before the page looks at all."""
    if wanted not in done:
        os.utime(file)
    return wanted in done


def test_a_refusal_is_shown_and_the_page_goes_on(page, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, hand, _, said = page

    def refuse(*_: object) -> None:
        raise learn.PipelineError("the disk is full")

    monkeypatch.setattr(commands, "begin", refuse)
    hand.write("1\nq\n")
    shown.run()
    assert "PipelineError: the disk is full" in said.getvalue()


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        ("label fold", "label-fold"),
        ("DRIFT decide", "read-a-diagnosis"),
        ("canary", "read-a-canary"),
    ],
)
def test_words_find_exercises(words: str, slug: str) -> None:
    found = [one.slug for one in learn.search(words, catalogue.exercises())]
    assert slug in found
    assert len(found) < len(catalogue.exercises()) / 3


def test_nothing_found_shows_all(page) -> None:
    shown, hand, _, said = page
    hand.write("xyzzy\nq\n")
    shown.run()
    assert "nothing of 'xyzzy'" in said.getvalue()
