"""The join of served requests with labels: each request with its event's label, once."""

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, NAME
from pipeline.monitor.performance import delayed_labels
from pipeline.monitor.performance.quality import Figures, figures
from pipeline.shared.errors import LabelsRefused
from pipeline.usecase.chosen import USECASE

REQUIRED = [
    *("request_id", NAME, "version", "predict_at", "risk"),
    *USECASE.monitored.required,
]
"""The required columns of a table of requests; it has no outcome."""


def require_requests(served: pd.DataFrame) -> None:
    """Refuse a table with a repeated request, an unknown name, or an invalid risk.

    Raises:
        LabelsRefused: names the column, how many rows, and the first of them.
    """
    if missing := [name for name in REQUIRED if name not in served]:
        raise LabelsRefused(f"served requests lack {', '.join(missing)}; add them from the log")
    named = served[NAME].astype(str).str.fullmatch(USECASE.monitored.name_pattern)
    wrong = {
        "request_id": (served["request_id"].duplicated(), "was there before"),
        NAME: (~named, f"names no {USECASE.words.event}"),
        "risk": (~served["risk"].between(0, 1), "is no probability"),
    }
    for name, (broken, what) in wrong.items():
        if broken.any():
            raise LabelsRefused(
                f"{name} of {int(broken.sum()):,} of {len(served):,} served requests {what}: "
                f"{served[broken].iloc[0][name]!r}; make the table one row per request, from the "
                "log's `request_id`"
            )


def join_labels(served: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Join each request with its event's label (NaN: none), local `day` and `deadline`.

    Every request stays one row, in order, even if several share an event.
    """
    late = table.set_index(NAME)["late"].astype("float64")
    names = served[NAME]
    return served.assign(
        day=delayed_labels.dates(names),
        deadline=USECASE.monitored.deadline(served),
        **{LABEL: names.map(late).astype("float64"), **USECASE.monitored.from_names(names)},
    )


def arrays(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome (1, 0 or NaN), risk, and a code of the day, a row each."""
    return (
        rows[LABEL].to_numpy(dtype="float64"),
        rows["risk"].to_numpy(dtype="float64"),
        pd.factorize(rows["day"])[0],
    )


def figures_of(rows: pd.DataFrame) -> Figures:
    """The figures of rows that `join_labels` returned."""
    return figures(*arrays(rows))
