"""The parts of a grade that are not checks: the code, the submission's own tests, its notes."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from exercises.workbench import edits, trees
from exercises.workbench.catalogue import Exercise
from exercises.workbench.checking import Raised
from exercises.workbench.process import Ended, Subject
from exercises.workbench.rubric import Code, rubric
from exercises.workbench.sandbox import Limits
from exercises.workbench.submission import Submission, notes
from pipeline.shared.errors import EnvironmentUnfit

TOOL_SECONDS = 120
WORKERS = 2
_HEADINGS = ("What I did, and why", "What I checked, and how", "What I left out")
_IGNORE = re.compile(r"#\s*type:\s*ignore\b")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Part:
    """A part of a grade: a share from 0 to 1 of its weight, and what was found."""

    share: float
    findings: list[str]


def code(submission: Submission, original: Path) -> Part:
    """Ruff, types and the length of functions, in the files that the submission changed or added.

    What the original has already counts for nobody; `noqa` and `type: ignore` hide nothing.
    """
    names, rule = submission.own_code(), rubric().code
    if not names:
        return Part(0.0, ["no Python file was changed"])
    if broken := [n for n in names if _parsed(submission.tree / n) is None]:
        return Part(0.0, [f"{name} is no Python" for name in broken])
    found = Counter(_findings(submission.tree, names))
    found -= Counter(_findings(original, [n for n in names if (original / n).is_file()]))
    long = [text for n in names for text in _long_functions(submission.tree / n, n, rule)]
    lost = rule.long_function * len(long) + sum(
        getattr(rule, kind) * many for (kind, _), many in found.items()
    )
    texts = [f"{text}{f' ({many} times)' if many > 1 else ''}" for (_, text), many in found.items()]
    weight = rubric().weights["code"]
    return Part(max(0.0, 1 - lost / weight), [*sorted(texts), *long])


def _findings(tree: Path, names: list[str]) -> list[tuple[str, str]]:
    """What the tools find, each as its kind and its words, without line numbers."""
    if not names:
        return []
    lint = _tool(tree, "ruff", "check", "--ignore-noqa", "--output-format=json", "--quiet", *names)
    found = []
    for one in _json(lint):
        name = Path(one["filename"]).resolve().relative_to(tree.resolve()).as_posix()
        found.append(("lint", f"{name}: {one['code']} {one['message']}"))
    form = _tool(tree, "ruff", "format", "--check", *names)
    found += [("format", line) for line in form.splitlines() if line.startswith("Would reformat")]
    return found + _type_findings(tree, names)


def _type_findings(tree: Path, names: list[str]) -> list[tuple[str, str]]:
    """What mypy finds in these files, by the restored settings, and without their ignores."""
    typed, found = tree.with_name(f"{tree.name}-typed"), []
    shutil.copytree(tree, typed, dirs_exist_ok=True)
    for path in (typed / name for name in names):
        text = path.read_text(encoding="utf-8")
        path.write_text(_IGNORE.sub("#", text), encoding="utf-8")
    types = _tool(
        typed,
        "mypy",
        "--no-error-summary",
        "--cache-dir",
        str(tree.parent / "types"),
        "--no-color-output",
        "--hide-error-context",
        *names,
    )
    for line in types.splitlines():
        match = re.match(r"([^:\n]+):\d+: error: ([^\n]+)", line)
        if match and match[1] in names:
            found.append(("types", f"{match[1]}: {match[2]}"))
    return found


def _json(text: str) -> list[dict[str, str]]:
    try:
        return list(json.loads(text))
    except ValueError:
        return []


def _tool(tree: Path, program: str, *arguments: str) -> str:
    """What a tool says of a tree; its settings are the restored pyproject.toml there."""
    # As a module, since an environment's script may need a shell; isolated, since the tree may
    # hold a module of the tool's name.
    command = [sys.executable, "-I", "-m", program, *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            check=False,
            env={"PATH": "", "HOME": str(tree.parent)},
        )
    except subprocess.TimeoutExpired:
        return f"{arguments[-1]}:1: error: {program} did not end within {TOOL_SECONDS} s"
    if done.returncode not in (0, 1, 2):  # 2: it could not read the files, and says so
        raise EnvironmentUnfit(f"{program} ended with {done.returncode}: {done.stderr[-200:]}")
    return done.stdout


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _long_functions(path: Path, name: str, rule: Code) -> list[str]:
    tree = _parsed(path)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)] if tree else []
    lengths = {one.name: (one.end_lineno or 0) - one.lineno + 1 for one in functions}
    most = rule.max_function_lines
    return [f"{name}: {f} has {n} lines, at most {most}" for f, n in lengths.items() if n > most]


def own_tests(exercise: Exercise, submission: Submission, base: Path, folder: Path) -> Part:
    """The submission's own tests: they pass on its solution, and fail on planted wrong ones.

    A test that fails on another right solution decides what the brief leaves open. It is set aside
    and costs its share of the tests; the others are judged.
    """
    names = [n for n in submission.own_tests() if not _copied(submission.tree, n)]
    if not names:
        return Part(0.0, ["no tests of its own: tests/test_*.py"])
    if not (mine := _pytest(submission.tree, names, exercise)).passed:
        return Part(0.0, [f"its own tests on its own solution: {mine.said}"])
    right = _with_tests(exercise, "solution", base, folder / "right", submission, names)
    other = _pytest(right, names, exercise)
    if not other.failed and not other.passed:
        return Part(0.0, [f"its own tests on another right solution: {other.said}"])
    kept = 1 - len(other.failed) / mine.ran
    aside = [f"set aside, it fails on another right solution: {name}" for name in other.failed]
    caught = _caught(exercise, submission, base, folder, names, other.failed) if kept > 0 else set()
    missed = [
        f"passes on a wrong solution: {one.why}" for one in exercise.wrong if one.name not in caught
    ]
    words = f"{len(caught)} of {len(exercise.wrong)} wrong solutions are caught"
    return Part(kept * len(caught) / len(exercise.wrong), [words, *aside[:5], *missed])


def _caught(
    exercise: Exercise,
    submission: Submission,
    base: Path,
    folder: Path,
    names: list[str],
    without: list[str],
) -> set[str]:
    """The planted wrong solutions on which a test fails that is not set aside."""
    states = [one.name for one in exercise.wrong]
    made = [
        _with_tests(exercise, state, base, folder / str(number), submission, names)
        for number, state in enumerate(states)
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        ended = list(pool.map(lambda tree: _pytest(tree, names, exercise, without), made))
    return {state for state, end in zip(states, ended, strict=True) if end.failed}


def _copied(tree: Path, name: str) -> bool:
    """Whether a test file holds a test of the handout: that is no test of its own."""
    given = {
        body
        for path in (tree / "tests").glob("test_*.py")
        if path.name != Path(name).name
        for body in _bodies(path)
    }
    return bool(_bodies(tree / name) & given)


def _bodies(path: Path) -> set[str]:
    tree = _parsed(path)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)] if tree else []
    tests = [one for one in functions if one.name.startswith("test_")]
    return {
        ast.dump(ast.Module(one.body[ast.get_docstring(one) is not None :], [])) for one in tests
    }


def _with_tests(
    exercise: Exercise, state: str, base: Path, tree: Path, submission: Submission, names: list[str]
) -> Path:
    """The handout's tree in another state, with the submission's tests."""
    trees.link(base, tree)
    edits.apply(exercise.solution, tree, exercise)
    for one in exercise.wrong:
        if one.name == state:
            edits.apply(one.edits, tree, exercise)
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(submission.tree / name, tree / name)
    return tree


def run_pytest(names, without):  # type: ignore[no-untyped-def]
    """Run test files beside the solution; pytest's exit code, and which tests ran and failed."""
    import pytest

    class Reports:
        def __init__(self):  # type: ignore[no-untyped-def]
            self.ran, self.failed = set(), set()

        def pytest_runtest_logreport(self, report):  # type: ignore[no-untyped-def]
            self.ran.add(report.nodeid)
            if report.failed:
                self.failed.add(report.nodeid)

    deselected = [f"--deselect={name}" for name in without]
    told = Reports()
    code = pytest.main(["-q", "-p", "no:cacheprovider", *deselected, *names], plugins=[told])
    return {"code": int(code), "ran": len(told.ran), "failed": sorted(told.failed)}


@dataclass(frozen=True)
class _End:
    """How test files ended on a tree: `said` is "passed", "failed", or why they did not end."""

    said: str
    ran: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.said == "passed" and self.ran > 0


def _pytest(tree: Path, names: list[str], exercise: Exercise, without: Sequence[str] = ()) -> _End:
    """How test files ended on a tree, without the tests that are set aside."""
    with Subject(tree, exercise.module, Limits(seconds=60.0), guard=True) as subject:
        try:
            found = subject.do(run_pytest, names, list(without))
        except Raised as raised:
            return _End(f"raised {raised}")
        except Ended as ended:
            return _End(str(ended))
    code = found["code"]
    said = {0: "passed", 1: "failed"}.get(code, f"pytest ended with {code}")
    return _End(said, found["ran"], found["failed"] if code == 1 else [])


def explanation(exercise: Exercise, submission: Submission) -> Part:
    """The notes: three headings with something below, of a length that is read, about this code.

    A machine sees no more; a person reads them and may change the points.
    """
    text, rule = notes(submission.tree), rubric().explanation
    words = len(_WORD.findall(re.sub(r"(?m)^#[^\n]*$", "", text)))
    below = {h: _section(text, h) for h in _HEADINGS}
    findings = [f"nothing below '{h}'" for h, found in below.items() if len(found) < 20]
    if not rule.min_words <= words <= rule.max_words:
        findings.append(f"{words} words, wanted are {rule.min_words} to {rule.max_words}")
    stems = _stems(exercise)
    if not any(stem in text for stem in stems):
        findings.append(f"names neither {' nor '.join(sorted(stems)[:3])}")
    return Part(max(0.0, 1 - len(findings) / 5) if words else 0.0, findings)


def _section(text: str, heading: str) -> str:
    """What stands below a heading that begins so."""
    _, _, after = text.partition(f"## {heading}")
    return after.partition("\n")[2].partition("\n## ")[0].strip()


def _stems(exercise: Exercise) -> set[str]:
    """The words of which notes about this exercise have one: its files, and blanked functions."""
    if exercise.kind == "decide":  # main's files are not in its handout, the evidence is
        return {Path(edit.file).stem for edit in exercise.start} - {"answers"}
    blanked = {name for edit in exercise.start for name in edit.blank}
    return {Path(name).stem for name in exercise.files} | blanked
