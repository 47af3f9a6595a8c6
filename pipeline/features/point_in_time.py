"""The point-in-time join: each request gets the rows available at its instant, and no later ones.

The store's own join gives the same values (tests/features/test_online_store.py); this one is for
training, in seconds instead of most of an hour: docs/adr/0007-our-own-join.md.
"""

import numpy as np
import pandas as pd

from pipeline.features.definitions import KNOWN_AT, NUMERIC, REQUEST
from pipeline.features.on_demand import Columns, derive_features
from pipeline.features.windows import NEVER, Minutes, entity_keys, entity_names, instants, minutes
from pipeline.shared.config.features import FeaturesConfig

_TOGETHER = 16_384
"""How many requests are derived at once: their columns then stay in the processor's cache."""


def as_of(rows: pd.DataFrame, entity: pd.Series, at: Minutes) -> np.ndarray:
    """For each request, the position of its entity's last row available at `at`, or -1.

    `rows` holds `entity` (a categorical) and `available_at`, sorted by both; `at` is in minutes.
    """
    if rows.empty:
        return np.full(len(entity), -1)
    entities = rows["entity"].cat
    codes = entities.codes.to_numpy(dtype="int64")
    wanted = entities.categories.get_indexer(pd.Index(entity))
    since = min(0, int(rows["available_at"].min()), int(at.min()) if len(at) else 0)
    at, rows_at = at - since, rows["available_at"].to_numpy() - since
    span = int(max(rows_at.max(), at.max())) + 1
    available = codes * span + rows_at
    # Searches by entity stay in the processor's cache; small codes are sorted in linear time.
    order = np.argsort(wanted.astype(entities.codes.to_numpy().dtype), kind="stable")
    wanted, at = wanted[order], at[order]
    last = np.searchsorted(available, wanted * span + at, "right") - 1
    positions = np.empty(len(last), dtype="int64")
    positions[order] = np.where((wanted >= 0) & (last >= 0) & (codes[last] == wanted), last, -1)
    return positions


def historical(
    requests: pd.DataFrame, views: dict[str, pd.DataFrame], config: FeaturesConfig, lag: int = 0
) -> pd.DataFrame:
    """The requests with every feature as it was known at `predict_at`, and when each was known.

    A `lag` gives the rows of `lag` minutes before: what a store that stood still since then would
    serve.
    """
    at, keys = minutes(requests["predict_at"]), entity_keys(requests)
    positions = {v: as_of(rows, entity_names(keys, v), at - lag) for v, rows in views.items()}
    request = {name: requests[name].to_numpy() for name in REQUEST}

    numeric = np.empty((len(NUMERIC), len(at)), "float32")
    found = dict(zip(NUMERIC, numeric, strict=True))
    found |= dict(zip(KNOWN_AT, np.empty((len(KNOWN_AT), len(at)), "int64"), strict=True))
    for first in range(0, len(at), _TOGETHER):
        part = slice(first, first + _TOGETHER)
        joined: Columns = {}
        for view, rows in views.items():
            for column in rows.columns.difference(["entity", "available_at"]):
                name = f"{view}_known_at" if column == "known_at" else column
                joined[name] = _take(rows[column].to_numpy(), positions[view][part])
        known = {name: of[part] for name, of in request.items()}
        for name, values in derive_features(joined, known, at[part], config).items():
            found[name][part] = values
    return _with_columns(requests, found, numeric)


def with_features(requests: pd.DataFrame, values: Columns) -> pd.DataFrame:
    """The requests with their features: instants for KNOWN_AT, float32 for NUMERIC."""
    numeric = np.array([values[name] for name in NUMERIC], dtype="float32")
    return _with_columns(requests, values, numeric)


def _with_columns(requests: pd.DataFrame, known_at: Columns, numeric: np.ndarray) -> pd.DataFrame:
    """The requests with KNOWN_AT, and with NUMERIC from an array that has a row for each."""
    frame = requests.drop(columns=requests.columns.intersection(NUMERIC))
    for view in KNOWN_AT:
        frame[view] = instants(known_at[view]).array
    features = pd.DataFrame(numeric.T, frame.index, NUMERIC, copy=False)
    return pd.concat([frame, features], axis=1, copy=False)


def _take(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.full(len(positions), _missing_value(values))
    if (missing := positions < 0).any():
        return np.where(missing, _missing_value(values), values[positions])
    return values.take(positions)


def _missing_value(values: np.ndarray) -> float | int:
    return NEVER if values.dtype.kind == "i" and values.dtype.itemsize == 8 else np.nan
