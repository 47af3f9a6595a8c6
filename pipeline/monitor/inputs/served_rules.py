"""The rules of the data gate on rows that were served: the same invariants, where they matter most.

What a feature can mean at all is declared once, with the features; here it becomes expectations on
the request log, beside nulls, known categories and unique requests.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.features.definitions import CARRIERS, ORIGINS, RANGES, REQUEST, ROLLING
from pipeline.shared import expectations
from pipeline.shared.expectations import Outcome, Rules, gxe, refuse

NEVER_MISSING = ["request_id", "flight", "version", "release", "predict_at", "risk", *REQUEST]
ALWAYS_KNOWN = [r.name for r in ROLLING if r.view == "system" and r.hours >= 3]
"""Features over all flights: some flight has always just landed."""


def rules() -> Rules:
    """What every served row has to be, whatever the month."""
    ranges = {"risk": (0.0, 1.0), **RANGES}
    return [
        gxe.ExpectColumnValuesToBeUnique(column="request_id", **refuse("unique-request")),
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=column, **refuse("never-null"))
            for column in [*NEVER_MISSING, *ALWAYS_KNOWN]
        ),
        *(
            gxe.ExpectColumnValuesToBeBetween(
                column=column, min_value=low, max_value=high, **refuse("range")
            )
            for column, (low, high) in ranges.items()
        ),
        gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=ORIGINS, **refuse("known")),
        gxe.ExpectColumnValuesToBeInSet(column="carrier", value_set=CARRIERS, **refuse("known")),
    ]


def apply_rules(name: str, rows: pd.DataFrame, docs: Path | None) -> list[Outcome]:
    """What each rule found in served rows; Great Expectations' own pages go to `docs` if asked."""
    context: Any = expectations.new_context()
    found = expectations.outcomes(context, name, rows, rules())
    if docs is not None:
        expectations.write_docs(context, docs)
    return found
