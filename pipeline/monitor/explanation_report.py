"""An explained prediction as people read it: in a terminal, and as a page."""

from typing import TYPE_CHECKING

from pipeline.shared.pages import render

if TYPE_CHECKING:
    from pipeline.monitor.explain import Explanation, Feature

_HEAD = ["feature", "value", "logged", "counts", "view", "known at", "age", "from"]
_NUMBERS = {"value", "logged", "counts", "age"}


def text(told: "Explanation") -> str:
    """For a terminal: the outline, then a line a feature, those that count for most first."""
    lines = [f"{name:<10} {value}" for name, value in outline(told)]
    rows = [_HEAD[:-1], *([*cells(feature)[:-1]] for feature in told.features)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, feature in zip(rows, [None, *told.features], strict=True):
        from_ = cells(feature, 1)[-1] if feature else _HEAD[-1]
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"{'! ' if feature and feature.why else '  '}{'  '.join(padded)}  {from_}")
    return "\n".join(lines)


def explanation_report(told: "Explanation") -> str:
    """For a browser: one file that needs nothing else."""
    return render(
        "monitor/templates/explanation_report.html",
        told=told,
        outline=outline(told),
        head=_HEAD,
        features=[(one, dict(zip(_HEAD, cells(one), strict=True))) for one in told.features],
        numbers=_NUMBERS,
    )


def outline(told: "Explanation") -> list[tuple[str, str]]:
    """What there is to say before the features, in the order in which it is asked."""
    logged = "not logged" if told.logged_risk is None else f"logged {told.logged_risk:.6f}"
    inputs = ", ".join(f"{n} {_number(v)}" for n, v in told.inputs.items())
    return [
        ("request", f"{told.request_id or 'not served; as it would be'}, row {told.row}"),
        ("flight", f"{told.flight}, predicted at {told.predict_at}"),
        ("inputs", inputs),
        ("risk", f"{told.risk:.6f} computed again, {logged}"),
        ("served", told.served),
        ("ledger", told.ledger),
        ("label", told.label),
        ("compared", "; ".join(told.differs) or "every value is what was known at T"),
    ]


def cells(feature: "Feature", events: int = 3) -> list[str]:
    """A feature as texts, one for each column, with so many of the events behind it."""
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


def _values_text(told: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in told.items())


def _number(value: str | float | None) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:g}"
