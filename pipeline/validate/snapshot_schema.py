"""The schema of a snapshot: its columns in order, their types, its key, and what is never null.

The rules of this file come first: all others presuppose what they demand.
"""

from collections.abc import Iterable

import pandas as pd

from pipeline.shared.expectations import Rules, gxe, refuse
from pipeline.usecase.chosen import USECASE

TABLES = USECASE.tables


def schema_rules(table: str, present: Iterable[str]) -> Rules:
    """The schema rules, which all others presuppose: columns, their order, types and nulls."""
    types, known = TABLES[table].types, set(present)
    return [
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(types), **refuse("columns")),
        *(
            gxe.ExpectColumnTypeToBe(column=column, type_=kind, **refuse("type"))
            for column, kind in types.items()
            if column in known
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=column, **refuse("never-null"))
            for column in TABLES[table].never_null
            if column in known
        ),
    ]


def fits_schema(table: str, rows: pd.DataFrame) -> bool:
    """Whether a snapshot has the columns and types to serve as a reference."""
    return {str(name): str(kind) for name, kind in rows.dtypes.items()} == TABLES[table].types
