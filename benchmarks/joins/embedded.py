"""Ours: the search of features/point_in_time.py, on pandas and NumPy, a part at a time or at once.

By parts, each year of a fleet follows the one before, and takes every entity's last row along.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as parquet

from benchmarks.joins.task import KNOWN, Task
from pipeline.features.point_in_time import as_of


def join(task: Task) -> None:
    """Join every view, a part at a time."""
    for fleet in task.fleets():
        for view, values in task.values.items():
            carried: pd.DataFrame | None = None
            for part in fleet:
                rows = _sorted([carried, _rows([f"{part}/{view}.parquet"])])
                _join([f"{part}/requests.parquet"], view, rows, values, task, part)
                carried = rows.drop_duplicates("entity", keep="last")


def at_once(task: Task) -> None:
    """Join every view with all its rows and all requests in memory."""
    for view, values in task.values.items():
        rows = _sorted([_rows(task.files(view))])
        _join(task.files("requests"), view, rows, values, task, "all")


def _join(
    asked: list[str], view: str, rows: pd.DataFrame, values: list[str], task: Task, part: str
) -> None:
    table = _read(asked, ["id", "at", view])
    positions = as_of(rows, table[view], table["at"].to_numpy())
    there = positions >= 0
    columns = {"id": table["id"].to_numpy(), "at": table["at"].to_numpy()}
    for name in [KNOWN, *values]:
        taken = rows[name].to_numpy()[positions]
        columns[name] = pyarrow.array(taken, mask=~there)
    name = part.rpartition("/")[2]
    parquet.write_table(pyarrow.table(columns), task.target(view) / f"{name}.parquet")


def _read(files: list[str], columns: list[str]) -> pd.DataFrame:
    """Files as one table, whose entities are categorical."""
    tables = [parquet.read_table(file, columns=columns) for file in files]
    return pyarrow.concat_tables(tables).unify_dictionaries().to_pandas()


def _rows(files: list[str]) -> pd.DataFrame:
    tables = [parquet.read_table(file) for file in files]
    return pyarrow.concat_tables(tables).unify_dictionaries().to_pandas()


def _sorted(parts: Iterable[pd.DataFrame | None]) -> pd.DataFrame:
    """Rows by entity and by when they were available, as the search wants them."""
    there = [part for part in parts if part is not None]
    whole = there[0]
    if len(there) > 1:
        entity = pd.api.types.union_categoricals([part["entity"] for part in there])
        whole = pd.concat([part.drop(columns="entity") for part in there], ignore_index=True)
        whole["entity"] = entity
    codes = whole["entity"].cat.codes.to_numpy().astype("int64")
    at = whole["available_at"].to_numpy()
    order = np.lexsort((at, codes))
    return whole.iloc[order] if (np.diff(order) != 1).any() else whole
