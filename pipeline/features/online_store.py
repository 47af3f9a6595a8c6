"""The feature store: the same point-in-time correct values for training and for serving.

With feast_client.py and feast_repository.py, the only module that imports Feast. It adds what
Feast's stores lack, on the replay's clock and never on the wall clock: an older push does not
replace a newer value, a view that fell behind is withheld instead of served, and missing values are
flagged and counted, never imputed.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import KEYS, KNOWN_AT, REQUEST, REQUEST_TYPE, VIEWS
from pipeline.features.feast_client import (
    OnlineRows,
    feature_store,
    named_errors,
    silence,
    write_ahead,
)
from pipeline.features.feast_repository import (
    DERIVED_FEATURES,
    VIEW_ROWS,
    WATERMARK,
    Repository,
    columns,
    keys_of,
    on_demand_values,
    repository,
    scratch,
    store_column,
    store_table,
    stored_columns,
)
from pipeline.features.on_demand import Columns, sources
from pipeline.features.point_in_time import with_features
from pipeline.features.spark import SPARK, demand_spark, session
from pipeline.features.windows import NEVER, fill_missing, minutes
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.databases import require_whole
from pipeline.shared.errors import RowsLost
from pipeline.shared.files import remove
from pipeline.usecase.chosen import USECASE

LIVE, REPLAY = USECASE.name, "replay"
"""The store's projects: one for serving, one for replaying a day."""
STALE, MISSING, LATE = "stale", "missing", "late"


@dataclass(frozen=True)
class Vectors:
    """Online features, one entry per request in their order.

    `values` holds NUMERIC and KNOWN_AT (minutes, NEVER where there is none). `flags` says for each
    view why its values are missing: STALE, the store fell behind and they are withheld; MISSING,
    nothing recent enough is known of the entity; "" where they are there.
    """

    values: Columns
    flags: dict[str, np.ndarray]


class Store:
    """Feast over one folder of view rows and one online store; `open_store` makes one."""

    def __init__(
        self, feast: Any, repository: Repository, config: FeaturesConfig, serve: ServeConfig
    ):
        """`repository` holds the objects that were applied to `feast`."""
        from feast.infra.provider import get_provider

        self._feast, self._repository = feast, repository
        self._provider = get_provider(feast.config)
        self._rows = OnlineRows(self._provider, feast.config, repository.views)
        if feast.config.project != LIVE:
            with named_errors(feast):
                write_ahead(self._provider.online_store, feast.config)
        self._config, self._serve, self._stored = config, serve, stored_columns(config)
        self.counts: Counter[tuple[str, str]] = Counter()
        """By view: how many values were STALE or MISSING, and how many pushed rows LATE."""

    def close(self) -> None:
        """Close the connections that Feast would keep until the process ends."""
        for provider in (self._provider, self._feast._get_provider()):
            connection = getattr(provider.online_store, "_conn", None)
            if connection is not None:
                connection.close()
                provider.online_store._conn = None

    def historical(self, asked: pd.DataFrame) -> pd.DataFrame:
        """The requests with every feature as known at `predict_at`, by the store's own join.

        Raises:
            RowsLost: the offline store returned other rows than it was given.
        """
        entities = pd.DataFrame(store_requests(asked)).assign(
            row=np.arange(len(asked)), event_timestamp=asked["predict_at"].array
        )
        service = self._repository.service
        with silence():
            job = self._feast.get_historical_features(entity_df=entities, features=service)
            rows = job.to_df().sort_values("row")
        if rows["row"].tolist() != entities["row"].tolist():
            raise RowsLost(
                f"the {self._feast.config.offline_store.type} offline store gave {len(rows):,} "
                f"rows for {len(asked):,} requests and said nothing; restore duckdb, which keeps "
                "every request: compute in configs/serve.yaml or OFFLINE in feast_client.py"
            )
        return with_features(asked, _values(rows, asked))

    def materialize(self, views: list[str], since: pd.Timestamp, until: pd.Timestamp) -> None:
        """Write the rows of views that became available in [since, until], then the watermark.

        The watermark moves last: a process killed in between leaves correct values and a watermark
        that claims too little.
        """
        with named_errors(self._feast), silence():
            self._feast.materialize(since.to_pydatetime(), until.to_pydatetime(), views)
        self.complete(views, until)

    def complete(self, views: list[str], until: pd.Timestamp) -> None:
        """Set the watermark of views: they are complete online up to an instant."""
        at = int(minutes(pd.Series([until]))[0])
        self._push(
            WATERMARK, pd.DataFrame({"view": views, "complete_to": at, "event_timestamp": until})
        )

    def push(self, view: str, rows: pd.DataFrame) -> int:
        """Write a view's rows online; returns how many were skipped as older than those there."""
        newest = rows.sort_values("available_at").groupby("entity", observed=True).tail(1)
        pushed = store_table(view, newest, self._config)
        keys = {name: pushed[name].tolist() for name in keys_of(view)}
        known = self._read_rows([view], keys)[f"{view}_available_at"]
        newer = pushed[f"{view}_available_at"].to_numpy() >= fill_missing(known)
        if newer.any():
            self._push(view, pushed[newer])
        late = int((~newer).sum())
        self.counts[view, LATE] += late
        return late

    def prepare(self, view: str, rows: pd.DataFrame) -> list[Any]:
        """Convert rows of a `store_table` to be written: most of a push's cost, in one batch."""
        to = self._repository.views[view]
        with silence():
            return list(self._provider._prep_rows_to_write_for_ingestion(to, rows))

    def write(self, view: str, rows: list[Any]) -> None:
        """Write prepared rows online, an entity's newest last, without reading the rows there."""
        with named_errors(self._feast):
            to = self._repository.views[view]
            self._provider.online_write_batch(self._feast.config, to, rows, None)

    def online(self, asked: pd.DataFrame) -> Vectors:
        """`read` for requests as a table."""
        return self.read(store_requests(asked))

    def read(self, request: Mapping[str, Sequence[Any]]) -> Vectors:
        """The features that are online now, withheld where the store fell behind `predict_at`.

        `request` holds, by column, every key, REQUEST, and `predict_at` in minutes since EPOCH.
        """
        stored = self._read_rows([*VIEWS, WATERMARK], {**request, "view": VIEWS})
        values = on_demand_values({**request, **stored}, self._stored, self._config)
        behind = np.array(request["predict_at"]) - self._serve.max_lag_minutes
        complete = fill_missing(stored["complete_to"])  # in the order of VIEWS
        stale = complete[:, None] < behind
        return Vectors(_withhold_stale(values, stale), self._flags(values, stale))

    def read_by_feast(self, request: dict[str, list[Any]]) -> Columns:
        """The same values by Feast's own read and on-demand view: several times as slow."""
        return _values(
            self._feast.get_online_features(self._repository.service, request).to_dict(), request
        )

    def rows(self, view: str, entities: list[str]) -> pd.DataFrame:
        """The online rows of entities that have one, in the columns of `windows.views`."""
        stored = self._read_rows([view], {keys_of(view)[0]: entities})
        available = stored.pop(f"{view}_available_at")
        values = {name: stored[store_column(name)] for name in columns(view, self._config)}
        frame = pd.DataFrame({"entity": entities, "known_at": stored[f"{view}_known_at"], **values})
        return frame.assign(available_at=available).dropna(subset=["available_at"])

    def watermarks(self) -> dict[str, int]:
        """For each view, the minute up to which it is complete online; NEVER if it is empty."""
        complete_to = self._read_rows([WATERMARK], {"view": VIEWS})["complete_to"]
        return dict(zip(VIEWS, fill_missing(complete_to).tolist(), strict=True))

    def _read_rows(
        self, views: list[str], request: Mapping[str, Sequence[Any]]
    ) -> dict[str, Sequence[Any]]:
        with named_errors(self._feast):
            return self._rows.read(views, request)

    def _flags(self, values: Columns, stale: np.ndarray) -> dict[str, np.ndarray]:
        missing = np.array([values[name] for name in KNOWN_AT]) == NEVER
        flags = np.where(stale, STALE, np.where(missing, MISSING, ""))
        for view, row in zip(VIEWS, flags.tolist(), strict=True):
            for flag in filter(None, row):
                self.counts[view, flag] += 1
        return dict(zip(VIEWS, flags, strict=True))

    def _push(self, view: str, rows: pd.DataFrame) -> None:
        # The last step of Feast's push, without its reads of the registry.
        with named_errors(self._feast), silence():
            self._provider.ingest_df(self._repository.views[view], rows)


def store_requests(asked: pd.DataFrame) -> dict[str, list[Any]]:
    """Requests in the store's columns: keys, REQUEST, `predict_at` in minutes."""
    names = dict.fromkeys(name for names in KEYS.values() for name in names)
    named = asked[list(names)].astype(object)
    return {
        "system": ["all"] * len(asked),
        **{name: named[name].where(named[name].notna(), "").tolist() for name in names},
        **{name: asked[name].to_numpy(REQUEST_TYPE).tolist() for name in REQUEST},
        "predict_at": minutes(asked["predict_at"]).tolist(),
    }


def _values(found: Any, asked: Any) -> Columns:
    values = {name: np.array(found[name], dtype="float32") for name in DERIVED_FEATURES}
    values |= {name: np.array(asked[name], dtype="float32") for name in REQUEST}
    return values | {name: fill_missing(found[f"last_{name}"]) for name in KNOWN_AT}


def _withhold_stale(values: Columns, stale: np.ndarray) -> Columns:
    """The values, missing where they depend on a view that fell behind; `stale` is by VIEWS."""
    if not stale.any():
        return values
    kept, by_view = dict(values), dict(zip(VIEWS, stale, strict=True))
    for name in DERIVED_FEATURES:
        behind = np.logical_or.reduce([by_view[view] for view in sources(name)])
        kept[name] = np.where(behind, np.float32("nan"), values[name])
    for view, name in zip(VIEWS, KNOWN_AT, strict=True):
        kept[name] = np.where(by_view[view], NEVER, values[name])
    return kept


@contextlib.contextmanager
def open_store(
    config: FeaturesConfig,
    serve: ServeConfig,
    folder: Path = VIEW_ROWS,
    project: str = LIVE,
    empty: bool = False,
) -> Iterator[Store]:
    """Open a store over the view rows in `folder`; `empty` empties it first.

    Feast's registry holds the on-demand view as code, which would be run when read. So each process
    writes a registry of its own from its own definitions, and reads no other; the watermarks, which
    must outlive a process, are in the online store.
    """
    on_spark = serve.compute == SPARK
    if on_spark:
        demand_spark()
    with contextlib.ExitStack() as until_closed:
        enter = until_closed.enter_context
        registry = scratch("registry")
        until_closed.callback(remove, registry)
        with silence():
            feast_objects = repository(config, folder.resolve(), serve.compute)
            if on_spark:
                enter(session(registry))
            feast = feature_store(registry, project, serve)
            if feast.config.online_store.type == "sqlite":
                require_whole(Path(feast.config.online_store.path), "online store")
            with named_errors(feast):
                feast.apply(feast_objects.objects)
                if empty:
                    feast.teardown()
                    feast = feature_store(registry, project, serve)
                    feast.apply(feast_objects.objects)
        store = Store(feast, feast_objects, config, serve)
        until_closed.callback(store.close)
        yield store
