"""The join of served requests with labels: each request with its flight's label, once."""

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL
from pipeline.monitor.performance import labels
from pipeline.monitor.performance.quality import Figures, figures
from pipeline.shared.errors import LabelsRefused
from pipeline.usecase.chosen import USECASE

REQUIRED = [
    *("request_id", "flight", "version", "predict_at", "risk"),
    *USECASE.monitored.required,
]
"""The required columns of a table of requests; it has no outcome."""


def require_requests(served: pd.DataFrame) -> None:
    """Refuse a table with a repeated request, an unknown flight name, or an invalid risk.

    Raises:
        LabelsRefused: names the column, how many rows, and the first of them.
    """
    if missing := [name for name in REQUIRED if name not in served]:
        raise LabelsRefused(f"served requests lack {', '.join(missing)}; add them from the log")
    named = served["flight"].astype(str).str.fullmatch(USECASE.monitored.name_pattern)
    wrong = {
        "request_id": (served["request_id"].duplicated(), "was there before"),
        "flight": (~named, "names no flight"),
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
    """Join each request with its flight's label (NaN: none), local `day` and `deadline`.

    Every request stays one row, in order, even if several share a flight.
    """
    late = table.set_index("flight")["late"].astype("float64")
    flight = served["flight"]
    return served.assign(
        day=labels.dates(flight),
        deadline=USECASE.monitored.deadline(served),
        **{LABEL: flight.map(late).astype("float64"), **USECASE.monitored.from_names(flight)},
    )


def arrays(flights: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome (1, 0 or NaN), risk, and a code of the day, a row per flight."""
    return (
        flights[LABEL].to_numpy(dtype="float64"),
        flights["risk"].to_numpy(dtype="float64"),
        pd.factorize(flights["day"])[0],
    )


def figures_of(flights: pd.DataFrame) -> Figures:
    """The figures of flights that `join_labels` returned."""
    return figures(*arrays(flights))
