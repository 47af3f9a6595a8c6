"""What was served: one row a flight with what was known at its T and the risk that was answered.

The request log comes first. Only part of the replay's traffic goes through the online path; every
other flight is scored in a batch, from the same rows (`make skew` holds the two paths against each
other), and each row says which it is. No outcome is in here: those come through the label feed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import KNOWN_AT, NUMERIC
from pipeline.features.feature_table import ROWS, read, require_plausible, require_point_in_time
from pipeline.features.names import flight_names
from pipeline.features.point_in_time import historical
from pipeline.features.windows import instants
from pipeline.records.arrivals import YEAR_ENDS, read_until
from pipeline.records.request_log import count, features_of, known_at_of, read_predictions
from pipeline.registry.model import Model
from pipeline.shared import clock
from pipeline.shared.callers import DIRECT, STRANGER, UNPROVEN
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.contracts import INGEST
from pipeline.shared.files import file_hash, members, text_hash, write_parquet

KEPT = Path("state/monitor")
"""Where what costs seconds is kept, once made: features of months to come, and fits."""
RISK = "risk"
_SCHEDULE = ["carrier", "origin", "dest", "tailnum", "sched_dep_utc", "sched_hour", "predict_at"]


@dataclass(frozen=True)
class Answerer:
    """Who scores what was not asked for online: a version of the model, and its release."""

    version: str
    release: str
    model: Model


def flights(window: Window) -> pd.DataFrame:
    """A row per flight of a window with its `name`, features and outcomes, by T, checked for leaks.

    What has arrived is the feature table's; what has not is made from the published year, once.

    Raises:
        TooLittleData: the window is empty, or leads beyond the year.
    """
    frame = read(window, path=table_of(window))
    return frame.assign(name=flight_names(frame)).sort_values(
        ["predict_at", "name"], ignore_index=True
    )


def table_of(window: Window) -> Path:
    """Where a window's flights are: the feature table if they have arrived, else the year's."""
    arrived = clock.arrived_at(load(IngestConfig).as_of).strftime("%Y-%m-%d")
    return ROWS if window.last < arrived else year()


def year() -> Path:
    """The feature table of the whole published year, made once for a meaning and its data."""
    config, code = load(FeaturesConfig), Path(windows.__file__).parent
    told = [config.model_dump_json(), file_hash(INGEST / "manifest.json")]
    told += [file_hash(path) for path in members(code, "*.py")]
    path = KEPT / f"flights-{text_hash(' '.join(told))[:12]}.parquet"
    if not path.is_file():
        flights, weather = read_until(YEAR_ENDS)
        views = windows.views(flights, weather, config)
        frame = historical(windows.requests(flights, config), views, config)
        require_point_in_time(frame)
        require_plausible(frame)
        for left in KEPT.glob("flights-*.parquet"):
            left.unlink()
        write_parquet(path, frame)
    return path


def served(
    frame: pd.DataFrame, answerer: Answerer, log_url: str | None, after: int = 0
) -> pd.DataFrame:
    """The flights of `frame` (see `flights`) as they were answered; no outcome is left in it.

    Columns: request_id, flight (its name), version, release, source ("log" or "batch"), the
    schedule, KNOWN_AT, NUMERIC and risk. A flight that was asked for more than once counts by the
    first answer that reached a user, of those `after` a row of the log. Without one, all are of a
    batch. A request of somebody who is not known, past the proxy or through it, is nobody's flight.
    """
    rows = frame[[*_SCHEDULE, *KNOWN_AT, *NUMERIC]].assign(
        flight=frame["name"],
        request_id="batch/" + frame["name"],
        version=answerer.version,
        release=answerer.release,
        source="batch",
        risk=answerer.model.predict(frame).astype("float64"),
    )
    if log_url is None:
        return rows
    logged = _first_answers(read_predictions(log_url, after), set(rows["flight"]))
    if not len(logged):
        return rows
    values = pd.DataFrame(features_of(logged), columns=NUMERIC)
    known = known_at_of(logged)
    times = {
        name: instants(known[:, column]).astype(rows[name].dtype)
        for column, name in enumerate(KNOWN_AT)
    }
    told = logged[["flight", "request_id", "version", "release", RISK]].assign(
        source="log", **times
    )
    online = pd.concat([told, values], axis=1).set_index("flight")
    found = rows.set_index("flight")
    found.loc[online.index, online.columns] = online
    return found.reset_index()[list(rows)]


def by_hand(frame: pd.DataFrame, log_url: str) -> int:
    """How many answers about flights of `frame` went to somebody unknown, and so count nowhere."""
    return count(log_url, [DIRECT, STRANGER], frame["name"].unique().tolist())


def _first_answers(answers: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Of each flight the first answer that reached a user and rests on features of the store."""
    chosen = answers[~answers["arm"].isin(UNPROVEN) & answers["flight"].isin(names)]
    chosen = chosen[chosen["features"].notna()].drop_duplicates("flight")
    several = chosen["row"] > 0
    ids = chosen["request_id"].where(~several, chosen["request_id"] + "#" + chosen["row"].map(str))
    return chosen.assign(request_id=ids).reset_index(drop=True)


def days_of(names: pd.Series) -> np.ndarray:
    """The local date in each flight's name, as "2013-04-18": everything is judged by days."""
    return names.str.slice(0, 10).to_numpy(dtype="U10")


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
