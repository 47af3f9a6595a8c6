"""Starting, checking, resetting and going on, in a repository of its own; nothing is lost."""

import errno
import shutil
import subprocess
import sys
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from exercises import __main__ as door
from exercises.workbench import catalogue, commands, exam, interview, progress, worktree
from exercises.workbench.checking import ROOT
from exercises.workbench.progress import Entry
from pipeline.shared import git
from pipeline.shared.errors import ArtifactTampered, EnvironmentUnfit, StorageFailed
from pipeline.shared.watcher import hold

TODAY = date(2026, 3, 2)
SLUG = "first-step"
FILE = "pipeline/shared/contracts.py"
EXERCISE = catalogue.exercise(SLUG)
RIGHT = '    return float(f"{value:.{_SIGNIFICANT}g}")\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the files of two exercises, in place of this one."""
    folder = tmp_path / "home"
    names = git.run(ROOT, "ls-files", "-z", "pipeline", "configs", "exercises").decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / ".gitignore").write_text("/state/\n", encoding="utf-8")
    git.own(folder, "init", "--quiet")
    git.own(folder, "add", "--all")
    git.own(folder, "commit", "--quiet", "-m", "main")
    for module in (worktree, commands, catalogue):
        monkeypatch.setattr(module, "ROOT", folder)
    for module in (worktree, progress):
        monkeypatch.setattr(module, "STATE", folder / "state/exercises")
    monkeypatch.setattr(progress.load, "__defaults__", (folder / "state/exercises",))
    monkeypatch.setattr(progress.save, "__defaults__", (folder / "state/exercises",))
    return folder


def _say(function, *arguments, **options) -> str:
    said = StringIO()
    function(*arguments, Console(file=said, width=200), **options)
    return said.getvalue()


def _begin(**options: object) -> str:
    said = StringIO()
    commands.begin(SLUG, Console(file=said, width=200), TODAY, **options)
    return said.getvalue()


def _submit(today: date = TODAY) -> tuple[bool, str]:
    said = StringIO()
    passed = commands.submit(SLUG, Console(file=said, width=200), today)
    return passed, said.getvalue()


def _file(home: Path) -> Path:
    return home / "state/exercises" / SLUG / FILE


def _solve(home: Path) -> None:
    text = _file(home).read_text(encoding="utf-8")
    wrong = f"    # {RIGHT.strip()}\n    return value\n"
    assert wrong in text
    _file(home).write_text(text.replace(wrong, RIGHT), encoding="utf-8")


def test_an_exercise_from_its_start_to_its_pass(home: Path) -> None:
    said = _begin()
    assert "Situation" in said
    assert "Talk about afterwards" in said
    assert f"state/exercises/{SLUG}/{FILE}" in said
    assert git.run(home, "status", "--porcelain") == b""  # main stays clean
    passed, said = _submit()
    assert not passed
    assert "expected  '0.3'" in said
    assert "the digits of one processor are still there" in said
    _solve(home)
    passed, said = _submit()
    assert passed
    assert f"{SLUG}: 6 of 6 points, passed" in said
    assert "due again on 2026-03-05" in said
    assert "next: make exercise E=nan-never-passes" in said
    assert git.run(home, "status", "--porcelain") == b""


def test_the_diff_of_a_worktree_is_a_persons_own_work(home: Path) -> None:
    _begin()
    _solve(home)
    diff = git.run(home / "state/exercises" / SLUG, "diff").decode()
    assert [line for line in diff.splitlines() if line.startswith("+ ")] == [f"+{RIGHT.rstrip()}"]


def test_a_half_done_one_that_is_started_again_is_as_it_was(home: Path) -> None:
    _begin()
    _solve(home)
    before = _file(home).read_bytes()
    said = _begin()
    assert "was started on 2026-03-02 (started); it is as you left it" in said
    assert _file(home).read_bytes() == before


def test_two_at_once_do_not_touch_each_other(home: Path) -> None:
    _begin()
    commands.begin("hash-chain", Console(file=StringIO()), TODAY)
    _solve(home)
    assert _submit()[0]
    other = StringIO()
    assert not commands.submit("hash-chain", Console(file=other, width=200), TODAY)
    assert "not written yet" in other.getvalue()
    assert set(progress.load().exercises) == {SLUG, "hash-chain"}


def test_two_commands_at_once_on_one_exercise_wait_for_each_other(home: Path) -> None:
    with (
        hold(home / f"state/exercises/{SLUG}.lock"),
        pytest.raises(worktree.WorktreeRefused, match="another command works on first-step"),
    ):
        _begin()


def test_reset_begins_anew_and_keeps_what_was_written(home: Path) -> None:
    _begin()
    _solve(home)
    (_file(home).parent / "mine.py").write_text("x = 1\n", encoding="utf-8")
    said = StringIO()
    commands.reset(SLUG, Console(file=said, width=200), TODAY)
    (patch,) = (home / "state/exercises/kept").glob("*.patch")
    assert patch.name in said.getvalue()
    assert "mine.py" in patch.read_text(encoding="utf-8")
    assert RIGHT not in _file(home).read_text(encoding="utf-8").replace("# " + RIGHT.strip(), "")
    folder = home / "state/exercises" / SLUG
    git.run(folder, "apply", str(patch))
    assert _submit()[0]  # what was kept is whole


def test_work_that_is_not_utf_8_is_kept_as_it_is(home: Path) -> None:
    _begin()
    (_file(home).parent / "mine.py").write_bytes(b'x = "\xe9"\n')
    commands.reset(SLUG, Console(file=StringIO()), TODAY)
    (patch,) = (home / "state/exercises/kept").glob("*.patch")
    git.run(home / "state/exercises" / SLUG, "apply", str(patch))
    assert (_file(home).parent / "mine.py").read_bytes() == b'x = "\xe9"\n'


def test_a_folder_that_git_has_lost_is_moved_aside(home: Path) -> None:
    _begin()
    _solve(home)
    folder = home / "state/exercises" / SLUG
    (folder / ".git").unlink()
    with pytest.raises(worktree.WorktreeRefused, match="is no worktree of git any more"):
        _submit()
    said = _begin()
    assert f"are kept in state/exercises/kept/{SLUG}-1" in said
    assert RIGHT in (home / f"state/exercises/kept/{SLUG}-1" / FILE).read_text(encoding="utf-8")


def test_what_two_commands_note_at_once_is_kept_of_both(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin()
    commands.begin("hash-chain", Console(file=StringIO()), TODAY)
    judged = commands.judge.judge

    def meanwhile(*arguments: object) -> object:
        _say(commands.hint, "hash-chain")
        return judged(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(commands.judge, "judge", meanwhile)
    _submit()
    known = progress.load().exercises
    assert (known[SLUG].most, known["hash-chain"].hints) == (6, 1)


def test_reset_of_an_untouched_one_keeps_nothing(home: Path) -> None:
    _begin()
    commands.reset(SLUG, Console(file=StringIO()), TODAY)
    assert not (home / "state/exercises/kept").exists()


def test_a_deleted_worktree_is_said_and_begun_anew(home: Path) -> None:
    _begin()
    _solve(home)
    assert _submit()[0]
    shutil.rmtree(home / "state/exercises" / SLUG)
    with pytest.raises(worktree.WorktreeRefused, match=r"is gone.*make exercise E=first-step"):
        _submit()
    assert "was gone: it begins anew" in _begin()
    assert progress.load().exercises[SLUG].passes == 1  # what was passed stays passed


def test_a_broken_file_is_said_by_its_line(home: Path) -> None:
    _begin()
    text = _file(home).read_text(encoding="utf-8")
    _file(home).write_text(f"{text}x = = 1\n", encoding="utf-8")
    passed, said = _submit()
    assert not passed
    assert f"{FILE} line {len(text.splitlines()) + 1} is no Python" in said
    assert "x = = 1" in said
    assert "Traceback" not in said


def test_a_repository_that_was_moved_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _begin()
    _solve(home)
    moved = home.rename(home.with_name("moved"))
    for module in (worktree, commands):
        monkeypatch.setattr(module, "ROOT", moved)
    for module in (worktree, progress):
        monkeypatch.setattr(module, "STATE", moved / "state/exercises")
    monkeypatch.setattr(progress.load, "__defaults__", (moved / "state/exercises",))
    monkeypatch.setattr(progress.save, "__defaults__", (moved / "state/exercises",))
    assert _submit()[0]


def test_without_git_the_remedy_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home / "nowhere"))
    with pytest.raises(EnvironmentUnfit, match="there is no git on the PATH"):
        _begin()
    assert progress.load().exercises == {}


def test_without_git_nothing_is_moved_or_begun_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin()
    _solve(home)
    before = _file(home).read_bytes()
    monkeypatch.setenv("PATH", str(home / "nowhere"))
    for command in (_begin, _submit, lambda: _say(commands.hint, SLUG)):
        with pytest.raises(EnvironmentUnfit, match="there is no git on the PATH"):
            command()
    assert _file(home).read_bytes() == before


def test_a_disk_that_git_finds_full_is_said_in_a_line(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path, *arguments: str) -> bytes:
        if "add" in arguments:
            raise EnvironmentUnfit(f"git says: {'error: unable to write file ' * 100}")
        return real(folder, *arguments)

    real = git.run
    monkeypatch.setattr(worktree.git, "run", run)
    monkeypatch.setattr(worktree, "FULL_BYTES", 2**62)
    with pytest.raises(StorageFailed, match="No space left") as refusal:
        _begin()
    assert len(str(refusal.value)) < 400


def test_a_full_disk_leaves_nothing_half_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worktree.edits, "apply", full)
    with pytest.raises(StorageFailed, match="No space left"):
        _begin()
    assert not (home / "state/exercises" / SLUG).exists()
    assert progress.load().exercises == {}
    assert b"first-step" not in git.run(home, "worktree", "list")


def test_a_full_disk_loses_no_progress(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _begin()
    before = (home / "state/exercises/progress.json").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageFailed):
        progress.save(progress.load())
    assert (home / "state/exercises/progress.json").read_bytes() == before


def test_main_that_is_changed_and_not_committed_is_said(home: Path) -> None:
    with (home / FILE).open("a", encoding="utf-8") as stream:
        stream.write("# mine\n")
    said = _begin()
    assert f"main has uncommitted changes in {FILE}" in said
    assert "# mine" not in _file(home).read_text(encoding="utf-8")
    assert (home / FILE).read_text(encoding="utf-8").endswith("# mine\n")


def _update_main(home: Path, old: str, new: str) -> None:
    text = (home / FILE).read_text(encoding="utf-8")
    assert old in text
    (home / FILE).write_text(text.replace(old, new, 1), encoding="utf-8")
    git.own(home, "commit", "--quiet", "--all", "-m", "update")


def test_progress_survives_an_update_and_the_change_is_said(home: Path) -> None:
    _begin()
    _solve(home)
    assert _submit()[0]
    _update_main(home, "class Check(Record):", "class Check(Record):  # newer")
    passed, said = _submit()
    assert passed
    assert "its code changed in main" in said
    assert "REBASE=1" in said
    assert "make reset E=first-step" in said


def test_work_is_brought_onto_a_newer_main(home: Path) -> None:
    _begin()
    _solve(home)
    _update_main(home, "class Check(Record):", "class Check(Record):  # newer")
    said = _begin(rebase=True)
    assert "your work is on main's" in said
    text = _file(home).read_text(encoding="utf-8")
    assert "# newer" in text
    assert RIGHT in text
    passed, said = _submit()
    assert passed
    assert "changed in main" not in said


def test_work_that_does_not_fit_a_newer_main_is_left_as_it_was(home: Path) -> None:
    _begin()
    text = _file(home).read_text(encoding="utf-8")
    mine = text.replace("class Check(Record):", "class Check(Record):  # mine")
    _file(home).write_text(mine, encoding="utf-8")
    _update_main(home, "class Check(Record):", "class Check(Record):  # theirs")
    with pytest.raises(worktree.WorktreeRefused, match=r"does not fit main.*nothing was changed"):
        _begin(rebase=True)
    assert _file(home).read_text(encoding="utf-8") == mine
    folder = home / "state/exercises" / SLUG
    assert git.run(folder, "diff", "--name-only").decode().split() == [FILE]


def test_a_main_in_which_the_exercise_is_stale_starts_nothing(home: Path) -> None:
    _update_main(home, RIGHT, "    return round(value, 9)\n")
    with pytest.raises(ArtifactTampered, match="exercise first-step is older than main"):
        _begin()
    assert not (home / "state/exercises" / SLUG).exists()


def test_an_exercise_that_is_not_started_says_how(home: Path) -> None:
    for command in (_submit, lambda: _say(commands.hint, SLUG)):
        with pytest.raises(worktree.WorktreeRefused, match="E=first-step` starts it"):
            command()


# Hints, solutions, and what is due.


def test_hints_come_one_at_a_time_and_the_fourth_is_the_solution(home: Path) -> None:
    _begin()
    seen = [_say(commands.hint, SLUG) for _ in range(4)]
    for number, text in enumerate(seen[:3], start=1):
        assert f"hint {number} of 4" in text
        assert f"hint {number + 1} of 4" not in text
    assert f"+{RIGHT.rstrip()}" in seen[3]
    assert progress.load().exercises[SLUG].solution_seen


def test_the_solution_asks_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))  # no terminal: nobody was asked
    with pytest.raises(commands.NotConfirmed, match=r"make hint E=first-step"):
        _say(commands.solution, SLUG, yes=False)
    assert f"+{RIGHT.rstrip()}" in _say(commands.solution, SLUG, yes=True)


def _entry() -> Entry:
    return Entry(commit="a", start="b", fingerprint="c", started_on=TODAY)


def test_what_is_passed_is_due_again_after_longer_each_time() -> None:
    entry, day, gaps = _entry(), TODAY, []
    for _ in range(6):
        progress.record(entry, 6, 6, True, day)
        assert entry.due_on is not None
        gaps.append((entry.due_on - day).days)
        day = entry.due_on
    assert gaps == [3, 10, 30, 90, 90, 90]


def test_a_pass_twice_a_day_counts_once_and_a_seen_solution_is_due_soon() -> None:
    entry = _entry()
    progress.record(entry, 6, 6, True, TODAY)
    progress.record(entry, 6, 6, True, TODAY)
    assert entry.passes == 1
    seen = _entry()
    seen.solution_seen = True
    progress.record(seen, 6, 6, True, TODAY)
    assert (seen.passes, seen.due_on) == (0, TODAY + timedelta(days=3))


def test_the_state_of_an_exercise_is_that_of_its_entry() -> None:
    entry = _entry()
    states = [progress.state_of(None, TODAY), progress.state_of(entry, TODAY)]
    progress.record(entry, 2, 6, False, TODAY)
    states.append(progress.state_of(entry, TODAY))
    progress.record(entry, 6, 6, True, TODAY)
    states += [progress.state_of(entry, TODAY), progress.state_of(entry, TODAY + timedelta(days=3))]
    assert states == ["new", "started", "2 of 6", "passed", "due"]


def test_a_broken_progress_file_is_said_and_not_overwritten(home: Path) -> None:
    _begin()
    path = home / "state/exercises/progress.json"
    for broken in ("{", '{"exercises": {"first-step": {}}}'):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(Exception, match=r"progress.json"):
            _submit()
        assert path.read_text(encoding="utf-8") == broken


def test_the_list_shows_every_exercise_with_its_state(home: Path) -> None:
    _begin()
    said = StringIO()
    commands.listing(Console(file=said, width=200), TODAY)
    assert [one.slug for one in catalogue.exercises() if one.slug not in said.getvalue()] == []
    assert "started" in said.getvalue()


# The exam and the interviewer's page.


def test_an_exam_fits_its_time_and_is_drawn_again_by_its_seed() -> None:
    for minutes in (45, 120):
        drawn = exam.draw(minutes, "", 7)
        assert 0 < sum(one.minutes for one in drawn) <= minutes
        assert [one.slug for one in exam.draw(minutes, "", 7)] == [one.slug for one in drawn]
    assert len({one.topic for one in exam.draw(120, "", 3)}) >= 3
    assert {one.topic for one in exam.draw(120, "drift", 3)} == {"drift"}
    assert len({tuple(one.slug for one in exam.draw(120, "", seed)) for seed in range(5)}) > 1
    with pytest.raises(exam.ExamRefused, match="is no topic, one is needed of"):
        exam.draw(45, "weather", 1)


def test_an_exam_counts_down_scores_and_says_what_to_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import datetime

    monkeypatch.setattr(exam, "PATH", home / "state/exercises/exam.json")
    monkeypatch.setattr(exam.load, "__defaults__", (home / "state/exercises/exam.json",))
    chosen = [EXERCISE, catalogue.exercise("read-two-releases")]
    monkeypatch.setattr(exam, "draw", lambda *_: chosen)
    began = datetime(2026, 3, 2, 9, 0)
    said = StringIO()
    console = Console(file=said, width=200)
    exam.begin(45, "", 1, began, console)
    assert "45 of 45 minutes left" in said.getvalue()
    exam.begin(45, "", 1, began + timedelta(minutes=30, seconds=30), console)
    assert "14 of 45 minutes left" in said.getvalue()
    _solve(home)
    exam.end(began + timedelta(minutes=50), console)
    text = said.getvalue()
    assert "exam: 6 of 16 points, not passed (from 66% on), 5 minutes late" in text
    assert "read: make answer Q=release" in text
    assert "read: make answer Q=three-artefacts" not in text
    with pytest.raises(exam.ExamRefused, match="no exam runs"):
        exam.end(began, console)


def test_the_interviewers_page_has_what_an_interviewer_needs() -> None:
    text = interview.page(catalogue.exercise("labels-twice"))
    for words in ("drop_duplicates()", "Hints to give", "Wrong turns", "What does exactly-once"):
        assert words in text
    assert text.count("<li>") >= 3 + 4 + 3


# The command line.


def _main(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "exercises", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout + done.stderr


def test_an_unknown_exercise_is_said_with_the_nearest_names() -> None:
    code, said = _main("submit", "labels-twise")
    assert code == 2
    assert "'labels-twise' is none of the" in said
    assert "did you mean labels-twice" in said


@pytest.mark.parametrize("verb", door.ONE)
def test_a_verb_without_an_exercise_says_how_to_name_one(verb: str) -> None:
    assert door.main([verb]) == 2


def test_a_handout_and_a_grade_ask_for_their_folder() -> None:
    assert door.main(["handout", SLUG]) == 2
    assert door.main(["grade", SLUG]) == 2
