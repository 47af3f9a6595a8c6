"""The schema of a snapshot: its columns in order, their types, its key, and what is never null.

The rules of this file come first: all others presuppose what they demand.
"""

from collections.abc import Iterable

import pandas as pd

from pipeline.shared.contracts import FLIGHT_KEY, WEATHER_KEY
from pipeline.shared.expectations import Rules, gxe, refuse

TYPES = {
    "flights": {
        "year": "int64",
        "month": "int64",
        "day": "int64",
        "dep_time": "float64",
        "sched_dep_time": "int64",
        "dep_delay": "float64",
        "arr_time": "float64",
        "sched_arr_time": "int64",
        "arr_delay": "float64",
        "carrier": "object",
        "flight": "int64",
        "tailnum": "object",
        "origin": "object",
        "dest": "object",
        "air_time": "float64",
        "distance": "int64",
        "hour": "int64",
        "minute": "int64",
        "time_hour": "object",
        "sched_dep_utc": "datetime64[us, UTC]",
        "sched_arr_utc": "datetime64[us, UTC]",
        "dep_utc": "datetime64[us, UTC]",
        "arr_utc": "datetime64[us, UTC]",
    },
    "weather": {
        "origin": "object",
        "year": "int64",
        "month": "int64",
        "day": "int64",
        "hour": "int64",
        "temp": "float64",
        "dewp": "float64",
        "humid": "float64",
        "wind_dir": "float64",
        "wind_speed": "float64",
        "wind_gust": "float64",
        "precip": "float64",
        "pressure": "float64",
        "visib": "float64",
        "time_hour": "object",
        "observed_utc": "datetime64[us, UTC]",
    },
}
"""Every column of a snapshot in order; integers cannot be null, so their type implies it."""
KEYS = {"flights": FLIGHT_KEY, "weather": WEATHER_KEY}
NEVER_NULL = {
    "flights": ["carrier", "origin", "dest", "time_hour", "sched_dep_utc", "sched_arr_utc"],
    "weather": ["origin", "time_hour", "observed_utc"],
}


def schema_rules(table: str, present: Iterable[str]) -> Rules:
    """The schema rules, which all others presuppose: columns, their order, types and nulls."""
    types, known = TYPES[table], set(present)
    return [
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(types), **refuse("columns")),
        *(
            gxe.ExpectColumnTypeToBe(column=column, type_=kind, **refuse("type"))
            for column, kind in types.items()
            if column in known
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=column, **refuse("never-null"))
            for column in NEVER_NULL[table]
            if column in known
        ),
    ]


def fits_schema(table: str, rows: pd.DataFrame) -> bool:
    """Whether a snapshot has the columns and types to serve as a reference."""
    return {str(name): str(kind) for name, kind in rows.dtypes.items()} == TYPES[table]
