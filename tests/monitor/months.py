"""Months of the small project as they are watched: flags beside labels, and a log of answers."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import KNOWN_AT, NUMERIC, PROXY
from pipeline.features.feature_table import ROWS
from pipeline.features.windows import NEVER, minutes
from pipeline.flights.names import flight_names
from pipeline.monitor.monitored_model import load_champion
from pipeline.monitor.predictions import events_of_window
from pipeline.monitor.report import look_at
from pipeline.records.request_log import LoggedPrediction, pack
from pipeline.records.request_log_writer import open_log
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.files import write_parquet
from tests.builders import feature_rows

MARCH = Window(first="2013-03-01", last="2013-03-31")
COMPLETE = pd.Timestamp("2013-04-01T10:00Z")
"""March's last label has come."""
DAY = pd.Timedelta(days=1)
_SEEN: dict[str, Any] = {}


def arrive(**changes: Any) -> pd.DataFrame:
    """Let April arrive, and the departure flag of every flight; `changes` as in `assign`."""
    april = feature_rows(1_800, "2013-04-01", 30, seed=2)
    rows = pd.concat([pd.read_parquet(ROWS), april], ignore_index=True)
    wrong = np.random.default_rng(3).random(len(rows)) < 0.1
    rows[PROXY] = np.where(wrong, 1 - rows["late"], rows["late"]).astype("int8")
    rows[f"{PROXY}_known_at"] = rows["sched_dep_utc"] + pd.Timedelta(minutes=15)
    return told(rows.assign(**changes))


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """Let these be the table of features."""
    write_parquet(ROWS, rows)
    return rows


def as_served(rows: pd.DataFrame, risk: np.ndarray | None = None) -> pd.DataFrame:
    """Rows of the table as a batch would have answered them, without a model."""
    names = flight_names(rows)
    risk = np.linspace(0.01, 0.9, len(rows)) if risk is None else risk
    return rows.assign(
        flight=names,
        request_id="batch/" + names,
        version="1",
        release="f" * 64,
        source="batch",
        risk=risk,
    )


def log(rows: pd.DataFrame, **changes: Any) -> None:
    """Log the champion's answers to rows of `flights`; `changes` are of answers, or a list."""
    known = np.column_stack([minutes(rows[name]) for name in KNOWN_AT])
    features = pack(rows[NUMERIC].to_numpy("float32"), "<f4")
    answers = []
    for place, name in enumerate(rows["name"]):
        told = {
            "request_id": f"r{place}",
            "row": 0,
            "arm": "champion",
            "version": "7",
            "release": "e" * 64,
            "name": name,
            "predict_at": int(minutes(rows["predict_at"])[place]),
            "features": features[place],
            "known_at": pack(known[[place]], "<i8")[0],
            "flags": "{}",
            "risk": 0.25,
            "answered_at": 0.0,
            "seconds": 0.002,
        }
        own = {k: v[place] if isinstance(v, list) else v for k, v in changes.items()}
        answers.append(LoggedPrediction(**told | own))
    with open_log(load(ServeConfig).log_url.get_secret_value(), len(answers)) as opening:
        opening.add(answers)


def never() -> bytes:
    """As a log says that no view was known."""
    return pack(np.full((1, len(KNOWN_AT)), NEVER), "<i8")[0]


def the_champion() -> Any:
    """The small project's champion, if March is new to it."""
    return load_champion(MARCH.first)


def seen() -> Any:
    """March of the small project as it was found, looked at once: nothing happened in it."""
    if "march" not in _SEEN:
        arrive()
        _SEEN["march"] = look_at(MARCH, COMPLETE)
    return _SEEN["march"]


def march() -> pd.DataFrame:
    """March's flights, as the monitor reads them."""
    return events_of_window(MARCH)
