"""Explanation of one prediction: its features, the model's use of them, the release, the label.

Everything is recomputed from the published tables by training's own point-in-time join, and
compared with the log. Differences are the explanation, so they come first.
"""

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import (
    KEYS,
    KNOWN_AT,
    LABEL,
    NUMERIC,
    REQUEST,
    REQUEST_KEY,
    VIEWS,
)
from pipeline.features.feature_table import read
from pipeline.features.on_demand import sources
from pipeline.features.online_store import STALE
from pipeline.features.windows import NEVER, instant, minutes
from pipeline.monitor.explanation_report import explanation_report, text
from pipeline.monitor.predictions import logged_prediction, name_in, newest_prediction
from pipeline.monitor.raw_events import (
    EventHistory,
    SourceEvents,
    load_history,
    number,
    source_events,
    view_of,
)
from pipeline.records import rollout_ledger as ledger
from pipeline.records.request_log import features_of, known_at_of
from pipeline.registry import versions
from pipeline.registry.release import TRAINING
from pipeline.registry.release_loader import LoadedRelease, export, load_release
from pipeline.shared import clock
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Window
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.contracts import MONITOR, Record, Training, read_record
from pipeline.shared.errors import SkewFound
from pipeline.shared.files import parse_json, write_json, write_text
from pipeline.usecase.chosen import USECASE

_FOLDER = MONITOR / "explain"
NAME_PATTERN = re.compile(USECASE.monitored.name_pattern)
_WORDS = USECASE.words
_NO_INPUTS = {"year", "month", "day", *USECASE.features.whole_numbers}
"""The parts of an event's date, and what is derived from its instant."""
_TOLERANCE = 1e-6
"""The largest difference of logged and recomputed risk: the model's inputs are float32."""


class Feature(Record):
    """A feature's recomputed and logged value; `why` explains a difference.

    `counts` is the risk less the risk with the training window's median in the feature's place: the
    value's effect on this model, not on the event.
    """

    name: str
    view: str
    value: float | None
    known_at: str | None
    age_minutes: int | None
    logged: float | None
    why: str
    counts: float
    behind: SourceEvents | None


class Explanation(Record):
    """Everything about one prediction; `differs` lists differences from the log."""

    request_id: str | None
    row: int
    name: str
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
    """Explain a logged prediction, the newest by default, or the one that an event would get.

    Raises:
        RequestUnknown: there is no such logged prediction, or no such event.
        DayUnknown: the event lies beyond the published data.
        SkewFound: a logged feature or risk differs from the recomputed one.
    """
    result = explanation(request, row)
    name = request or result.request_id or result.name
    path = _FOLDER / f"{re.sub(r'[^A-Za-z0-9_-]', '-', name)}.json"
    page = path.with_suffix(".html")
    write_json(path, result.model_dump())
    write_text(page, explanation_report(result))
    if result.differs:
        raise SkewFound(
            f"{result.differs[0]}; {len(result.differs)} of {len(NUMERIC) + 1} values differ from "
            f"what was known\n{text(result)}\n-> {page}; `make skew` compares a day with training"
        )
    return f"{text(result)}\n-> {page}"


def explanation(request: str | None = None, row: int | None = None) -> Explanation:
    """Explain a prediction as `explain` does, and write nothing.

    Raises:
        RequestUnknown: there is no such logged prediction, or no such event.
        DayUnknown: the event lies beyond the published data.
    """
    if request is not None and NAME_PATTERN.fullmatch(request):
        answer = newest_prediction(request, load(ServeConfig).log_url.get_secret_value())
        name = request
    else:
        answer = logged_prediction(request, row)
        name = name_in(answer)
    known = load_history(name)
    release = load_release(answer["release"] if answer else _champion_at(known))
    return _build(known, release, name, answer)


def _champion_at(known: EventHistory) -> str:
    """The release that served at T by the ledger, or the current champion."""
    entry = ledger.entry_at(_instant(known.request["predict_at"]))
    return entry.move.champion.release if entry else export(versions.CHAMPION)


def _build(
    known: EventHistory, release: LoadedRelease, name: str, answer: dict[str, Any] | None
) -> Explanation:
    flags = parse_json(answer["flags"].encode()) if answer else {}
    request = _without_stale(known.request, flags)
    risk = float(release.model.predict(request)[0])
    features = _features(known, release, request, answer, flags, risk)
    logged = float(answer["risk"]) if answer else None
    differs = [feature.why for feature in features if feature.why]
    if logged is not None and not abs(risk - logged) <= _TOLERANCE:
        differs.append(f"risk {logged:.6f} was answered, {risk:.6f} is computed again")
    raw = known.request.iloc[0]
    keys = [*REQUEST_KEY, *(one for names in KEYS.values() for one in names)]
    names = [one for one in dict.fromkeys([*keys, *REQUEST]) if one not in _NO_INPUTS]
    return Explanation(
        request_id=answer["request_id"] if answer else None,
        row=int(answer["row"]) if answer else 0,
        name=name,
        predict_at=_utc_text(raw["predict_at"]),
        served=_serving_text(release, answer),
        ledger=_ledger_text(_instant(known.request["predict_at"])),
        inputs={one: _plain(raw[one]) for one in names},
        risk=risk,
        logged_risk=logged,
        label=_label_text(known.request),
        features=features,
        differs=differs,
    )


def _without_stale(request: pd.DataFrame, flags: dict[str, str]) -> pd.DataFrame:
    """Remove the features that the server withheld because the log flags their view as stale."""
    stale = {view for view, flag in flags.items() if flag == STALE}
    gone = [name for name in NUMERIC if sources(name) & stale]
    return request.assign(**dict.fromkeys(gone, np.float32("nan")))


def _features(
    known: EventHistory,
    release: LoadedRelease,
    request: pd.DataFrame,
    answer: dict[str, Any] | None,
    flags: dict[str, str],
    risk: float,
) -> list[Feature]:
    """Every feature, the largest effect on the risk first."""
    row = pd.DataFrame([answer]) if answer else None
    values = features_of(row)[0] if row is not None else None
    instants = known_at_of(row)[0].tolist() if row is not None else [NEVER] * len(VIEWS)
    then = dict(zip(VIEWS, instants, strict=True))
    usual = _with_medians(release, request)
    found = []
    for place, name in enumerate(NUMERIC):
        view, value = view_of(name), request[name].iloc[0]
        at = known.request[f"{view}_known_at"].iloc[0] if f"{view}_known_at" in KNOWN_AT else None
        logged = None if values is None else values[place]
        found.append(
            Feature(
                name=name,
                view=f"{view} ({flags[view]})" if view in flags else view,
                value=number(value),
                known_at=None if at is None or pd.isna(at) else _utc_text(at),
                age_minutes=None if at is None or pd.isna(at) else _age(known, at),
                logged=None if logged is None else number(logged),
                why=_difference(name, value, logged, at, then.get(view, NEVER)),
                counts=risk - usual[place],
                behind=source_events(known, name),
            )
        )
    return sorted(found, key=lambda feature: -abs(feature.counts))


def _with_medians(release: LoadedRelease, request: pd.DataFrame) -> np.ndarray:
    """The risk with each of NUMERIC in turn set to its median in the training window."""
    training = read_record(Training, release.folder / TRAINING, "train")
    first, last = training.window.split("..")
    medians = read(Window(first=first, last=last))[NUMERIC].median()
    rows = pd.concat([request] * len(NUMERIC), ignore_index=True)
    for place, name in enumerate(NUMERIC):
        rows.loc[place, name] = np.float32(medians[name])
    return release.model.predict(rows)


def _difference(name: str, value: float, logged: float | None, at: Any, then: int) -> str:
    """A feature's difference between log and recomputation in words; "" if there is none."""
    if logged is None or value == logged or (np.isnan(value) and np.isnan(logged)):
        return ""
    said = "nothing known" if then == NEVER else f"as known at {_utc_text(instant(then))}"
    right = "nothing known" if at is None or pd.isna(at) else f"as known at {_utc_text(at)}"
    if name in REQUEST:
        said, right = "as the caller said", "as the schedule has it"
    return f"{name} was {logged:g} ({said}), should have been {value:g} ({right})"


def _serving_text(release: LoadedRelease, answer: dict[str, Any] | None) -> str:
    model = f"version {release.number} ({release.release[:12]})"
    if answer is None:
        return f"not served; as it would be by {model}"
    at = datetime.fromtimestamp(answer["answered_at"], UTC)
    took = 1000 * answer["seconds"]
    return f"{model} as {answer['arm']}, in {took:.1f} ms, on {at:%Y-%m-%d %H:%M}Z of our clock"


def _ledger_text(at: datetime) -> str:
    """The releases that served at T, by the ledger."""
    entry = ledger.entry_at(at)
    if entry is None:
        return "nothing served yet"
    sides = [f"{side.label} {share / 100:g}%" for side, share in ledger.serving_shares(entry.move)]
    return f"{' and '.join(sides)}, since {entry.move.event!r} in {entry.move.rollout}"


def _label_text(request: pd.DataFrame) -> str:
    """The event's label, if it is known by now in the replay."""
    now = pd.Timestamp(ledger.now(clock.arrived_at(load(IngestConfig).as_of)))
    raw = request.iloc[0]
    known_at = raw[f"{LABEL}_known_at"]
    if known_at <= now:
        return f"{'' if raw[LABEL] else 'not '}{_WORDS.positive}, known at {_utc_text(known_at)}"
    of = USECASE.monitored
    due = (of.earliest or of.deadline)(request).iloc[0]
    return f"not matured before {_utc_text(due)}, {_WORDS.matures}; now is {_utc_text(now)}"


def _age(known: EventHistory, at: pd.Timestamp) -> int:
    return known.at - int(minutes(pd.Series([at]))[0])


def _instant(column: pd.Series) -> datetime:
    return pd.Timestamp(column.iloc[0]).to_pydatetime()


def _plain(value: Any) -> str | float | None:
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else float(value)


def _utc_text(at: pd.Timestamp) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"
