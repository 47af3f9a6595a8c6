"""Faults in the features: values that were not known yet."""

from pathlib import Path

from exercises.drill import Drill, Outcome, replace_once, two_months


def _join_on_the_date(folder: Path) -> list[str]:
    replace_once(
        folder / "pipeline/features/point_in_time.py",
        "as_of(rows, entity_names(keys, v), at - lag)",
        "as_of(rows, entity_names(keys, v), at // 1440 * 1440 + 1439)",
    )
    two_months(folder)
    return ["ingest", "validate", "features"]


def _refused_as_leak(folder: Path, outcome: Outcome) -> str:
    if outcome.code != 1 or "LeakFound" not in outcome.words:
        return ""
    if (folder / "data/features/rows.parquet").exists():
        return ""
    return "LeakFound names the view, the rows and one flight; no feature table was written"


DRILLS = [
    Drill(
        slug="date-join",
        stage="features",
        fault="features are joined on the date of the flight instead of the instant of prediction",
        guard="features.feature_table.require_point_in_time, before a feature table is written",
        inject=_join_on_the_date,
        caught=_refused_as_leak,
    )
]
