"""A model and a store that give what a test says, where neither is what the test is about."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import FEATURES, KNOWN_AT, NUMERIC, VIEWS
from pipeline.features.online_store import Vectors
from pipeline.features.windows import NEVER
from pipeline.registry.model import Model
from pipeline.registry.release_loader import LoadedRelease
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import WarmUp

RELEASE = "f" * 64
FLIGHT: dict[str, Any] = {
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "dest": "IAH",
    "scheduled_departure": "2013-04-18T08:30-04:00",
    "block_minutes": 227,
    "distance": 1400,
    "tailnum": "N14228",
}


class Session:
    """The risk is a hundredth of the first input that it takes, or what it was told to say."""

    def __init__(self, says: float | None = None):
        self.says, self.seen = says, []

    def run(self, names, inputs):
        rows = inputs["inputs"]
        self.seen.append(rows)
        first = np.nan_to_num(rows[:, 0]) / 10_000
        risk = np.full(len(rows), self.says, dtype="float32") if self.says is not None else first
        return [np.column_stack([1 - risk, risk]).astype("float32")]


class Store:
    """Every value is 0.5 but the request's own; what is in `flags` lacks for every row."""

    def __init__(self, **flags: str):
        self.flags, self.asked, self.before = flags, [], lambda: None

    def read(self, request):
        self.before()
        self.asked.append(request)
        rows = len(request["predict_at"])
        values = {name: np.full(rows, 0.5, dtype="float32") for name in NUMERIC}
        for name in set(NUMERIC) & set(request):
            values[name] = np.array(request[name], dtype="float32")
        at = np.array(request["predict_at"])
        for view, name in zip(VIEWS, KNOWN_AT, strict=True):
            values[name] = np.full(rows, NEVER) if view in self.flags else at - 20
        flags = {view: np.full(rows, self.flags.get(view, "")) for view in VIEWS}
        return Vectors(values, flags)


def loaded(session: Any = None, features: list[str] = FEATURES, warm: bool = True) -> LoadedRelease:
    """A release over a session."""
    row = [600.0] + [None] * (len(features) - 1)
    warm_up = WarmUp(features=features, inputs=[row], risk=[0.06], tolerance=1e-5)
    model = Model("d" * 64, features, session or Session())
    service = "flight_delay-000000000000"
    config = load(FeaturesConfig)
    until = pd.Timestamp("2013-04-01 04:00Z")
    return LoadedRelease(
        "7", RELEASE, model, config, service, Path(), warm_up if warm else None, until
    )
