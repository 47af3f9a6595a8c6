"""The data gate's invariants as expectations on served rows.

The possible values of a feature are declared once, with the features; here they become expectations
on the request log, with nulls, known categories and unique requests.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.features.definitions import NAME, RANGES, REQUEST, ROLLING
from pipeline.shared import expectations
from pipeline.shared.expectations import RuleResult, Rules, gxe, refuse
from pipeline.usecase.chosen import USECASE

NEVER_MISSING = ["request_id", NAME, "version", "release", "predict_at", "risk", *REQUEST]
ALWAYS_KNOWN = [r.name for r in ROLLING if r.view == "system" and r.hours >= 3]
"""Features over all events, which are never missing: the outcome of one is always just known."""


def _rules() -> Rules:
    """The rules for every served row of any month."""
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
        *(
            gxe.ExpectColumnValuesToBeInSet(column=column, value_set=values, **refuse("known"))
            for column, values in USECASE.monitored.known.items()
        ),
    ]


def apply_rules(name: str, rows: pd.DataFrame, docs: Path | None) -> list[RuleResult]:
    """Apply each rule to served rows; with `docs` write Great Expectations' own pages there."""
    context: Any = expectations.new_context()
    found = expectations.run_rules(context, name, rows, _rules())
    if docs is not None:
        expectations.write_docs(context, docs)
    return found
