"""Pages that are tables of one benchmark: profiles, peers, scale. Each is made from its record.

Without its record a page is not made: `make measure M=peers`, then `make fill`.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from docs.numbers import shown

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 10
SERVERS = {
    "features": "ours, features in the request",
    "store": "ours, features from the store",
    "mlflow": "`mlflow models serve`",
    "kserve": "KServe's Python server",
    "bentoml": "BentoML",
    "litserve": "LitServe",
    "mlserver": "MLServer",
    "bare": "bare ASGI, the floor",
}
CHECKS = {
    "validation": "our data gate, Great Expectations' own default run",
    "drift": "our drift, Evidently's default preset",
}
Rows = Iterable[Iterable[Any]]


def table(heads: list[str], rows: Rows) -> str:
    """A table whose first column is text, and the others are numbers."""
    marks = ["---", *["--:"] * (len(heads) - 1)]
    lines = [heads, marks, *([_cell(one) for one in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(found: Any) -> str:
    return "–" if found is None else shown(found)


def profiles(found: dict[str, Any]) -> str:
    """The ten largest costs of `make run`, of one with nothing to do, of requests and of tests."""
    idle = found["run"]["nothing to do"]
    stages = {name: of for name, of in found["run"].items() if name != "nothing to do"}
    parts = [
        _PROFILES,
        "## `make run`\n\n"
        + table(["stage", "s"], ((n, of["seconds"]) for n, of in stages.items())),
        _costs(_seconds(stages), "s"),
        f"## `make run` with nothing to do: {shown(idle['seconds'])} s",
        _costs(_seconds({"": idle}), "s"),
    ]
    for way, text in (("features", "in the request"), ("online", "from the online store")):
        one = found["request"][way]
        parts.append(f"## A request, features {text}: {shown(one['milliseconds'])} ms at p50")
        parts.append(_costs({n: s * one["milliseconds"] for n, s in one["share"].items()}, "ms"))
    for name, half in found["tests"].items():
        spent = shown(half["processor_seconds"])
        parts.append(f"## `make test`, {name.replace('-', ' ')}: {spent} s of all its tests")
        parts.append(table(["file", "s"], list(half["files"].items())[:LARGEST]))
    return "\n\n".join(parts) + "\n"


def _seconds(stages: dict[str, Any]) -> dict[str, float]:
    """The costs of stages together, each named by its stage, in seconds."""
    return {
        f"{stage}: {name}" if stage else name: share * of["seconds"]
        for stage, of in stages.items()
        for name, share in of["share"].items()
    }


def _costs(by_name: dict[str, float], unit: str) -> str:
    largest = sorted(by_name.items(), key=lambda one: -one[1])[:LARGEST]
    return table(["cost", unit], ((f"`{name}`", round(cost, 4)) for name, cost in largest))


def peers(found: dict[str, Any]) -> str:
    """Each server's waits, throughput, errors, start and memory; and ours over each."""
    parts = [_PEERS.format(**found["conditions"])]
    paths, servers = found["paths"], found["servers"]
    for at in (name for name in paths["features"] if name.startswith("at_")):
        rows = ([SERVERS[name], *_waits(of[at])] for name, of in paths.items())
        callers = at.removeprefix("at_")
        parts.append(f"## {callers} caller{'' if callers == '1' else 's'}")
        parts.append(table([*("server", "p50 ms", "p95 ms", "p99 ms"), *_COUNTED], rows))
    parts.append("## How many times as many requests ours answers\n\n" + _RATIO)
    heads = [
        "than",
        *(f"{way}, {at[3:]}" for at in found["ratios"] for way in ("features", "store")),
    ]
    others = [name for name in paths if name in found["ratios"]["at_1"]]
    parts.append(table(heads, ([SERVERS[name], *_ratios(found, name)] for name in others)))
    parts.append("## Batches, start and memory\n\n" + _BATCH.format(**found["conditions"]))
    rows = (
        [SERVERS[name], of["rows_a_second"], of["share_of_the_runtime"], *_size(servers, name)]
        for name, of in paths.items()
    )
    heads = ["rows/s", "of ONNX Runtime alone", "first answer, s", "memory, MB", "processes"]
    parts.append(table(["server", *heads], rows))
    floor = found["runtime_rows_a_second"]
    parts.append(_FLOOR.format(*(shown(floor[size]) for size in floor)))
    checks = ROOT / "benchmarks" / "bare_checks.json"
    if checks.is_file():
        parts += _checks(json.loads(checks.read_text(encoding="utf-8")))
    return "\n\n".join(parts) + "\n"


def _checks(found: dict[str, Any]) -> list[str]:
    """Our checks of a month beside the bare defaults of their libraries."""
    rows = (
        [text, found[what]["ours_seconds"], found[what]["bare_seconds"], found[what]["ratio"]]
        for what, text in CHECKS.items()
    )
    told = _CHECKS.format(found["month"], shown(found["validation"]["rows"]),
                          found["validation"]["rules"], found["drift"]["columns"])  # fmt: skip
    heads = ["check", "ours, s", "bare, s", "ours over bare"]
    return ["## Checks of a month", told, table(heads, rows)]


def _waits(of: dict[str, Any]) -> list[Any]:
    waits = [of["milliseconds"][name] for name in ("p50", "p95", "p99")]
    return [*waits, of["requests_a_second"], of["errors"], of["requests"]]


def _ratios(found: dict[str, Any], name: str) -> list[Any]:
    return [one["median"] for at in found["ratios"].values() for one in at[name].values()]


def _size(servers: dict[str, Any], name: str) -> list[Any]:
    of = servers["ours" if name in ("features", "store") else name]
    return [of["cold_start_seconds"], of["memory_mb"], of["processes"]]


def scale(found: dict[str, Any]) -> str:
    """Each engine's time and memory by size, and how its time grows."""
    sizes = list(found["requests"])
    parts = [_SCALE.format(found["processors"], shown(found["memory_limit_gb"]))]
    rows = ([f"{size} ×", found["requests"][size], found["view_rows"][size]] for size in sizes)
    parts.append(table(["size", "requests", "rows of the views"], rows))
    for what, heading in (("seconds", "Seconds"), ("peak_memory_gb", "Memory at most, GB")):
        rows = (
            [name, *(_case(of["sizes"].get(size), what) for size in sizes)]
            for name, of in found["engines"].items()
        )
        parts.append(f"## {heading}")
        parts.append(table(["engine", *(f"{size} ×" for size in sizes)], rows))
    parts.append("## The exponent of the time over the rows\n\n" + _EXPONENT)
    powers = list(dict.fromkeys(n for of in found["engines"].values() for n in of["exponent"]))
    rows = (
        [name, *(of["exponent"].get(power) for power in powers)]
        for name, of in found["engines"].items()
    )
    parts.append(table(["engine", *powers], rows))
    return "\n\n".join(parts) + "\n"


def _case(case: dict[str, Any] | None, what: str) -> Any:
    if case is None:
        return "not run"
    return f"stopped {case['stopped']}" if case["stopped"] else case[what]


_PROFILES = """\
# Profiles

The ten largest costs of each, from `make measure M=profiles`. A function of ours costs its own time
and that of the libraries that it calls; what modules run when they are imported is one cost,
`imports`. Costs are shares under the profiler, times the seconds without it. The story is many
processes: its costs are its commands."""
_PEERS = """\
# Peers

Our server beside the model servers of the field, from `make measure M=peers`: the same model, rows
and client, one processor for the client and one for the servers, {rounds} alternating rounds of one
run. Each server has one worker and otherwise its own defaults; ours writes every prediction down.
Only ours, with features from the store, reads an online store: the others are sent the features."""
_COUNTED = ("requests/s", "errors", "answered")
_RATIO = """\
The median of the rounds' own ratios, by our path and by callers: below 1 ours answers fewer."""
_BATCH = """\
Requests of {batch_rows} rows by one caller; rows a second as a share of ONNX Runtime called with
the same rows and nothing around it. The first answer is from the command on; memory is that of all
processes after the rounds."""
_FLOOR = "ONNX Runtime alone scores {} rows a second one by one, and {} in such batches."
_CHECKS = """\
Of {}, from `make measure M=bare-checks`: {} flights by the same {} rules, the gate with the list of
broken rows and the shares of the month and of each day; drift of {} columns against the training
window, ours with its trailing windows and the limits of all columns together."""
_SCALE = """\
# Scale

The point-in-time join of a year, ten and a hundred times its rows, from `make measure M=scale`:
later years of the same fleets, and further fleets. {} processors; an engine is stopped at {} GB of
memory, and then does no larger size. At the year, every engine's rows give training's features bit
by bit; at each size, all engines that ended agree. Spark runs as a cluster of two workers on this
machine, with its start in its seconds."""
_EXPONENT = "1 is as fast a row at any size; below 1, starting costs less and less of it."
PAGES: dict[str, Callable[[dict[str, Any]], str]] = {
    "profiles": profiles,
    "peers": peers,
    "scale": scale,
}
"""Each page, named as its record."""


def pages() -> dict[Path, str]:
    """The pages whose benchmark was recorded, with their texts."""
    records = {name: ROOT / "benchmarks" / f"{name}.json" for name in PAGES}
    return {
        ROOT / "docs" / f"{name}.md": PAGES[name](json.loads(path.read_text(encoding="utf-8")))
        for name, path in records.items()
        if path.is_file()
    }
