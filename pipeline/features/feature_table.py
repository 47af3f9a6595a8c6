"""The feature table: one row per event, checked for leaks and implausible values when read."""

from pathlib import Path

import pandas as pd

from pipeline.features.definitions import KNOWN_AT, LABEL, RANGES
from pipeline.shared.config.sections import Window
from pipeline.shared.contracts import FEATURES
from pipeline.shared.errors import FeatureRejected, LeakFound, TooLittleData
from pipeline.shared.files import read_parquet
from pipeline.usecase.chosen import USECASE

ROWS = FEATURES / "rows.parquet"
SERVICE = FEATURES / "service.json"


def read(
    window: Window, known_before: pd.Timestamp | None = None, path: Path = ROWS
) -> pd.DataFrame:
    """The rows of events in `window`, labelled before an instant, checked for leaks.

    Raises:
        LeakFound: a value was known only at or after its prediction.
        FeatureRejected: a value is outside its feature's range.
        TooLittleData: the window is empty, or reaches beyond what has arrived.
    """
    rows = read_parquet(path, "features")
    day = rows["year"] * 10_000 + rows["month"] * 100 + rows["day"]
    first, last = (int(date.replace("-", "")) for date in (window.first, window.last))
    chosen = day.between(first, last)
    if known_before is not None:
        chosen &= rows[f"{LABEL}_known_at"] < known_before
    if not chosen.any() or day.min() > first or day.max() < last:
        raise TooLittleData(
            f"{int(chosen.sum()):,} {USECASE.noun} from {window.first} to {window.last}; {path} "
            f"holds {len(rows):,} rows from {day.min()} to {day.max()}: "
            "raise as_of in configs/ingest.yaml, or move the window"
        )
    frame = rows[chosen].reset_index(drop=True)
    require_point_in_time(frame)
    require_plausible(frame)
    return frame


def require_point_in_time(frame: pd.DataFrame) -> None:
    """Refuse rows in which a value was known at or after the instant of the prediction.

    Raises:
        LeakFound: names the view, how many rows, and one of them.
    """
    for column in KNOWN_AT:
        leaks = frame[column] >= frame["predict_at"]
        if leaks.any():
            row = frame[leaks].iloc[0]
            raise LeakFound(
                f"{column.removesuffix('_known_at')} features of {int(leaks.sum()):,} of "
                f"{len(frame):,} rows use the future; {USECASE.name_of(row)} is predicted at "
                f"{row['predict_at']:%Y-%m-%d %H:%M}Z from values "
                f"known at {row[column]:%Y-%m-%d %H:%M}Z: join as of the prediction, see `make "
                "answer Q=point-in-time`"
            )


def require_plausible(frame: pd.DataFrame) -> None:
    """Refuse rows with a value outside its feature's range, as a second line of defence.

    Raises:
        FeatureRejected: names the feature, its range, how many rows, and one of them.
    """
    for name, (low, high) in RANGES.items():
        wrong = (frame[name] < low) | (frame[name] > high)
        if wrong.any():
            row = frame[wrong].iloc[0]
            raise FeatureRejected(
                f"{name} of {int(wrong.sum()):,} of {len(frame):,} rows lies outside {low:g} to "
                f"{high:g}: {row[name]:g} for {USECASE.name_of(row)} at "
                f"{row[USECASE.events.instant]:%Y-%m-%d %H:%M}Z; look for the raw "
                "value in data/validate/, tighten its rule in configs/validate.yaml, then "
                "`make features`"
            )
