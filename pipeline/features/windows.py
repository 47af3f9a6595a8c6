"""Raw events -> rows of features, each with the instant at which it became known; pure.

Two instants go with every row. `known_at`: when the newest raw event in it became known.
`available_at`: the first instant at which a prediction may use it, always later than `known_at`.
A prediction at T uses, for each entity, the last row with available_at <= T: the rule of every
feature store, so the same rows feed one. Instants are whole minutes (UTC) since EPOCH.
"""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import ENTITIES, KEYS, ROLLING, STATES
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.domain import Event, Rolling
from pipeline.shared.minutes import EPOCH, NEVER, Minutes, fill_missing, instant, instants, minutes
from pipeline.usecase.chosen import USECASE

__all__ = ["EPOCH", "NEVER", "Minutes", "fill_missing", "instant", "instants", "minutes"]

DAY_MINUTES = 24 * 60
ZONE = USECASE.zone
"""The time zone of the use case's hours and days."""
outcomes = USECASE.features.outcomes
requests = USECASE.features.requests


def entity_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that name entities as categoricals, so that no view compares their text again."""
    return frame[list({name: None for of in KEYS.values() for name in of})].astype("category")


def entity_names(frame: pd.DataFrame, view: str) -> pd.Series:
    """The entity of each row in a view, a categorical: "EWR/UA" for keys "EWR" and "UA"."""
    columns, combined = KEYS[view], np.zeros(len(frame), dtype="int64")
    for column in columns:
        part, values = pd.factorize(frame[column])  # -1 where missing
        combined = combined * (len(values) + 1) + part + 1
    codes, distinct = pd.factorize(combined)
    example = np.zeros(len(distinct), dtype="int64")
    example[codes] = np.arange(len(codes))
    rows = zip(*[frame[column].iloc[example] for column in columns], strict=True)
    texts = ["/".join("" if pd.isna(part) else str(part) for part in row) for row in rows]
    names = pd.Categorical(texts if columns else ["all"] * len(distinct))
    places: Any = names.codes[codes]
    return pd.Series(pd.Categorical.from_codes(places, dtype=names.dtype), frame.index)


def rolling_rows(
    entity: pd.Series, known: dict[str, Event], windows: list[Rolling], grid: int
) -> pd.DataFrame:
    """A view's rows: for each entity, and each instant of the grid at which something changed,
    the count and the sum over each window, and the baseline's where a window is named so.

    The row published at G holds what became known in [G - window, G), so each event enters at the
    first G after it and leaves at the first G after its window has passed.
    """
    entities = entity.astype("category").cat
    codes, names = entities.codes.to_numpy(), entities.categories
    known, before = _from_zero(known, grid)
    span = _span(known, windows)
    changes, streams = [], {}
    for value in {w.value: None for w in windows}:
        event = known[value]
        there = event.known != NEVER
        order = np.lexsort((event.known[there], codes[there]))
        at = (codes[there].astype("int64") * span + event.known[there])[order]
        streams[value] = (at, np.concatenate([[0.0], np.cumsum(event.value[there][order])]))
        for hours in {0, *(w.hours for w in windows if w.value == value)}:
            passed = at % span + hours * 60
            changes.append(at - at % span + (passed // grid + 1) * grid)
    rows = np.sort(np.concatenate(changes), kind="stable")
    rows = rows[np.diff(rows, prepend=-1) > 0]
    table: dict[str, np.ndarray] = {}
    for window in windows:
        at, total = streams[window.value]
        last = np.searchsorted(at, rows, "left")
        first = np.searchsorted(
            at, np.maximum(rows - window.hours * 60, rows - rows % span), "left"
        )
        table[f"{window.name}_count"] = (last - first).astype("int32")
        table[f"{window.name}_sum"] = (total[last] - total[first]).astype("float64")
    place: Any = rows // span
    newest = np.sort(np.concatenate([at for at, _ in streams.values()]))
    return pd.DataFrame(
        {
            "entity": pd.Categorical.from_codes(place, names),
            "known_at": newest[np.searchsorted(newest, rows, "left") - 1] % span + before,
            "available_at": rows % span + before,
            **table,
        }
    )


def _from_zero(known: dict[str, Event], grid: int) -> tuple[dict[str, Event], int]:
    """Events with instants that are not negative, and the minutes to add again, on the grid."""
    there = [event.known[event.known != NEVER] for event in known.values()]
    first = min((int(at.min()) for at in there if len(at)), default=0)
    if (before := min(0, first // grid * grid)) == 0:
        return known, 0
    moved = {
        name: Event(event.value, np.where(event.known == NEVER, NEVER, event.known - before))
        for name, event in known.items()
    }
    return moved, before


def _span(known: dict[str, Event], windows: list[Rolling]) -> int:
    latest = max(int(event.known.max()) for event in known.values())
    return latest + 60 * max(w.hours for w in windows) + 24 * 60


def baselines(config: FeaturesConfig) -> list[Rolling]:
    """The system-wide long windows whose means small groups are shrunk towards."""
    return _baselines(config.baseline_days)


@cache
def _baselines(days: int) -> list[Rolling]:
    return [Rolling("system", value, days * 24) for value in USECASE.features.values]


def windows(view: str, config: FeaturesConfig) -> list[Rolling]:
    """The windows in a rolling view's rows: its features', and the baselines in "system"."""
    return _windows(view, config.baseline_days)


@cache  # a request asks for each view's
def _windows(view: str, days: int) -> list[Rolling]:
    own = [w for w in ROLLING if w.view == view]
    return own + (_baselines(days) if view == "system" else [])


def views(
    events: pd.DataFrame,
    context: pd.DataFrame,
    config: FeaturesConfig,
    known: dict[str, Event] | None = None,
) -> dict[str, pd.DataFrame]:
    """Every view's rows from raw events and their context, sorted by entity and `available_at`.

    `known` replaces `outcomes`, to measure the effect of wrong instants of knowledge (a leak).
    """
    known = outcomes(events) if known is None else known
    keys = entity_keys(requests(events, config))
    tables = {
        view: rolling_rows(
            entity_names(keys, view),
            known,
            windows(view, config),
            config.grid_minutes,
        )
        for view in ENTITIES
    }
    return {**tables, **{view: state.rows(events, context) for view, state in STATES.items()}}
