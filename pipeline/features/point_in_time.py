"""The point-in-time join: each request meets the rows that were available to it, and no later ones.

The store's own join gives the same values (tests/features/test_online_store.py); this one is for
training, where it takes seconds instead of the better part of an hour:
docs/adr/0007-our-own-join.md.
"""

import numpy as np
import pandas as pd

from pipeline.features.definitions import KNOWN_AT, NUMERIC, REQUEST
from pipeline.features.on_demand import derive
from pipeline.features.windows import NEVER, Minutes, entity_names, instants, minutes
from pipeline.shared.config.features import FeaturesConfig


def as_of(rows: pd.DataFrame, entity: pd.Series, at: Minutes) -> np.ndarray:
    """For each request, the position of its entity's last row available at `at`, or -1.

    `rows` holds `entity` (a categorical) and `available_at`, sorted by both; `at` is in minutes.
    """
    if rows.empty:
        return np.full(len(entity), -1)
    entities = rows["entity"].cat
    codes = entities.codes.to_numpy(dtype="int64")
    asked = entities.categories.get_indexer(pd.Index(entity))
    span = int(max(rows["available_at"].max(), at.max())) + 1
    available = codes * span + rows["available_at"].to_numpy()
    found = np.searchsorted(available, asked * span + at, "right") - 1
    return np.where((asked >= 0) & (found >= 0) & (codes[found] == asked), found, -1)


def historical(
    asked: pd.DataFrame, views: dict[str, pd.DataFrame], config: FeaturesConfig, lag: int = 0
) -> pd.DataFrame:
    """The requests with every feature as it was known at `predict_at`, and when each was known.

    With a `lag`, they meet the rows that a store had so many minutes before: what it would serve if
    it had stood still since then.
    """
    at = minutes(asked["predict_at"])
    joined: dict[str, np.ndarray] = {}
    for view, rows in views.items():
        found = as_of(rows, entity_names(asked, view), at - lag)
        for column in rows.columns.difference(["entity", "available_at"]):
            values = _take(rows[column].to_numpy(), found)
            name = f"{view}_known_at" if column == "known_at" else column
            joined[name] = values
    request = {name: asked[name].to_numpy() for name in REQUEST}
    return with_features(asked, derive(joined, request, at, config))


def with_features(asked: pd.DataFrame, values: dict[str, np.ndarray]) -> pd.DataFrame:
    """The requests with what was derived for them: instants for KNOWN_AT, float32 for NUMERIC."""
    frame = asked.assign(**{view: instants(values[view]).array for view in KNOWN_AT})
    numeric = pd.DataFrame({name: values[name] for name in NUMERIC}, index=frame.index)
    return pd.concat([frame.drop(columns=frame.columns.intersection(NUMERIC)), numeric], axis=1)


def _take(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.full(len(found), _missing_value(values))
    return np.where(found < 0, _missing_value(values), values[found])


def _missing_value(values: np.ndarray) -> float | int:
    return NEVER if values.dtype.kind == "i" and values.dtype.itemsize == 8 else np.nan
