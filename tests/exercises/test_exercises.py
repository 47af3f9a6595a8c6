"""Every exercise is whole, fits main, and is proven: the start fails, the solution passes."""

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from exercises import prove
from exercises.workbench import catalogue, checking, edits, judge, trees
from exercises.workbench.catalogue import TOPICS, Exercise
from exercises.workbench.process import Subject
from tests.rules import tree

EVERY = catalogue.exercises()
FAST = ["first-step", "read-a-canary", "long-haul-slice", "labels-twice", "load-shedding"]
"""One of each kind, proven with every test; the others each night."""


def _proofs(slugs: list[str], folder: Path) -> list[str]:
    chosen = [catalogue.exercise(slug) for slug in slugs]
    return [f"{p.slug}, {p.state}: {p.fault}" for p in prove.prove(chosen, folder) if p.fault]


@pytest.mark.long
@pytest.mark.slow
def test_an_exercise_of_each_kind_is_proven(tmp_path: Path) -> None:
    assert {catalogue.exercise(slug).kind for slug in FAST} == {
        *("rebuild", "repair", "extend", "decide")
    }
    assert _proofs(FAST, tmp_path) == []


@pytest.mark.nightly
@pytest.mark.parametrize("exercise", EVERY, ids=lambda one: one.slug)
def test_every_exercise_is_proven(exercise: Exercise, tmp_path: Path) -> None:
    assert _proofs([exercise.slug], tmp_path) == []


@pytest.mark.parametrize("exercise", EVERY, ids=lambda one: one.slug)
def test_every_edit_fits_main(exercise: Exercise, tmp_path: Path) -> None:
    """What an exercise changes stands where it expects it."""
    base = trees.copy(
        [n for n in {e.file for e in trees.all_edits(exercise)} if (tree.ROOT / n).is_file()],
        tmp_path / "base",
    )
    for number, state in enumerate(prove.states(exercise)):
        made = trees.in_state(exercise, base, tmp_path / str(number), state)
        for name in {edit.file for edit in trees.all_edits(exercise) if edit.file.endswith(".py")}:
            edits.definitions((made / name).read_text(encoding="utf-8"))  # it is Python


@pytest.mark.parametrize("exercise", EVERY, ids=lambda one: one.slug)
def test_an_exercise_is_whole(exercise: Exercise) -> None:
    checks = judge.checks(exercise.checks)
    names = {one.__name__ for one in checks}
    assert exercise.fails.check in names
    assert {one.rejected_by for one in exercise.wrong} <= names
    assert len({one.name for one in exercise.wrong}) == len(exercise.wrong)
    assert all(len(hint) >= 40 for hint in exercise.hints)
    assert (tree.ROOT / f"docs/answers/{exercise.answer}.md").is_file()
    begun = {edit.file for edit in exercise.start if edit.source is not None}
    there = {name for name in exercise.files if (tree.ROOT / name).exists()}
    assert there.isdisjoint(begun), "a skeleton is of a file that main has not"
    assert there | begun == set(exercise.files)
    assert [one.__name__ for one in checks if not (one.__doc__ or "").strip()] == []
    if exercise.kind == "rebuild":
        assert all(edit.blank for edit in exercise.start)
        assert exercise.solution == []
    if exercise.kind == "repair":
        assert exercise.start
        assert exercise.solution == []
    if exercise.kind == "extend":
        assert {edit.file for edit in exercise.start} == begun
        assert exercise.solution
    if exercise.kind != "decide":
        assert any(one.hidden for one in checks), "a grade needs checks that nobody was shown"  # type: ignore[attr-defined]
        assert any(not one.hidden for one in checks)  # type: ignore[attr-defined]


@pytest.mark.parametrize("exercise", EVERY, ids=lambda one: one.slug)
def test_a_visible_check_shows_why_the_start_fails(exercise: Exercise) -> None:
    named = next(c for c in judge.checks(exercise.checks) if c.__name__ == exercise.fails.check)
    assert not named.hidden  # type: ignore[attr-defined]


def test_there_are_as_many_as_were_promised() -> None:
    assert len(EVERY) >= 52
    assert sum(len(judge.checks(one.checks)) for one in EVERY) >= 340
    assert sum(len(one.wrong) for one in EVERY) >= 200
    minutes = [one.minutes for one in EVERY]
    assert (min(minutes), max(minutes)) == (10, 240)
    assert sum(one.kind == "extend" and one.minutes >= 60 for one in EVERY) >= 6
    by_topic = Counter(one.topic for one in EVERY)
    assert min(by_topic[topic] for topic in TOPICS) >= 4
    by_reader = Counter(one.reader for one in EVERY)
    assert min(by_reader[reader] for reader in get_args(catalogue.Reader)) >= 2
    for topic in TOPICS:
        kinds = {one.kind for one in EVERY if one.topic == topic}
        assert {"rebuild", "repair", "decide"} <= kinds, topic
    assert len({one.slug for one in EVERY}) == len(EVERY)


def test_a_chain_rises_in_depth_and_leads_to_the_next_topic() -> None:
    for topic in TOPICS:
        depths = [one.depth for one in EVERY if one.topic == topic]
        assert depths == sorted(depths)
        assert len(set(depths)) == len(depths), topic
    chain = [EVERY[0]]
    while (after := catalogue.next_in_chain(chain[-1])) is not None:
        chain.append(after)
    assert chain == EVERY


def test_the_next_exercise_is_one_of_the_same_reader_while_there_is_one() -> None:
    for place, one in enumerate(EVERY):
        after, rest = catalogue.next_of_reader(one), EVERY[place + 1 :]
        same = [other for other in rest if other.reader == one.reader]
        assert after == next(iter(same or rest), None), one.slug


def test_the_first_exercise_passes_by_uncommenting() -> None:
    first = EVERY[0]
    (edit,) = first.start
    assert edit.old is not None
    assert edit.new is not None
    lines = [re.sub(r"^(\s*)# ", r"\1", line) for line in edit.new.splitlines()]
    assert lines[0] == edit.old.rstrip("\n")


def test_every_exercise_names_files_that_its_start_or_solution_changes() -> None:
    for one in EVERY:
        if one.kind != "decide":
            changed = {edit.file for edit in [*one.start, *one.solution]}
            assert changed == set(one.files), one.slug


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("' False '", False),
        ('"2"', 2),
        ("2.5", 2.5),
        ('"hour 17-23"', "hour 17-23"),
        ('"1979"', 1979),
    ],
)
def test_an_answer_within_quotes_is_what_it_says(
    written: str, meant: object, tmp_path: Path
) -> None:
    (tmp_path / "answers.toml").write_text(f"it = {written}\n", encoding="utf-8")
    with Subject(tmp_path, "") as subject:
        assert (subject.answer("it"), type(subject.answer("it"))) == (meant, type(meant))


def test_yaml_that_is_broken_is_said_by_its_line(tmp_path: Path) -> None:
    exercise = catalogue.exercise("early-ticket")
    tree = trees.copy(trees.files([exercise]), tmp_path)
    with (tree / exercise.files[0]).open("a", encoding="utf-8") as stream:
        stream.write("  - [a: {\n")
    seen = judge.judge(exercise, tree).checks[0].seen
    assert re.fullmatch(r"configs/monitor/alerts.yml line \d+ is no YAML: .*", seen)


@pytest.mark.parametrize("exercise", EVERY, ids=lambda one: one.slug)
def test_what_is_left_out_is_there_and_no_part_of_the_task(exercise: Exercise) -> None:
    checks = exercise.checks.read_text(encoding="utf-8")
    of_main = [tree.ROOT / name for name in exercise.files if name.endswith(".py")]
    known = {n for path in of_main if path.is_file() for n in edits.definitions(path.read_text())}
    changed = " ".join(
        text
        for edit in trees.all_edits(exercise)
        for text in (*edit.blank, edit.old, edit.new, edit.code)
        if text
    )
    for name in exercise.leaves_out:
        assert name in known
        assert not re.search(rf"\b(subject\.|def ){name}\b", checks + changed)


def test_numbers_that_differ_late_are_shown_whole() -> None:
    unmet = checking.Unmet(12345678900000.0, 12345678901234.0)
    assert (unmet.expected, unmet.seen) == ("12345678900000.0", "12345678901234.0")


def test_an_unknown_key_of_an_exercise_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "ci-cd" / "broken"
    folder.mkdir(parents=True)
    source = catalogue.exercise("long-haul-slice").folder / "exercise.toml"
    text = source.read_text(encoding="utf-8")
    for broken in (text.replace("minutes =", "minuets ="), "title = ", text.replace("30", "5000")):
        (folder / "exercise.toml").write_text(broken, encoding="utf-8")
        with pytest.raises((catalogue.ArtifactTampered, ValueError)):
            catalogue.read(folder)


def test_a_stale_edit_is_refused_by_its_words() -> None:
    exercise = catalogue.exercise("long-haul-slice")
    edit = catalogue.Edit(file="a.py", old="not there", new="")
    with pytest.raises(catalogue.ArtifactTampered, match=r"holds 'not there' 0 times"):
        edits.changed("x = 1\n", edit, exercise)
    with pytest.raises(catalogue.ArtifactTampered, match="no function gone"):
        edits.changed("x = 1\n", catalogue.Edit(file="a.py", blank=["gone"]), exercise)


@pytest.mark.parametrize("forms", [{}, {"old": "a"}, {"old": "a", "new": "b", "blank": ["c"]}])
def test_an_edit_has_exactly_one_form(forms: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="an edit of a"):
        catalogue.Edit.model_validate({"file": "a.py", **forms})


def test_code_replaces_functions_of_its_names_and_adds_others() -> None:
    exercise = catalogue.exercise("long-haul-slice")
    text = "import os\n\n\n@cache\ndef f():\n    return 1\n\n\ndef g():\n    return 2\n"
    code = "def f():\n    return 3\n\n\ndef h():\n    return 4\n"
    made = edits.changed(text, catalogue.Edit(file="a.py", code=code), exercise)
    assert list(edits.definitions(made)) == ["f", "g", "h"]
    assert "return 1" not in made
    assert "@cache" not in made
