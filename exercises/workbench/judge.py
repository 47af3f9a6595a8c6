"""Runs the checks of an exercise on a tree, and says of each whether it passed, and if not, why."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import yaml

from exercises.workbench.catalogue import Exercise
from exercises.workbench.checking import Raised, Unmet
from exercises.workbench.modules import load
from exercises.workbench.process import Ended, Subject
from exercises.workbench.sandbox import Limits
from exercises.workbench.verdict import Found, Verdict

MAX_ENDS = 3
"""After so many processes that had to be ended, the other checks are not run."""
Check = Callable[[Subject], None]


def judge(
    exercise: Exercise, tree: Path, limits: Limits | None = None, guard: bool = False
) -> Verdict:
    """Run every check of an exercise on a tree."""
    with Subject(tree, exercise.module, limits, guard) as subject:
        subject.warm()
        found = [_run(one, subject) for one in checks(exercise.checks)]
        return Verdict(exercise.slug, found, sorted(subject.tried))


@cache
def checks(path: Path) -> list[Check]:
    """The checks in a file, in its order.

    Raises:
        AssertionError: it has none, or a function of a check's name without a weight.
    """
    module = load(path)
    named = {k: v for k, v in vars(module).items() if k.startswith("test_")}
    lacking = [name for name, one in named.items() if not hasattr(one, "weight")]
    assert named, f"{path} has no checks"
    assert not lacking, f"{path}: {lacking} without @check(weight)"
    return list(named.values())


def _run(check: Check, subject: Subject) -> Found:
    name, weight = check.__name__, check.weight  # type: ignore[attr-defined]
    hidden = bool(check.hidden)  # type: ignore[attr-defined]

    def failed(expected: str, seen: str, why: str = "") -> Found:
        return Found(name, weight, False, hidden, expected, seen, why)

    if subject.never_loads:
        return failed("", "not run: the module does not load")
    if subject.ends >= MAX_ENDS:
        return failed("", f"not run: {MAX_ENDS} checks before had to be ended")
    try:
        check(subject)
    except Unmet as unmet:
        return failed(unmet.expected, unmet.seen, unmet.why or _first_line(check))
    except Raised as raised:
        return failed("", *_explain(raised))
    except Ended as ended:
        return failed("", str(ended))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return failed("", f"{subject.last_read} line {line} is no YAML: {error.problem}")
    except Exception as error:
        # The value has another shape than the check can read: a wrong solution. That checks work on
        # right and wrong ones is proven by exercises.prove.
        words = f"a value of another shape ({type(error).__name__}: {error})"
        return failed("", words, _first_line(check))
    return Found(name, weight, True, hidden)


def _first_line(check: Check) -> str:
    """The check's own words, which say what it is for."""
    return " ".join((check.__doc__ or "").split())


def _explain(raised: Raised) -> tuple[str, str]:
    """What a solution raised, and where: its own line, never a traceback of the checker."""
    file, line, text = raised.place
    where = f"{file}:{line}: {text}" if file else ""
    if raised.kinds[0] == "NotImplementedError":
        return raised.words or "not written yet", where
    if "SyntaxError" in raised.kinds and not file:
        return f"a file is no Python: {raised.words}", ""
    if "SyntaxError" in raised.kinds:
        return f"{file} line {line} is no Python: {raised.words.partition(' (')[0]}", text
    return f"{raised.kinds[0]}: {raised.words}", where
