"""The report of an explained prediction, for a terminal and as a page."""

from typing import TYPE_CHECKING

from pipeline.shared.pages import render
from pipeline.usecase.chosen import USECASE

if TYPE_CHECKING:
    from pipeline.monitor.explain import Explanation, Feature

_HEAD = ["feature", "value", "logged", "counts", "view", "known at", "age", "from"]
_COUNTS = 0.00005
"""The smallest effect on the risk that is not shown as zero."""
_NUMBERS = {"value", "logged", "counts", "age"}


def text(result: "Explanation") -> str:
    """Format for a terminal: the outline, the features that count, one line for the rest.

    A feature whose logged value differs always has its line.
    """
    lines = [f"{name:<10} {value}" for name, value in outline(result)]
    features = [one for one in result.features if one.why or abs(one.counts) >= _COUNTS]
    rows = [_HEAD[:-1], *([*cells(feature)[:-1]] for feature in features)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, feature in zip(rows, [None, *features], strict=True):
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"{'! ' if feature and feature.why else '  '}{'  '.join(padded)}".rstrip())
    rest = len(result.features) - len(features)
    also = f"and {rest} more features, each of which changes the risk by less than {_COUNTS:g}; "
    return "\n".join([*lines, f"  {also * bool(rest)}the page has every feature with its events"])


def explanation_report(result: "Explanation") -> str:
    """Render as one self-contained HTML page."""
    return render(
        "monitor/templates/explanation_report.html",
        explanation=result,
        outline=outline(result),
        head=_HEAD,
        features=[(one, dict(zip(_HEAD, cells(one), strict=True))) for one in result.features],
        numbers=_NUMBERS,
    )


def outline(result: "Explanation") -> list[tuple[str, str]]:
    """The lines before the features, as pairs of name and value."""
    logged = "not logged" if result.logged_risk is None else f"logged {result.logged_risk:.6f}"
    inputs = ", ".join(f"{n} {_number(v)}" for n, v in result.inputs.items())
    return [
        ("request", f"{result.request_id or 'not served; as it would be'}, row {result.row}"),
        (USECASE.words.event, f"{result.name}, predicted at {result.predict_at}"),
        ("inputs", inputs),
        ("risk", f"{result.risk:.6f} computed again, {logged}"),
        ("served", result.served),
        ("ledger", result.ledger),
        ("label", result.label),
        ("compared", "; ".join(result.differs) or "every value is what was known at T"),
    ]


def cells(feature: "Feature", events: int = 3) -> list[str]:
    """A feature's text for each column, with so many of its source events."""
    behind, from_ = feature.behind, ""
    if behind is not None:
        last = [f"{s.of} {_values_text(s.told)} at {s.known_at}" for s in behind.last[:events]]
        from_ = f"{behind.events} of {behind.entity} in {behind.window}: {'; '.join(last)}"
    return [
        feature.name,
        _number(feature.value),
        _number(feature.logged),
        f"{feature.counts:+.4f}",
        feature.view,
        feature.known_at or "-",
        "-" if feature.age_minutes is None else f"{feature.age_minutes} min",
        from_,
    ]


def _values_text(values: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in values.items())


def _number(value: str | float | None) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:g}"
