"""The features of the use case, by name, as every stage reads them; the meaning of their version.

A prediction is made at an instant T, and every value was known strictly before T. What a feature
is, the use case says.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline.usecase.chosen import USECASE

_OF = USECASE.features
LABEL = _OF.label
"""The label: 1 if the case happens that the model predicts the risk of."""
PROXY = _OF.proxy
"""An outcome that is known earlier than the label and says much of it."""
ENTITIES = _OF.entities
"""Each rolling view and the columns of a request that name its entity."""
ROLLING = _OF.rolling
"""The means over what became known of an entity in the last so many hours."""
REQUEST = _OF.request
"""Request features: known from the request alone."""
REQUEST_TYPE = _OF.request_type
SCHEDULE = _OF.schedule
"""Features of the request, and those that are derived from them."""
NUMERIC = _OF.numeric
ONE_HOT = _OF.one_hot
"""Columns of categories, with the column and the value that each stands for."""
FEATURES = [*NUMERIC, *ONE_HOT]
"""The model's inputs, in order."""
STATES = {state.view: state for state in _OF.states}
"""The views that hold the last state of an entity, beside those of rolling means."""
KEYS = {**ENTITIES, **{view: state.keys for view, state in STATES.items()}}
"""Every view and the columns of a request that name its entity."""
VIEWS = list(KEYS)
ALWAYS_THERE = _OF.always_there
"""Views that a recent event always feeds; another entity may be unknown."""
KNOWN_AT = [f"{view}_known_at" for view in VIEWS]
"""For each view, the instant at which the newest raw row behind its values became known (UTC)."""
NAME = USECASE.words.name_key
"""The column of an event's name in logs, labels and served rows."""
REQUEST_KEY = USECASE.events.key
"""The columns that name one request."""
MONOTONE = _OF.monotone
"""Monotonic constraints: the direction in which a feature may move the risk."""
RANGES = _OF.ranges
"""Plausible values."""
SERVICE = _OF.service
"""The feature service: the set of features that the model is served with."""


def service_version(settings: Mapping[str, object]) -> str:
    """The feature service's version, its name and a digest: new with any new meaning.

    It covers the declarations here and the settings of configs/features.yaml; dvc.lock covers the
    code.
    """
    meaning = {
        "settings": dict(settings),
        "entities": ENTITIES,
        "rolling": [asdict(rolling) for rolling in ROLLING],
        "one_hot": ONE_HOT,
        "features": FEATURES,
        "ranges": RANGES,
    }
    digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()
    return f"{SERVICE}-{digest[:12]}"


def matrix(frame: pd.DataFrame, names: list[str]) -> np.ndarray:
    """The model's input: float32, one row per request, one column per name.

    `names` are of FEATURES or columns of `frame`; a category without a column of its own is all
    zeros, a missing value is NaN.
    """
    columns = [
        (frame[ONE_HOT[name][0]] == ONE_HOT[name][1]) if name in ONE_HOT else frame[name]
        for name in names
    ]
    return np.column_stack([column.to_numpy(dtype="float32") for column in columns])
