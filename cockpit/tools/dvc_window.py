"""DVC's window: the graph, metrics, parameters, plots and experiments, by DVC's own commands.

DVC writes its pages with a charting library from elsewhere; here its data are drawn without.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cockpit.pictures.scale import Scale, Tick, line, nice_ticks
from pipeline.shared import dvc, yaml_files

COMMANDS = {
    "graph": ("dag", "--dot"),
    "metrics": ("metrics", "diff", "--json"),
    "params": ("params", "diff", "--json"),
    "plots": ("plots", "diff", "--json"),
    "experiments": ("exp", "show", "--json", "-n", "5"),
}
"""What is asked of DVC, and how a person asks the same."""
BOX_WIDTH, BOX_HEIGHT, GAP, SIDE, MARGIN = 130, 40, 46, 320, 40


@dataclass(frozen=True)
class Box:
    """A stage in the picture of the graph."""

    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Plot:
    """A plot of DVC's: a line for each revision."""

    title: str
    x_label: str
    y_label: str
    lines: list[tuple[str, str]]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@dataclass(frozen=True)
class Row:
    """A metric or a parameter: before (the last commit), now, and the change."""

    path: str
    name: str
    old: str
    new: str
    change: str


def values(folder: Path) -> dict[str, Any]:
    """Ask DVC, and return what the page draws; what it refused is said in its own words."""
    with ThreadPoolExecutor(len(COMMANDS)) as beside:
        done = dict(zip(COMMANDS, beside.map(lambda n: _ask(folder, n), COMMANDS), strict=True))
    failures = {name: said for name, (said, failed) in done.items() if failed}
    told = {name: None if failed else said for name, (said, failed) in done.items()}
    boxes, edges = graph(told["graph"] or "")
    return {
        "boxes": boxes,
        "edges": edges,
        "metrics": rows(_parse(told["metrics"])),
        "params": rows(_parse(told["params"])),
        "plots": plots(_parse(told["plots"]), folder),
        "experiments": experiments(_parse(told["experiments"])),
        "failures": failures,
        "commands": {name: "dvc " + " ".join(words) for name, words in COMMANDS.items()},
    }


def _ask(folder: Path, name: str) -> tuple[str, bool]:
    done = dvc.try_run(folder, *COMMANDS[name], settings=dvc.isolated_environment())
    return (dvc.reason(done), True) if done.returncode else (done.stdout, False)


def _parse(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


def graph(dot: str) -> tuple[list[Box], list[str]]:
    """The stages of `dvc dag --dot` in one line, and the edges as paths above and below it."""
    lines = [one.strip().rstrip(";").replace('"', "") for one in dot.splitlines()]
    names = [one for one in lines if one.isidentifier() or one.replace("-", "").isidentifier()]
    places = {name: n for n, name in enumerate(names)}
    middle = 150
    boxes = [Box(n, places[n] * (BOX_WIDTH + GAP), middle - BOX_HEIGHT / 2) for n in names]
    edges = []
    for one in lines:
        source, arrow, target = one.partition(" -> ")
        if not arrow or source not in places or target not in places:
            continue
        start = places[source] * (BOX_WIDTH + GAP)
        end = places[target] * (BOX_WIDTH + GAP)
        reach = places[target] - places[source]
        if reach == 1:
            edges.append(f"M{start + BOX_WIDTH} {middle} L{end} {middle}")
            continue
        high = middle - BOX_HEIGHT / 2 - 28 * (reach - 1)
        top = middle - BOX_HEIGHT / 2
        edges.append(
            f"M{start + BOX_WIDTH / 2} {top} C{start + BOX_WIDTH / 2} {high} "
            f"{end + BOX_WIDTH / 2} {high} {end + BOX_WIDTH / 2} {top}"
        )
    return boxes, edges


def rows(diff: Any) -> list[Row]:
    """The changes of `dvc metrics diff` or `dvc params diff`, a line each."""
    found = []
    for path, changes in diff.items() if isinstance(diff, dict) else ():
        for name, change in sorted(changes.items()):
            by = change.get("diff")
            moved = f"{by:+.4g}" if isinstance(by, int | float) else ""
            found.append(Row(path, name, _text(change.get("old")), _text(change.get("new")), moved))
    return found


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def plots(told: Any, folder: Path) -> list[Plot]:
    """The plots of `dvc plots diff`, with their axes from dvc.yaml."""
    axes = _axes(folder)
    found = []
    for path, of in (told.get("data") or {}).items() if isinstance(told, dict) else ():
        x, y = axes.get(path, ("", ""))
        points = [
            value
            for one in of
            for value in one.get("content", {}).get("data", {}).get("values", [])
            if isinstance(value, dict) and x in value and y in value
        ]
        if points:
            found.append(_plot(path, x, y, points))
    return found


def _axes(folder: Path) -> dict[str, tuple[str, str]]:
    """The axes of each plot in dvc.yaml, by its path."""
    stages = yaml_files.parse((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    entries = [entry for stage in stages.values() for entry in stage.get("plots", [])]
    named = [item for entry in entries if isinstance(entry, dict) for item in entry.items()]
    return {path: (of.get("x", ""), of.get("y", "")) for path, of in named}


def _plot(title: str, x: str, y: str, points: list[dict[str, Any]]) -> Plot:
    across = Scale(0, max(p[x] for p in points) or 1, MARGIN, SIDE - 8)
    up = Scale(0, max(p[y] for p in points) or 1, SIDE - MARGIN, 8)
    revisions = list(dict.fromkeys(str(p.get("rev", "")) for p in points))
    lines = [
        (rev, line([(across(p[x]), up(p[y])) for p in points if str(p.get("rev", "")) == rev]))
        for rev in revisions
    ]
    x_ticks = [Tick(across(v), f"{v:g}") for v in nice_ticks(0, across.high)]
    y_ticks = [Tick(up(v), f"{v:g}") for v in nice_ticks(0, up.high)]
    return Plot(title, x.replace("_", " "), y.replace("_", " "), lines, x_ticks, y_ticks)


def experiments(told: Any) -> list[dict[str, str]]:
    """The revisions of `dvc exp show`, each with its main metrics."""
    found = []
    for one in told if isinstance(told, list) else ():
        data = one.get("data") or {}
        metrics = data.get("metrics") or {}
        row = {"revision": one.get("name") or str(one.get("rev", ""))[:8]}
        row["time"] = str(data.get("timestamp") or "now")
        evaluated = (metrics.get("data/evaluate/metrics.json") or {}).get("data") or {}
        found.append(row | {name: _text(evaluated.get(name)) for name in ("log_loss", "roc_auc")})
    return found
