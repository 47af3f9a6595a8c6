"""The features by name: entity, window, range, and the direction of their effect.

A prediction is made at T = scheduled departure - horizon, for the question: will this flight
arrive 15 or more minutes late, or not at all? Every value was known strictly before T.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pandas as pd

LABEL = "late"
"""1 if the flight arrives 15 or more minutes late, is diverted or is cancelled."""
PROXY = "dep_late"
"""1 if the flight departs 15 or more minutes late or is cancelled: known hours before the label."""

ENTITIES: dict[str, list[str]] = {
    "system": [],
    "origin": ["origin"],
    "carrier": ["carrier"],
    "origin_carrier": ["origin", "carrier"],
    "destination": ["dest"],
    "route": ["origin", "dest"],
    "hour": ["sched_hour"],
}
"""Each rolling view and the columns of a request that name its entity."""


@dataclass(frozen=True)
class Rolling:
    """A mean over what became known of an entity's flights in the last so many hours."""

    view: str
    value: str
    hours: int

    @cached_property
    def name(self) -> str:
        """The feature's name, as "origin_dep_late_3h"; days where the hours are whole days > 1."""
        days = self.hours // 24
        span = f"{days}d" if days > 1 else f"{self.hours}h"
        return f"{self.view}_{self.value}_{span}"


_ROLLING = {
    "system": {"dep_late": [1, 3], "late": [24]},
    "origin": {"dep_late": [1, 3, 24], "dep_delay": [3], "arr_delay": [3], "late": [24, 168]},
    "carrier": {"dep_late": [3, 24], "late": [24, 168]},
    "origin_carrier": {"dep_late": [3], "late": [168]},
    "destination": {"arr_delay": [24], "late": [6, 24, 168]},
    "route": {"late": [168, 672]},
    "hour": {"late": [168, 672]},
}
ROLLING = [
    Rolling(view, value, hours)
    for view, values in _ROLLING.items()
    for value, spans in values.items()
    for hours in spans
]

REQUEST = ["sched_minute", "day_of_week", "distance", "block_minutes"]
"""Request features: known from the schedule alone."""
SCHEDULE = [*REQUEST]
"""Schedule features: those of the request, and those that `on_demand.derive` computes from them."""
WEATHER = [
    *("humid", "wind_dir", "wind_speed", "wind_gust"),
    *("precip", "visib", "precip_3h", "pressure_change_3h"),
]
"""The origin's last observation; temperature and pressure themselves are season and left out."""
LANDING = ["aircraft_arr_delay"]
"""Features of the aircraft's last landing."""
DEPARTURE = ["aircraft_dep_delay", "aircraft_airborne"]
"""Features of its last event, a departure or a landing."""
AIRCRAFT = [*LANDING, "aircraft_age", "aircraft_slack", *DEPARTURE]
"""The aircraft's last flight from New York, in minutes; missing when older than a day."""
NUMERIC = [*SCHEDULE, *WEATHER, *(rolling.name for rolling in ROLLING), *AIRCRAFT]

ORIGINS = ["EWR", "JFK", "LGA"]
ONE_HOT_CARRIERS = ["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN"]
"""Carriers with a column of their own; every other carrier has zeros in all of them."""
ONE_HOT = {
    **{f"origin_is_{origin}": ("origin", origin) for origin in ORIGINS},
    **{f"carrier_is_{carrier}": ("carrier", carrier) for carrier in ONE_HOT_CARRIERS},
}
FEATURES = [*NUMERIC, *ONE_HOT]
"""The model's inputs, in order."""

KEYS = {**ENTITIES, "weather": ["origin"], "aircraft": ["tailnum"]}
"""Every view and the columns of a request that name its entity."""
VIEWS = list(KEYS)
ALWAYS_THERE = {"system", "origin", "carrier", "hour", "weather"}
"""Views that a recent flight always feeds; an aircraft or a rare route may be unknown."""
KNOWN_AT = [f"{view}_known_at" for view in VIEWS]
"""For each view, the instant at which the newest raw row behind its values became known (UTC)."""

MONOTONE = {
    **{rolling.name: 1 for rolling in ROLLING},
    **dict.fromkeys(["wind_speed", "wind_gust", "precip", "precip_3h"], 1),
    "visib": -1,
    "aircraft_arr_delay": 1,
    "aircraft_dep_delay": 1,
    "aircraft_slack": -1,
}
"""Monotonic constraints: worse weather or more delay never lowers the risk."""

RANGES = {
    **{w.name: (0.0, 1.0) for w in ROLLING if w.value in (LABEL, PROXY)},
    "sched_minute": (0.0, 1439.0),
    "day_of_week": (0.0, 6.0),
    "humid": (0.0, 100.0),
    "wind_dir": (0.0, 360.0),
    "wind_speed": (0.0, 150.0),
    "wind_gust": (0.0, 200.0),
    "precip": (0.0, 5.0),
    "precip_3h": (0.0, 15.0),
    "visib": (0.0, 10.0),
    "aircraft_age": (0.0, 24 * 60.0),
    "aircraft_airborne": (0.0, 1.0),
}
"""Plausible values: shares are fractions, winds are of this planet."""

SERVICE = "flight_delay"
"""The feature service: the set of features that the model is served with."""


def service_version(settings: Mapping[str, object]) -> str:
    """The feature service's version, as "flight_delay-0123456789ab": new with any new meaning.

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
    """The model's input: float32, one row per flight, one column per name.

    `names` are of FEATURES or columns of `frame`; an origin or carrier without a column of its own
    is all zeros, a missing value is NaN.
    """
    columns = [
        (frame[ONE_HOT[name][0]] == ONE_HOT[name][1]) if name in ONE_HOT else frame[name]
        for name in names
    ]
    return np.column_stack([column.to_numpy(dtype="float32") for column in columns])


CARRIERS = [
    *("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL"),
    *("HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"),
]
"""Every carrier of the year, with or without a column of its own."""
