"""The features of a flight by name: entity, window, range, and the direction of their effect.

A prediction is made at T = scheduled departure - horizon, for the question: will this flight
arrive 15 or more minutes late, or not at all? Every value was known strictly before T.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.domain import Rolling
from pipeline.shared.minutes import NEVER, Minutes

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
"""Schedule features: those of the request, and those that `derive` computes from them."""
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
CARRIERS = [
    *("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL"),
    *("HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"),
]
"""Every carrier of the year, with or without a column of its own."""

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


def derive(
    joined: Mapping[str, np.ndarray],
    request: Mapping[str, Any],
    at: Minutes,
    config: FeaturesConfig,
) -> dict[str, Any]:
    """The features that depend on the request and on the aircraft's last events, at T."""
    values: dict[str, Any] = {}
    landed = joined["landed_at"]
    values["aircraft_age"] = np.where(landed == NEVER, np.nan, at - landed)
    values["aircraft_slack"] = at + config.horizon_minutes - joined["ready"]
    return values
