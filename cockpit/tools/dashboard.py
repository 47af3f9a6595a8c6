"""The Grafana dashboard, drawn from its own file: each panel with what is known of it here.

Signals of the monitoring job come from its file, their past from the loop's journal. What servers
say of themselves is there only while they run: `make monitor-live`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cockpit.facts import checks
from cockpit.pictures.scale import Scale, line
from cockpit.reading import Missing, read_json
from pipeline.shared.errors import shell_quote

DASHBOARD = Path("configs/monitor/dashboard.json")
WIDTH, HEIGHT, MARGIN = 220, 70, 6
_SIGNAL = re.compile(r"\bmonitor_(\w+)")
_PAST = {"excess_loss": "excess", "outcome_gap": "gap"}
"""The signals whose past the journal holds, and their names there."""


@dataclass(frozen=True)
class Panel:
    """A panel: its title, its query, its value now, its limits, and its past as a line."""

    title: str
    query: str
    value: str
    limits: list[str]
    state: str
    past: str = ""
    limit_lines: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """A row of the dashboard with its panels."""

    title: str
    panels: list[Panel]


def values(folder: Path) -> dict[str, Any]:
    """The groups of the dashboard as the page draws them, or what is missing."""
    told = read_json(
        dict[str, Any],
        folder / DASHBOARD,
        "the dashboard",
        f"`git checkout {shell_quote(DASHBOARD)}`",
    )
    signals = read_json(
        dict[str, Any], folder / "data/monitor/signals.json", "the signals", "make monitor"
    )
    loop = checks.read(folder)
    days = [] if isinstance(loop, Missing) else loop.days
    known = {} if isinstance(signals, Missing) else signals
    groups: list[Group] = []
    for panel in [] if isinstance(told, Missing) else told.get("panels", []):
        if panel.get("type") == "row":
            groups.append(Group(panel.get("title", ""), []))
        elif groups:
            groups[-1].panels.append(_panel(panel, known, days))
    return {"groups": groups, "signals": signals, "dashboard": told, "file": str(DASHBOARD)}


def _panel(panel: dict[str, Any], signals: dict[str, Any], days: list[checks.Day]) -> Panel:
    queries = [str(target.get("expr", "")) for target in panel.get("targets", [])]
    names = [name for query in queries for name in _SIGNAL.findall(query)]
    limits = _limits(panel)
    found = signals.get(names[0]) if names else None
    value = max(found.values(), default=None) if isinstance(found, dict) else found
    past, lines = _past(names[0] if names else "", days, [limit for limit, _ in limits])
    if value is None:
        shown = "not known here" if names else "while servers run"
    else:
        shown = f"{value:.4g}" if isinstance(value, int | float) else str(value)
    return Panel(
        title=str(panel.get("title", "")),
        query="; ".join(queries),
        value=shown,
        limits=[f"{limit:g}" for limit, _ in limits],
        state=_state(value, panel) if isinstance(value, int | float) else "none",
        past=past,
        limit_lines=lines,
    )


def _steps(panel: dict[str, Any]) -> list[dict[str, Any]]:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    return list(defaults.get("thresholds", {}).get("steps", []))


def _limits(panel: dict[str, Any]) -> list[tuple[float, str]]:
    return [(s["value"], s["color"]) for s in _steps(panel) if s.get("value") is not None]


def _state(value: float, panel: dict[str, Any]) -> str:
    """The colour of a value by the panel's own steps: that of the last one it reaches."""
    colour = "green"
    for step in _steps(panel):
        if step.get("value") is None or value > step["value"]:
            colour = step["color"]
    return "bad" if colour == "red" else "good"


def _past(name: str, days: list[checks.Day], limits: list[float]) -> tuple[str, list[float]]:
    key = _PAST.get(name)
    seen = [value for day in days if (value := getattr(day, key)) is not None] if key else []
    if len(seen) < 2:
        return "", []
    x = Scale(0, len(seen) - 1, MARGIN, WIDTH - MARGIN)
    y = Scale(min([*seen, *limits]), max([*seen, *limits]), HEIGHT - MARGIN, MARGIN)
    return line([(x(n), y(value)) for n, value in enumerate(seen)]), [y(limit) for limit in limits]
