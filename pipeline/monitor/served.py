"""What was served: one row a flight with what was known at its T and the risk that was answered.

The request log comes first. Only part of the replay's traffic goes through the online path; every
other flight is scored in a batch, from the same rows (`make skew` holds the two paths against each
other), and each row says which it is. No outcome is in here: those come through the label feed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.features import transform
from pipeline.features.definitions import KNOWN_AT, NUMERIC, PROXY
from pipeline.features.definitions import LABEL as LATE
from pipeline.features.join import historical
from pipeline.features.rows import read, require_plausible, require_point_in_time
from pipeline.features.transform import ZONE, instants
from pipeline.rollout.traffic import published_until
from pipeline.serve.log import SHADOW, answered, features_of, known_at_of
from pipeline.shared import clock
from pipeline.shared.config import FeaturesConfig, IngestConfig, Window, load
from pipeline.shared.contracts import INGEST
from pipeline.shared.files import file_hash, text_hash, write_parquet
from pipeline.shared.model import Model

YEAR = Path("state/monitor")
"""Where the features of months that have not arrived are kept, once made."""
YEAR_ENDS = pd.Timestamp("2014-01-01", tz=ZONE).tz_convert("UTC")
RISK = "risk"
REQUEST_ID = "request_id"
OUTCOMES = [LATE, "late_known_at", PROXY, "dep_late_known_at"]
_SERVED_AS = ["version", "release", "source"]
_SCHEDULE = ["carrier", "origin", "dest", "tailnum", "sched_dep_utc", "sched_hour", "predict_at"]


@dataclass(frozen=True)
class Answerer:
    """Who scores what was not asked for online: a version of the model, and its release."""

    version: str
    release: str
    model: Model


def flights(window: Window) -> pd.DataFrame:
    """A row per flight of a window with features and outcomes, by T, checked for leaks.

    What has arrived is the feature table's; what has not is made from the published year, once.

    Raises:
        TooLittleData: the window is empty, or leads beyond the year.
    """
    arrived = clock.arrived_at(load(IngestConfig).as_of).strftime("%Y-%m-%d")
    frame = read(window) if window.last < arrived else read(window, path=year())
    return frame.assign(flight=flight_names(frame)).sort_values(
        ["predict_at", "flight"], ignore_index=True
    )


def flight_names(frame: pd.DataFrame) -> pd.Series:
    """The name under which each flight is asked for: local date, carrier, number, origin."""
    date = pd.to_datetime(frame[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    number = frame["flight"].astype(str)
    return date + "/" + frame["carrier"] + "/" + number + "/" + frame["origin"]


def year() -> Path:
    """The feature table of the whole published year, made once for a meaning and its data."""
    config, code = load(FeaturesConfig), Path(transform.__file__).parent
    told = [config.model_dump_json(), file_hash(INGEST / "manifest.json")]
    told += [file_hash(path) for path in sorted(code.glob("*.py"))]
    path = YEAR / f"flights-{text_hash(' '.join(told))[:12]}.parquet"
    if not path.is_file():
        flights, weather = published_until(YEAR_ENDS)
        views = transform.views(flights, weather, config)
        frame = historical(transform.requests(flights, config), views, config)
        require_point_in_time(frame)
        require_plausible(frame)
        for left in YEAR.glob("flights-*.parquet"):
            left.unlink()
        write_parquet(path, frame)
    return path


def served(frame: pd.DataFrame, answerer: Answerer, log_url: str | None) -> pd.DataFrame:
    """The flights of `frame` (see `flights`) as they were answered; no outcome is left in it.

    Columns: request_id, flight (its name), version, release, source ("log" or "batch"), the
    schedule, KNOWN_AT, NUMERIC and risk. A flight that was asked for more than once counts by the
    first answer that reached a user. Without a log, all are of a batch.
    """
    rows = frame[["flight", *_SCHEDULE, *KNOWN_AT, *NUMERIC]].assign(
        request_id="batch/" + frame["flight"],
        version=answerer.version,
        release=answerer.release,
        source="batch",
        risk=answerer.model.predict(frame).astype("float64"),
    )
    if log_url is None:
        return rows
    logged = _first_answers(answered(log_url), set(rows["flight"]))
    if not len(logged):
        return rows
    place = pd.Index(rows["flight"]).get_indexer(pd.Index(logged["flight"]))
    told = [REQUEST_ID, "version", "release", RISK]
    for name in told:
        rows.iloc[place, rows.columns.get_loc(name)] = logged[name].to_numpy()
    rows.iloc[place, rows.columns.get_loc("source")] = "log"
    values, known = features_of(logged), known_at_of(logged)
    for column, name in enumerate(NUMERIC):
        rows.iloc[place, rows.columns.get_loc(name)] = values[:, column]
    for column, name in enumerate(KNOWN_AT):
        stamps = instants(known[:, column]).astype(rows[name].dtype)
        rows.iloc[place, rows.columns.get_loc(name)] = stamps.to_numpy()
    return rows


def _first_answers(answers: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Of each flight the first answer that reached a user and rests on features of the store."""
    chosen = answers[(answers["arm"] != SHADOW) & answers["flight"].isin(names)]
    chosen = chosen[chosen["features"].notna()].drop_duplicates("flight")
    several = chosen["row"] > 0
    ids = chosen["request_id"].where(~several, chosen["request_id"] + "#" + chosen["row"].map(str))
    return chosen.assign(request_id=ids).reset_index(drop=True)


def days_of(rows: pd.DataFrame) -> np.ndarray:
    """The local date of each flight, as "2013-04-18": the unit that everything is judged by."""
    return rows["flight"].str.slice(0, 10).to_numpy()


def skewed(frame: pd.DataFrame, rows: pd.DataFrame) -> dict[str, int]:
    """By feature, how many logged rows hold another value than is recomputed for the same T.

    `frame` and `rows` are what `flights` and `served` gave. Rows of a batch are recomputed ones.
    """
    logged = (rows["source"] == "log").to_numpy()
    found = {}
    for name in NUMERIC:
        ours, theirs = (t.loc[logged, name].to_numpy("float32") for t in (frame, rows))
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        if not same.all():
            found[name] = int((~same).sum())
    return found
