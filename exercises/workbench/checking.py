"""How checks are written: `check` gives a function its weight, `expect` compares and explains.

A check asks the solution through its argument `subject`, and says what it expects and what known
wrong turns give. It also runs under pytest, where the solution is called in the same process.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

ROOT = next(one for one in Path(__file__).resolve().parents if (one / "pipeline").is_dir())
"""The folder with the configs that checks read: main, or a handout."""
Function = TypeVar("Function", bound=Callable[..., None])
Turns = Sequence[tuple[Any, str]]
"""What a known wrong turn gives, and why it is wrong."""


class Unmet(AssertionError):
    """An expectation that was not met: what was expected, what was seen, and why, if known."""

    def __init__(self, expected: Any, seen: Any, why: str = "") -> None:
        """`why` explains a known wrong turn."""
        self.expected, self.seen, self.why = shorten(expected), shorten(seen), why
        if self.expected == self.seen:  # they differ beyond the sixth digit
            self.expected, self.seen = (shorten(Words(repr(v))) for v in (expected, seen))
        super().__init__(f"expected {self.expected}, seen {self.seen}{f': {why}' if why else ''}")


def check(weight: int, hidden: bool = False) -> Callable[[Function], Function]:
    """Make a function a check of so many points; a `hidden` one is in no handout."""

    def mark(function: Function) -> Function:
        function.weight, function.hidden = weight, hidden  # type: ignore[attr-defined]
        return function

    return mark


def expect(
    seen: Any, expected: Any, turns: Turns = (), why: str = "", tolerance: float = 1e-9
) -> None:
    """Compare what was seen with what is expected; numbers may differ by `tolerance`.

    Raises:
        Unmet: they differ; with the reason of the known wrong turn, or else `why`.
    """
    __tracebackhide__ = True  # pytest shows the check and not this
    if alike(seen, expected, tolerance):
        return
    known = [reason for value, reason in turns if alike(seen, value, tolerance)]
    raise Unmet(expected, seen, known[0] if known else why)


def holds(condition: bool, expected: str, seen: Any, why: str = "") -> None:
    """Require a condition, said in words.

    Raises:
        Unmet: it does not hold.
    """
    __tracebackhide__ = True  # pytest shows the check and not this
    if not condition:
        raise Unmet(Words(expected), seen, why)


class Words(str):
    """A text that is shown as it is, without quotes."""

    __slots__ = ()


def alike(seen: Any, expected: Any, tolerance: float = 1e-9) -> bool:
    """Whether two values are the same: numbers within a relative tolerance, NaN like NaN."""
    seen, expected = _plain(seen), _plain(expected)
    if isinstance(seen, bool) or isinstance(expected, bool):
        return type(seen) is type(expected) and seen == expected
    if isinstance(seen, int | float) and isinstance(expected, int | float):
        if math.isnan(seen) or math.isnan(expected):
            return math.isnan(seen) and math.isnan(expected)
        return math.isclose(seen, expected, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(seen, list) and isinstance(expected, list):
        pairs = zip(seen, expected, strict=False)
        return len(seen) == len(expected) and all(alike(*pair, tolerance) for pair in pairs)
    if isinstance(seen, dict) and isinstance(expected, dict):
        same = seen.keys() == expected.keys()
        return same and all(alike(seen[k], expected[k], tolerance) for k in expected)
    return type(seen) is type(expected) and bool(seen == expected)


def _plain(value: Any) -> Any:
    """Arrays, tuples and columns as lists, a table as its columns, an instant as text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return dict(value)
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return {str(name): value[name].tolist() for name in value.columns}
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if type(value).__name__ in ("Timestamp", "datetime", "date", "NaTType", "Timedelta"):
        return str(value)
    return value


def shorten(value: Any, most: int = 300) -> str:
    """A value as one line for a verdict, numbers to six digits."""
    text = value if isinstance(value, Words) else repr(_rounded(value))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _rounded(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return value


class Raised(Exception):
    """What a solution raised: its class, those above it, its words, and its last line there."""

    def __init__(self, kinds: list[str], words: str, place: tuple[str, int, str]) -> None:
        """`place` is file, line number and text; the file is empty if it was raised elsewhere."""
        super().__init__(f"{kinds[0]}: {words}")
        self.kinds, self.words, self.place = kinds, words, place


def raised(call: Callable[[], Any], kind: str) -> str:
    """The words of the refusal that a call raises.

    Raises:
        Unmet: it returns, or raises another kind.
    """
    __tracebackhide__ = True  # pytest shows the check and not this
    try:
        value = call()
    except Raised as error:
        if kind in error.kinds:
            return error.words
        raise Unmet(Words(f"{kind} is raised"), Words(f"{error}")) from error
    except Exception as error:
        if kind in [one.__name__ for one in type(error).__mro__]:
            return str(error)
        raise Unmet(
            Words(f"{kind} is raised"), Words(f"{type(error).__name__}: {error}")
        ) from error
    raise Unmet(Words(f"{kind} is raised"), value)
