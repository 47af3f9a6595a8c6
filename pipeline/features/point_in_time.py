"""The point-in-time join: each request gets the rows available at its instant, and no later ones.

The store's own join gives the same values (tests/features/test_online_store.py); this one is for
training, in seconds instead of most of an hour: docs/adr/0007-our-own-join.md.
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
    wanted = entities.categories.get_indexer(pd.Index(entity))
    span = int(max(rows["available_at"].max(), at.max())) + 1
    available = codes * span + rows["available_at"].to_numpy()
    last = np.searchsorted(available, wanted * span + at, "right") - 1
    return np.where((wanted >= 0) & (last >= 0) & (codes[last] == wanted), last, -1)


def historical(
    requests: pd.DataFrame, views: dict[str, pd.DataFrame], config: FeaturesConfig, lag: int = 0
) -> pd.DataFrame:
    """The requests with every feature as it was known at `predict_at`, and when each was known.

    A `lag` gives the rows of `lag` minutes before: what a store that stood still since then would
    serve.
    """
    at = minutes(requests["predict_at"])
    joined: dict[str, np.ndarray] = {}
    for view, rows in views.items():
        positions = as_of(rows, entity_names(requests, view), at - lag)
        for column in rows.columns.difference(["entity", "available_at"]):
            name = f"{view}_known_at" if column == "known_at" else column
            joined[name] = _take(rows[column].to_numpy(), positions)
    request = {name: requests[name].to_numpy() for name in REQUEST}
    return with_features(requests, derive(joined, request, at, config))


def with_features(requests: pd.DataFrame, values: dict[str, np.ndarray]) -> pd.DataFrame:
    """The requests with their features: instants for KNOWN_AT, float32 for NUMERIC."""
    frame = requests.assign(**{view: instants(values[view]).array for view in KNOWN_AT})
    numeric = pd.DataFrame({name: values[name] for name in NUMERIC}, index=frame.index)
    return pd.concat([frame.drop(columns=frame.columns.intersection(NUMERIC)), numeric], axis=1)


def _take(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.full(len(positions), _missing_value(values))
    return np.where(positions < 0, _missing_value(values), values[positions])


def _missing_value(values: np.ndarray) -> float | int:
    return NEVER if values.dtype.kind == "i" and values.dtype.itemsize == 8 else np.nan
