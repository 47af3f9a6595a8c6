"""One prediction, step by step: what was known, what was made of it, who answered, what came of it.

Everything is computed again, from the published tables by training's own join, and held against
what was logged. Where the two differ, that is the explanation, and it is said first.
"""

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import KNOWN_AT, LABEL, NUMERIC, REQUEST, VIEWS
from pipeline.features.feature_table import read
from pipeline.features.on_demand import sources
from pipeline.features.online_store import STALE
from pipeline.features.windows import NEVER, instant, minutes
from pipeline.monitor.explanation_report import explanation_report, text
from pipeline.monitor.raw_events import Behind, Known, behind, known_of, number, view_of
from pipeline.records import rollout_ledger as ledger
from pipeline.records.request_log import features_of, known_at_of, last_id, read_predictions
from pipeline.records.retention import removals
from pipeline.registry import versions
from pipeline.registry.release import TRAINING
from pipeline.registry.release_loader import Loaded, export, loaded
from pipeline.shared import clock
from pipeline.shared.callers import DIRECT, SHADOW, STRANGER
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.contracts import MONITOR, Record, Training, read_record
from pipeline.shared.errors import RequestUnknown, SkewFound
from pipeline.shared.files import parse_json, write_json, write_text

FOLDER = MONITOR / "explain"
FLIGHT = re.compile(r"\d{4}-\d\d-\d\d/[A-Z0-9]{2}/\d{1,4}/[A-Z]{3}")
TOLERANCE = 1e-6
"""How far a risk may be from the one that is computed again: the model's inputs are float32."""


class Feature(Record):
    """A feature as it should be and, if it was logged, as it was; `why` says where they differ.

    `counts` is how much higher the risk is than with the median of the model's training window in
    its place: what this model makes of the value, not what the value does to the flight.
    """

    name: str
    view: str
    value: float | None
    known_at: str | None
    age_minutes: int | None
    logged: float | None
    why: str
    counts: float
    behind: Behind | None


class Explanation(Record):
    """Everything about one prediction; `differs` holds what is not as it was logged."""

    request_id: str | None
    row: int
    flight: str
    predict_at: str
    served: str
    ledger: str
    inputs: dict[str, str | float | None]
    risk: float
    logged_risk: float | None
    label: str
    features: list[Feature]
    differs: list[str]


def explain(request: str | None = None, row: int | None = None) -> str:
    """Explain an answer of the log, the newest if none is named, or what a flight would be given.

    Raises:
        RequestUnknown: the log has no such answer, or there is no such flight.
        DayUnknown: the flight lies beyond what was published.
        SkewFound: a feature or the risk is not the one that is computed again.
    """
    if request is not None and FLIGHT.fullmatch(request):
        answer = _newest_of(flight=request)
        flight = request
    else:
        answer = _answer(request, row)
        flight = _flight(answer)
    known = known_of(flight)
    release = loaded(answer["release"] if answer else _champion_at(known))
    told = _explained(known, release, flight, answer)
    path = FOLDER / f"{re.sub(r'[^A-Za-z0-9_-]', '-', request or told.request_id or flight)}.json"
    write_json(path, told.model_dump())
    write_text(path.with_suffix(".html"), explanation_report(told))
    if told.differs:
        raise SkewFound(
            f"{told.differs[0]}; {len(told.differs)} of {len(NUMERIC) + 1} values differ from what "
            f"was known\n{text(told)}\n-> {path}; `make skew` holds a whole day against training"
        )
    return f"{text(told)}\n-> {path}"


def _answer(request: str | None, row: int | None) -> dict[str, Any]:
    """The answer with this id, a user's own before a shadow's; the newest if none is named."""
    url = load(ServeConfig).log_url.get_secret_value()
    last = last_id(url)
    found = (
        read_predictions(url, request_id=request) if request else read_predictions(url, last - 1)
    )
    found = found[found["row"] == (row or 0)] if request else found
    if found.empty:
        gone = int(removals(url)["answers"].sum())
        told = f"; {gone:,} older ones were removed by `make prune`" if gone else ""
        raise RequestUnknown(
            f"the log has no answer {request or 'at all'!r}, row {row or 0}, its newest is number "
            f"{last}{told}: serve one with `make server`, or name a flight, as in `make explain "
            "REQUEST=2013-04-18/UA/1545/EWR`"
        )
    first = found.sort_values("arm", key=lambda arm: arm == SHADOW, kind="stable").iloc[0]
    return dict(zip(found.columns, first, strict=True))


def _newest_of(**equal: Any) -> dict[str, Any] | None:
    """The newest answer that reached a known caller, or else somebody who tried the server."""
    found = read_predictions(load(ServeConfig).log_url.get_secret_value(), **equal)
    found = found[~found["arm"].isin([SHADOW, STRANGER])]
    found = found.sort_values("arm", key=lambda arm: arm != DIRECT, kind="stable")
    return None if found.empty else dict(zip(found.columns, found.iloc[-1], strict=True))


def _flight(answer: dict[str, Any]) -> str:
    if answer["flight"] is None:
        raise RequestUnknown(
            f"{answer['request_id']} row {answer['row']} names no flight: its features came in the "
            f"request and 0 of {len(NUMERIC)} were logged; ask who sent them, or name a flight: "
            "`make explain REQUEST=2013-04-18/UA/1545/EWR`"
        )
    return str(answer["flight"])


def _champion_at(known: Known) -> str:
    """The release that would have answered at T: the ledger's, or the champion of today."""
    entry = ledger.entry_at(_instant(known.asked["predict_at"]))
    return entry.move.champion.release if entry else export(versions.CHAMPION)


def _explained(
    known: Known, release: Loaded, flight: str, answer: dict[str, Any] | None
) -> Explanation:
    flags = parse_json(answer["flags"].encode()) if answer else {}
    asked = _as_served(known.asked, flags)
    risk = float(release.model.predict(asked)[0])
    features = _features(known, release, asked, answer, flags, risk)
    logged = float(answer["risk"]) if answer else None
    differs = [feature.why for feature in features if feature.why]
    if logged is not None and not abs(risk - logged) <= TOLERANCE:
        differs.append(f"risk {logged:.6f} was answered, {risk:.6f} is computed again")
    raw = known.asked.iloc[0]
    names = ("carrier", "flight", "origin", "dest", "tailnum", *REQUEST)
    return Explanation(
        request_id=answer["request_id"] if answer else None,
        row=int(answer["row"]) if answer else 0,
        flight=flight,
        predict_at=_shown(raw["predict_at"]),
        served=_served(release, answer),
        ledger=_ledger(_instant(known.asked["predict_at"])),
        inputs={name: _plain(raw[name]) for name in names},
        risk=risk,
        logged_risk=logged,
        label=_label(raw),
        features=features,
        differs=differs,
    )


def _as_served(asked: pd.DataFrame, flags: dict[str, str]) -> pd.DataFrame:
    """Without what the server withheld because a view had fallen behind, as the log says it did."""
    stale = {view for view, flag in flags.items() if flag == STALE}
    gone = [name for name in NUMERIC if sources(name) & stale]
    return asked.assign(**dict.fromkeys(gone, np.float32("nan")))


def _features(
    known: Known,
    release: Loaded,
    asked: pd.DataFrame,
    answer: dict[str, Any] | None,
    flags: dict[str, str],
    risk: float,
) -> list[Feature]:
    """Every feature, those that count for most first."""
    row = pd.DataFrame([answer]) if answer else None
    values = features_of(row)[0] if row is not None else None
    instants = known_at_of(row)[0].tolist() if row is not None else [NEVER] * len(VIEWS)
    then = dict(zip(VIEWS, instants, strict=True))
    usual = _with_medians(release, asked)
    found = []
    for place, name in enumerate(NUMERIC):
        view, value = view_of(name), asked[name].iloc[0]
        at = known.asked[f"{view}_known_at"].iloc[0] if f"{view}_known_at" in KNOWN_AT else None
        logged = None if values is None else values[place]
        found.append(
            Feature(
                name=name,
                view=f"{view} ({flags[view]})" if view in flags else view,
                value=number(value),
                known_at=None if at is None or pd.isna(at) else _shown(at),
                age_minutes=None if at is None or pd.isna(at) else _age(known, at),
                logged=None if logged is None else number(logged),
                why=_why(name, value, logged, at, then.get(view, NEVER)),
                counts=risk - usual[place],
                behind=behind(known, name),
            )
        )
    return sorted(found, key=lambda feature: -abs(feature.counts))


def _with_medians(release: Loaded, asked: pd.DataFrame) -> np.ndarray:
    """The risk with each of NUMERIC, in its turn, at the median of the training window."""
    training = read_record(Training, release.folder / TRAINING, "train")
    first, last = training.window.split("..")
    medians = read(Window(first=first, last=last))[NUMERIC].median()
    rows = pd.concat([asked] * len(NUMERIC), ignore_index=True)
    for place, name in enumerate(NUMERIC):
        rows.loc[place, name] = np.float32(medians[name])
    return release.model.predict(rows)


def _why(name: str, value: float, logged: float | None, at: Any, then: int) -> str:
    """What to say of a feature that was logged otherwise than it should have been; "" if it was."""
    if logged is None or value == logged or (np.isnan(value) and np.isnan(logged)):
        return ""
    said = "nothing known" if then == NEVER else f"as known at {_shown(instant(then))}"
    right = "nothing known" if at is None or pd.isna(at) else f"as known at {_shown(at)}"
    if name in REQUEST:
        said, right = "as the caller said", "as the schedule has it"
    return f"{name} was {logged:g} ({said}), should have been {value:g} ({right})"


def _served(release: Loaded, answer: dict[str, Any] | None) -> str:
    model = f"version {release.number} ({release.release[:12]})"
    if answer is None:
        return f"not served; as it would be by {model}"
    at = datetime.fromtimestamp(answer["answered_at"], UTC)
    took = 1000 * answer["seconds"]
    return f"{model} as {answer['arm']}, in {took:.1f} ms, on {at:%Y-%m-%d %H:%M}Z of our clock"


def _ledger(at: datetime) -> str:
    """Who served at T, by the ledger."""
    entry = ledger.entry_at(at)
    if entry is None:
        return "nothing served yet"
    told = [f"{side.label} {share / 100:g}%" for side, share in ledger.serving_shares(entry.move)]
    return f"{' and '.join(told)}, since {entry.move.event!r} in {entry.move.rollout}"


def _label(raw: pd.Series) -> str:
    """What came of the flight, if the replay knows by now."""
    now = pd.Timestamp(ledger.now(clock.arrived_at(load(IngestConfig).as_of)))
    known_at = raw[f"{LABEL}_known_at"]
    if known_at <= now:
        return f"{'late' if raw[LABEL] else 'not late'}, known at {_shown(known_at)}"
    landing = raw["sched_dep_utc"] + pd.Timedelta(minutes=int(raw["block_minutes"]))
    return f"not matured before {_shown(landing)}, when it is to land; now is {_shown(now)}"


def _age(known: Known, at: pd.Timestamp) -> int:
    return known.at - int(minutes(pd.Series([at]))[0])


def _instant(column: pd.Series) -> datetime:
    return pd.Timestamp(column.iloc[0]).to_pydatetime()


def _plain(value: Any) -> str | float | None:
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else float(value)


def _shown(at: pd.Timestamp) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"
