"""A second online store: the newest row of each entity in one file, behind the contract of `Store`.

For one server and one writer, where nobody wants to run Redis. It keeps what Feast's stores lack
too: an older push does not replace a newer value, and a view that fell behind is withheld.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import (
    ENTITIES,
    KEYS,
    KNOWN_AT,
    NUMERIC,
    REQUEST,
    VIEWS,
    service_version,
)
from pipeline.features.on_demand import Columns, derive_features, sources
from pipeline.features.online_store import LATE, MISSING, STALE, Vectors
from pipeline.features.windows import NEVER, fill_missing, windows
from pipeline.flights.features import DEPARTURE, LANDING, WEATHER
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.errors import ArtifactTampered, FeatureRejected
from pipeline.shared.files import bytes_hash, text_hash, write_text

_INSTANTS = ("known_at", "available_at", "landed_at")
Row = list[float | int | None]


class FileStore:
    """Online rows and watermarks in a file, which is read when the store is opened.

    What a call has written is in the file when the call returns, whole: a process that is killed,
    or a disk that is full, leaves the file of before. A missing file is an empty store.
    """

    counts: Counter[tuple[str, str]]
    """By view: how many values were STALE or MISSING, and how many pushed rows LATE."""

    def __init__(self, path: Path, config: FeaturesConfig, max_lag_minutes: int) -> None:
        """The file need not exist yet.

        Raises:
            ArtifactTampered: the file is none that a store wrote, or differs from it in a byte;
                names the file.
            FeatureRejected: it was written by another `service_version` of the config; names both.
        """
        self._path, self._config, self._max_lag = path, config, max_lag_minutes
        self._version = service_version(config.model_dump())
        self.counts = Counter()
        self._rows: dict[str, dict[str, Row]] = {view: {} for view in VIEWS}
        self._complete_to = dict.fromkeys(VIEWS, NEVER)
        if path.is_file():
            self._load()

    def _load(self) -> None:
        """Take rows and watermarks from the file, whose first line is the digest of the rest."""
        digest, _, content = self._path.read_bytes().partition(b"\n")
        if digest.decode(errors="replace") != (mine := bytes_hash(content)):
            raise ArtifactTampered(
                f"{self._path} is no online store: its content has SHA-256 {mine[:12]}, its first "
                f"line says {digest[:12]!r}; move it away and materialize again"
            )
        found = json.loads(content)
        if found["version"] != self._version:
            raise FeatureRejected(
                f"{self._path} holds features of {found['version']}, the config's are "
                f"{self._version}: materialize into a new file"
            )
        self._rows, self._complete_to = found["rows"], found["complete_to"]

    def _save(self, rows: dict[str, dict[str, Row]], complete_to: dict[str, int]) -> None:
        """Write the file, and only then keep what is in it."""
        content = {"version": self._version, "rows": rows, "complete_to": complete_to}
        text = json.dumps(content, allow_nan=False)
        write_text(self._path, f"{text_hash(text)}\n{text}")
        self._rows, self._complete_to = rows, complete_to

    def _columns(self, view: str) -> list[str]:
        """The columns of a view's rows, `available_at` first."""
        if view in ENTITIES:
            names = [w.name for w in windows(view, self._config)]
            values = [f"{name}_{part}" for name in names for part in ("count", "sum")]
        else:
            aircraft = [*DEPARTURE, "ready", *LANDING, "landed_at"]
            values = WEATHER if view == "weather" else aircraft
        return ["available_at", "known_at", *values]

    def push(self, view: str, rows: pd.DataFrame) -> int:
        """A view's rows written online; returns how many entities had a newer row there already.

        `rows` are rows of `windows.views`, in any order: `entity`, `known_at`, `available_at` and
        values. Of each entity the row that is available last counts, of equal ones the lower in the
        table. It replaces the stored one unless that is available later: such rows are LATE.
        """
        ordered = rows.sort_values("available_at", kind="stable")
        newest = ordered.drop_duplicates("entity", keep="last")
        cells = [_plain(newest[name]) for name in self._columns(view)]
        kept, late = dict(self._rows[view]), 0
        for entity, *row in zip(newest["entity"].astype(str), *cells, strict=True):
            before = kept.get(entity)
            if before is not None and _int(before[0]) > _int(row[0]):
                late += 1
            else:
                kept[entity] = row
        self._save({**self._rows, view: kept}, self._complete_to)
        self.counts[view, LATE] += late
        return late

    def complete(self, views: Sequence[str], until: int) -> None:
        """The watermark of views moved to a minute since EPOCH; it never moves back."""
        moved = {view: max(self._complete_to[view], int(until)) for view in views}
        self._save(self._rows, {**self._complete_to, **moved})

    def watermarks(self) -> dict[str, int]:
        """For each of VIEWS, the minute up to which it is complete online; NEVER if it is empty."""
        return dict(self._complete_to)

    def rows(self, view: str, entities: Sequence[str]) -> pd.DataFrame:
        """The online rows of entities that have one, in that order, as they were pushed.

        The columns are those of `windows.views`; the index counts from 0.
        """
        known = [name for name in entities if name in self._rows[view]]
        found = [self._rows[view][name] for name in known]
        frame = pd.DataFrame(found, columns=self._columns(view))
        return frame.assign(entity=known)

    def read(self, request: Mapping[str, Sequence[Any]]) -> Vectors:
        """The features that are online now, of requests as `store_requests` gives them.

        `values` are those of `derive_features` over the online rows, to the last bit: NUMERIC as
        float32, and KNOWN_AT in minutes. An entity's name is its key's parts, joined as
        `windows.entity_names` does, "all" for the system.

        A view whose watermark is more than `max_lag_minutes` before a request's `predict_at` is
        withheld from it: every feature of which it is one of `on_demand.sources` is NaN, its
        `known_at` NEVER, its flag STALE. Else the flag is MISSING where its `known_at` is NEVER,
        and "" where it is not. `counts` has every STALE and MISSING.
        """
        at = np.array(request["predict_at"], dtype="int64")
        joined: Columns = {}
        for view in VIEWS:
            joined |= self._joined(view, _entities(view, request))
        given = {name: np.array(request[name], dtype="float32") for name in REQUEST}
        values = derive_features(joined, given, at, self._config)
        complete_to = np.array([self._complete_to[view] for view in VIEWS])
        stale = complete_to[:, None] < at - self._max_lag
        values = _withheld(values, dict(zip(VIEWS, stale, strict=True)))
        return Vectors(values, self._flagged(values, stale))

    def _joined(self, view: str, entities: list[str]) -> Columns:
        """The columns of a view's online rows as `derive_features` takes them."""
        names = self._columns(view)[1:]
        nothing: Row = [None] * (len(names) + 1)
        rows = [self._rows[view].get(entity, nothing)[1:] for entity in entities]
        columns = zip(*rows, strict=True) if rows else ([] for _ in names)
        joined = {
            name: fill_missing(column) if name in _INSTANTS else np.array(column, dtype="float64")
            for name, column in zip(names, columns, strict=True)
        }
        return {f"{view}_known_at": joined.pop("known_at"), **joined}

    def _flagged(self, values: Columns, stale: np.ndarray) -> dict[str, np.ndarray]:
        """Why each view's values are missing, counted."""
        missing = np.array([values[name] for name in KNOWN_AT]) == NEVER
        flags = np.where(stale, STALE, np.where(missing, MISSING, ""))
        for view, row in zip(VIEWS, flags.tolist(), strict=True):
            self.counts.update((view, flag) for flag in row if flag)
        return dict(zip(VIEWS, flags, strict=True))


def _entities(view: str, request: Mapping[str, Sequence[Any]]) -> list[str]:
    """The name of each request's entity in a view."""
    if not KEYS[view]:
        return ["all"] * len(request["predict_at"])
    parts = zip(*(request[name] for name in KEYS[view]), strict=True)
    return ["/".join(map(str, one)) for one in parts]


def _withheld(values: Columns, stale: dict[str, np.ndarray]) -> Columns:
    """The values, missing where a view behind them is stale."""
    kept = dict(values)
    for name in NUMERIC:
        for view in sources(name):
            kept[name] = np.where(stale[view], np.float32("nan"), kept[name])
    for view, name in zip(VIEWS, KNOWN_AT, strict=True):
        kept[name] = np.where(stale[view], NEVER, kept[name])
    return kept


def _plain(column: pd.Series) -> list[float | int | None]:
    """A column as JSON can hold it: instants and counts as integers, None where missing."""
    missing = (column == NEVER) | column.isna() if column.name in _INSTANTS else column.isna()
    values = column.tolist()
    if column.name in _INSTANTS:
        return [None if gone else int(v) for v, gone in zip(values, missing, strict=True)]
    return [None if gone else v for v, gone in zip(values, missing, strict=True)]


def _int(value: float | int | None) -> int:
    return NEVER if value is None else int(value)
