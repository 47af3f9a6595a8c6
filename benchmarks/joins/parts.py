"""The year's rows, and many times as many: later years of the same fleets, and further fleets.

A later year is the year moved by whole weeks, so far that no row of one reaches into the next. A
further fleet has aircraft, routes, carriers and airports of its own: other names, the same flights.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as parquet

from benchmarks.study import Raw
from pipeline.features.definitions import VIEWS
from pipeline.features.windows import entity_keys, entity_names, minutes

WEEKS = 58
"""Weeks from one year to the next: a year, and the 28 days after which its last window is empty."""
SHAPES = {1: (1, 1), 10: (2, 5), 100: (10, 10)}
"""By how many times the rows: fleets, and years of each."""
INSTANTS = ("at", "known_at", "available_at", "ready", "landed_at")
"""Columns in minutes, which move with the year."""


def names(times: int) -> list[str]:
    """The parts of a size, "<fleet>-<year>", years of a fleet in order."""
    fleets, years = SHAPES[times]
    return [f"{fleet}-{year}" for fleet in range(fleets) for year in range(years)]


def first(raw: Raw) -> dict[str, pyarrow.Table]:
    """The year itself: requests with each view's entity, and each view's rows."""
    keys = entity_keys(raw.asked)
    asked = pd.DataFrame({"id": np.arange(len(keys)), "at": minutes(raw.asked["predict_at"])})
    asked = asked.assign(**{view: entity_names(keys, view).array for view in VIEWS})
    tables = {"requests": pyarrow.Table.from_pandas(asked, preserve_index=False)}
    for view, rows in raw.views.items():
        tables[view] = pyarrow.Table.from_pandas(rows, preserve_index=False)
    return {name: table.replace_schema_metadata(None) for name, table in tables.items()}


def write(year: dict[str, pyarrow.Table], folder: Path, name: str) -> Path:
    """Write a part, unless it is there."""
    to = folder / name
    if to.is_dir():
        return to
    to.mkdir(parents=True)
    fleet, later = map(int, name.split("-"))
    for table, rows in year.items():
        moved = _moved(rows, fleet, later)
        parquet.write_table(moved, to / f"{table}.parquet", compression="zstd", compression_level=1)
    return to


def _moved(rows: pyarrow.Table, fleet: int, later: int) -> pyarrow.Table:
    """A table of a later year and another fleet; its requests have numbers of their own."""
    columns = {}
    for name in rows.column_names:
        column = rows[name].combine_chunks()
        if isinstance(column, pyarrow.DictionaryArray):
            column = _renamed(column, fleet)
        elif name in INSTANTS:
            column = _later(column, later * WEEKS * 7 * 24 * 60)
        elif name == "id":
            column = pyarrow.array(column.to_numpy() + (fleet * 1000 + later) * 1_000_000)
        columns[name] = column
    return pyarrow.table(columns)


def _renamed(column: pyarrow.DictionaryArray, fleet: int) -> pyarrow.DictionaryArray:
    """Entities of another fleet; "", for an aircraft that is not known, stays what it is."""
    texts = column.dictionary.to_pylist()
    there = [f"{text}~{fleet}" if fleet and text else text for text in texts]
    indices = column.indices.cast("int32")  # a hundred fleets have more names than one
    return pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array(there))


def _later(column: pyarrow.Array, by: int) -> pyarrow.Array:
    """Instants moved; what is missing stays missing."""
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        return pyarrow.array(values + by)
    never = np.iinfo("int64").min
    return pyarrow.array(np.where(values == never, never, values + by))
