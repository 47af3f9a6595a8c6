"""The published tables: flights, and the weather at their origins."""

from pipeline.shared.domain import Table

FLIGHT_KEY = ["year", "month", "day", "carrier", "flight", "origin"]
"""The unique key of a flight; without the origin, 24 keys of the year occur twice."""
WEATHER_KEY = ["origin", "observed_utc"]
FLIGHTS = Table(
    name="flights",
    noun="flights",
    key=FLIGHT_KEY,
    instant="sched_dep_utc",
    types={
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
    never_null=["carrier", "origin", "dest", "time_hour", "sched_dep_utc", "sched_arr_utc"],
    compared=True,
)
WEATHER_TABLE = Table(
    name="weather",
    noun="weather hours",
    key=WEATHER_KEY,
    instant="observed_utc",
    types={
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
    never_null=["origin", "time_hour", "observed_utc"],
)
