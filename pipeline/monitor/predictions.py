"""The served predictions: a row per event with its features as known at T, and its risk.

The request log has priority. Only part of the replay's traffic goes through the online path; every
other event is scored in a batch from the same rows (`make skew` compares the two paths), and each
row names its source. Outcomes are excluded: they come through the label feed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import KNOWN_AT, NAME, NUMERIC
from pipeline.features.feature_table import ROWS, read, require_plausible, require_point_in_time
from pipeline.features.point_in_time import historical
from pipeline.features.windows import instants
from pipeline.records.arrivals import read_until
from pipeline.records.request_log import (
    count,
    features_of,
    known_at_of,
    last_id,
    read_predictions,
)
from pipeline.records.retention import removals
from pipeline.registry.model import Model
from pipeline.shared import clock
from pipeline.shared.callers import DIRECT, SHADOW, STRANGER, UNPROVEN
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.contracts import INGEST, Manifest, read_record
from pipeline.shared.errors import RequestUnknown
from pipeline.shared.files import file_hash, members, text_hash, write_parquet
from pipeline.usecase.chosen import USECASE

CACHE = Path("state/monitor")
"""The cache of slow results: features of months to come, and fits."""
RISK = "risk"
_SCHEDULE = [*USECASE.monitored.schedule, "predict_at"]


@dataclass(frozen=True)
class ScoringModel:
    """The version, release and model that score events without an online prediction."""

    version: str
    release: str
    model: Model


def events_of_window(window: Window) -> pd.DataFrame:
    """A row per event of a window with `name`, features and outcomes, by T, checked for leaks.

    Arrived months come from the feature table, later ones from the cached table of the year.

    Raises:
        TooLittleData: the window is empty, or reaches beyond the year.
    """
    frame = read(window, path=table_of(window))
    return frame.assign(name=USECASE.names_of(frame)).sort_values(
        ["predict_at", "name"], ignore_index=True
    )


def table_of(window: Window) -> Path:
    """The path of a window's events: the feature table if they have arrived, else the year's."""
    arrived = clock.arrived_at(load(IngestConfig).as_of).strftime("%Y-%m-%d")
    return ROWS if window.last < arrived else year_table()


def year_table() -> Path:
    """The path of the whole year's feature table, cached by feature definitions and data.

    Raises:
        ArtifactMissing: nothing has arrived yet.
    """
    config, code = load(FeaturesConfig), Path(windows.__file__).parent
    arrived = read_record(Manifest, INGEST / "manifest.json", "ingest")
    parts = [config.model_dump_json(), arrived.model_dump_json()]
    parts += [file_hash(path) for path in members(code, "*.py")]
    path = CACHE / f"{USECASE.noun}-{text_hash(' '.join(parts))[:12]}.parquet"
    if not path.is_file():
        events, context = read_until()
        views = windows.views(events, context, config)
        frame = historical(windows.requests(events, config), views, config)
        require_point_in_time(frame)
        require_plausible(frame)
        for left in CACHE.glob(f"{USECASE.noun}-*.parquet"):
            left.unlink()
        write_parquet(path, frame)
    return path


def served_predictions(
    frame: pd.DataFrame, scorer: ScoringModel, log_url: str | None, after: int = 0
) -> pd.DataFrame:
    """The served prediction of each event of `frame` (see `events_of_window`), without outcomes.

    Columns: request_id, NAME, version, release, source ("log" or "batch"), the
    schedule, KNOWN_AT, NUMERIC and risk. Of several requests for an event the first that reached a
    user counts, of those `after` a row of the log. Without a log all are of a batch. Requests of
    unknown callers, past the proxy or through it, are left out.
    """
    rows = frame[[*_SCHEDULE, *KNOWN_AT, *NUMERIC]].assign(
        **{NAME: frame["name"]},
        request_id="batch/" + frame["name"],
        version=scorer.version,
        release=scorer.release,
        source="batch",
        risk=scorer.model.predict(frame).astype("float64"),
    )
    if log_url is None:
        return rows
    logged = _first_answers(read_predictions(log_url, after), set(rows[NAME]))
    if not len(logged):
        return rows
    values = pd.DataFrame(features_of(logged), columns=NUMERIC)
    known = known_at_of(logged)
    times = {
        name: instants(known[:, column]).astype(rows[name].dtype)
        for column, name in enumerate(KNOWN_AT)
    }
    logged_columns = logged[[NAME, "request_id", "version", "release", RISK]].assign(
        source="log", **times
    )
    online = pd.concat([logged_columns, values], axis=1).set_index(NAME)
    found = rows.set_index(NAME)
    found.loc[online.index, online.columns] = online
    return found.reset_index()[list(rows)]


def count_unknown_callers(frame: pd.DataFrame, log_url: str) -> int:
    """Count the predictions for events of `frame` to unknown callers, which are left out."""
    return count(log_url, [DIRECT, STRANGER], frame["name"].unique().tolist())


def newest_prediction(name: str, log_url: str) -> dict[str, Any] | None:
    """The newest row of the log for an event and a known caller, or else for a direct one."""
    same: dict[str, Any] = {NAME: name}
    found = read_predictions(log_url, **same)
    found = found[~found["arm"].isin([SHADOW, STRANGER])]
    found = found.sort_values("arm", key=lambda arm: arm != DIRECT, kind="stable")
    return None if found.empty else dict(zip(found.columns, found.iloc[-1], strict=True))


def logged_prediction(request: str | None, row: int | None) -> dict[str, Any]:
    """The logged prediction with this id, a user's before a shadow's; by default the newest.

    Raises:
        RequestUnknown: there is none.
    """
    url = load(ServeConfig).log_url.get_secret_value()
    last = last_id(url)
    found = (
        read_predictions(url, request_id=request) if request else read_predictions(url, last - 1)
    )
    found = found[found["row"] == (row or 0)] if request else found
    if found.empty:
        words, gone = USECASE.words, int(removals(url)["answers"].sum())
        pruned = f"; {gone:,} older ones were removed by `make prune`" if gone else ""
        wanted = f"no answer {request!r}, row {row or 0}," if request else "no answer,"
        raise RequestUnknown(
            f"the log has {wanted} of {last:,} that were written{pruned}: serve one with `make "
            f"serve-http`, or name {words.one}, as in `make explain REQUEST={words.example}`"
        )
    first = found.sort_values("arm", key=lambda arm: arm == SHADOW, kind="stable").iloc[0]
    return dict(zip(found.columns, first, strict=True))


def name_in(answer: dict[str, Any]) -> str:
    """The name of a logged prediction's event.

    Raises:
        RequestUnknown: it names none.
    """
    words = USECASE.words
    if answer[NAME] is None:
        raise RequestUnknown(
            f"{answer['request_id']} row {answer['row']} names no {words.event}: its features "
            f"came in the request and 0 of {len(NUMERIC)} were logged; ask who sent them, or name "
            f"{words.one}: `make explain REQUEST={words.example}`"
        )
    return str(answer[NAME])


def _first_answers(answers: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Each event's first prediction that reached a user and used features of the store."""
    chosen = answers[~answers["arm"].isin(UNPROVEN) & answers[NAME].isin(names)]
    chosen = chosen[chosen["features"].notna()].drop_duplicates(NAME)
    several = chosen["row"] > 0
    ids = chosen["request_id"].where(~several, chosen["request_id"] + "#" + chosen["row"].map(str))
    return chosen.assign(request_id=ids).reset_index(drop=True)


def days_of(names: pd.Series) -> np.ndarray:
    """The local date in each event's name, as "2013-04-18"."""
    return names.str.slice(0, 10).to_numpy(dtype="U10")


def count_skew(frame: pd.DataFrame, rows: pd.DataFrame) -> dict[str, int]:
    """Count, by feature, the logged rows whose value differs from the one recomputed for T.

    `frame` and `rows` come from `events_of_window` and `served_predictions`. Batch rows are
    recomputed ones.
    """
    logged = (rows["source"] == "log").to_numpy()
    found = {}
    for name in NUMERIC:
        ours, theirs = (t.loc[logged, name].to_numpy("float32") for t in (frame, rows))
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        if not same.all():
            found[name] = int((~same).sum())
    return found
