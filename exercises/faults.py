"""Faults of a data feed that keep every column plausible: planted in some rows of some days.

Each changes a month's table as a broken feed would give it. Drills publish them to the pipeline,
and `make measure M=data-faults` asks from which size on they are seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Chosen = np.ndarray
Plant = Callable[[pd.DataFrame, Chosen, np.random.Generator], pd.DataFrame]
"""A month, the rows that the fault hits, chance: the month as a broken feed gives it."""
_SKY = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure"]
_SKY += ["visib"]
_OUTCOME = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "dep_utc", "arr_utc"]


def _put(rows: pd.DataFrame, hit: Chosen, **values: Any) -> pd.DataFrame:
    """The rows with other values where they are hit."""
    return rows.assign(**{name: rows[name].mask(hit, to) for name, to in values.items()})


def _at(rows: pd.DataFrame, hit: Chosen, only: str) -> Any:
    """The rows that are hit, of one origin where one is named."""
    return hit & (rows["origin"] == only) if only else hit


def _rotated(carriers: list[str]) -> Plant:
    def plant(rows: pd.DataFrame, hit: Chosen, _: np.random.Generator) -> pd.DataFrame:
        after = dict(zip(carriers, carriers[1:] + carriers[:1], strict=True))
        return _put(rows, hit & rows["carrier"].isin(carriers), carrier=rows["carrier"].map(after))

    return plant


def _shuffled(columns: list[str]) -> Plant:
    """Columns of a day dealt anew among its rows."""

    def plant(rows: pd.DataFrame, hit: Chosen, chance: np.random.Generator) -> pd.DataFrame:
        changed = rows.copy()
        for _, group in rows[hit].groupby("day"):
            dealt = group[columns].iloc[chance.permutation(len(group))]
            changed.loc[group.index, columns] = dealt.to_numpy()
        return changed.astype(rows.dtypes.to_dict())

    return plant


def _scaled(column: str, factor: float, plus: float = 0.0, only: str = "") -> Plant:
    def plant(rows: pd.DataFrame, hit: Chosen, _: np.random.Generator) -> pd.DataFrame:
        here = _at(rows, hit, only)
        return _put(rows, here, **{column: (rows[column] * factor + plus).astype("float64")})

    return plant


def _moved(hours: int, only: str = "") -> Plant:
    """The sky of so many hours later where it is said to be of now."""

    def plant(rows: pd.DataFrame, hit: Chosen, _: np.random.Generator) -> pd.DataFrame:
        here = _at(rows, hit, only)
        later = rows.groupby("origin")[_SKY].shift(-hours)
        return _put(rows, here & later["temp"].notna(), **{name: later[name] for name in _SKY})

    return plant


def _swapped_origins(rows: pd.DataFrame, hit: Chosen, _: np.random.Generator) -> pd.DataFrame:
    other = rows["origin"].map({"EWR": "JFK", "JFK": "EWR", "LGA": "LGA"})
    theirs = rows.set_index(["origin", "observed_utc"])[_SKY]
    theirs = theirs.reindex(pd.MultiIndex.from_arrays([other, rows["observed_utc"]]))
    there = theirs["temp"].notna().to_numpy()
    return _put(rows, hit & there, **{name: theirs[name].to_numpy() for name in _SKY})


def _celsius(only: str = "") -> Plant:
    def plant(rows: pd.DataFrame, hit: Chosen, chance: np.random.Generator) -> pd.DataFrame:
        rows = _scaled("temp", 1 / 1.8, -32 / 1.8, only)(rows, hit, chance)
        return _scaled("dewp", 1 / 1.8, -32 / 1.8, only)(rows, hit, chance)

    return plant


def _day_before(columns: list[str], key: list[str]) -> Plant:
    """What was said of the same flight or origin a day, and so 24 hours, before."""

    def plant(rows: pd.DataFrame, hit: Chosen, _: np.random.Generator) -> pd.DataFrame:
        before = rows.drop_duplicates([*key, "day"]).set_index([*key, "day"])[columns]
        names = [rows[name] for name in key] + [rows["day"] - 1]
        old = before.reindex(pd.MultiIndex.from_arrays(names))
        there = old[columns[0]].notna().to_numpy()
        return _put(rows, hit & there, **{name: old[name].to_numpy() for name in columns})

    return plant


def _lost(which: Callable[[pd.DataFrame], Any]) -> Plant:
    """Rows that never came."""

    def plant(rows: pd.DataFrame, hit: Chosen, _: np.random.Generator) -> pd.DataFrame:
        return rows[~(hit & which(rows))].reset_index(drop=True)

    return plant


def _an_hour_late(rows: pd.DataFrame, hit: Chosen, _: np.random.Generator) -> pd.DataFrame:
    """Instants in UTC an hour late, as by a wrong time zone; clock times as they were."""
    hour = pd.Timedelta(hours=1)
    names = ["sched_dep_utc", "sched_arr_utc", "dep_utc", "arr_utc"]
    return _put(rows, hit, **{name: rows[name] + hour for name in names})


def _nulled(column: str, only: str = "") -> Plant:
    def plant(rows: pd.DataFrame, hit: Chosen, _: np.random.Generator) -> pd.DataFrame:
        here = _at(rows, hit, only)
        return _put(rows, here, **{column: np.nan})

    return plant


@dataclass(frozen=True)
class Fault:
    """A fault that can be planted in a table of a month."""

    table: str
    plant: Plant


FAULTS: dict[str, Fault] = {
    "AA, DL and MQ rotated": Fault("flights", _rotated(["AA", "DL", "MQ"])),
    "F9, HA and YV rotated": Fault("flights", _rotated(["F9", "HA", "YV"])),
    "aircraft dealt anew": Fault("flights", _shuffled(["tailnum"])),
    "destinations dealt anew": Fault("flights", _shuffled(["dest"])),
    "flight numbers dealt anew": Fault("flights", _shuffled(["flight"])),
    "arrival delays dealt anew": Fault("flights", _shuffled(["arr_delay"])),
    "all outcomes dealt anew": Fault("flights", _shuffled(_OUTCOME)),
    "outcomes of the day before": Fault(
        "flights", _day_before(_OUTCOME, ["carrier", "flight", "origin", "dest"])
    ),
    "arrival delays negated": Fault("flights", _scaled("arr_delay", -1)),
    "departure delays in hours": Fault("flights", _scaled("dep_delay", 1 / 60)),
    "distances in kilometres": Fault("flights", _scaled("distance", 1.609)),
    "minutes in the air in seconds": Fault("flights", _scaled("air_time", 60)),
    "instants an hour late": Fault("flights", _an_hour_late),
    "arrivals of JFK lost": Fault("flights", _nulled("arr_delay", "JFK")),
    "flights of LGA lost": Fault("flights", _lost(lambda rows: rows["origin"] == "LGA")),
    "mornings of EWR lost": Fault(
        "flights", _lost(lambda rows: (rows["origin"] == "EWR") & (rows["hour"] < 9))
    ),
    "sky of an hour later": Fault("weather", _moved(1)),
    "sky of an hour before": Fault("weather", _moved(-1)),
    "sky of two hours later": Fault("weather", _moved(2)),
    "sky of an hour later at JFK": Fault("weather", _moved(1, "JFK")),
    "EWR and JFK swapped": Fault("weather", _swapped_origins),
    "Celsius": Fault("weather", _celsius()),
    "Celsius at LGA": Fault("weather", _celsius("LGA")),
    "wind in km/h": Fault("weather", _scaled("wind_speed", 1.609)),
    "wind in km/h at EWR": Fault("weather", _scaled("wind_speed", 1.609, only="EWR")),
    "pressure lost at JFK": Fault("weather", _nulled("pressure", "JFK")),
    "sky of the day before": Fault("weather", _day_before(_SKY, ["origin", "hour"])),
    "rain dealt anew": Fault("weather", _shuffled(["precip"])),
}
