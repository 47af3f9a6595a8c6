"""The feature store: one value for training and for serving, as it was known at that time.

The door to Feast, with repository.py. What its stores do not do is done here, on the replay's
clock and never on the wall clock: an older push may not replace a newer value, a view that fell
behind is withheld instead of served, and what is missing is flagged and counted, never filled in.
"""

import contextlib
import io
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
import pandas as pd

from pipeline.features.definitions import KEYS, KNOWN_AT, REQUEST, VIEWS
from pipeline.features.feast_repository import (
    DERIVED,
    VIEW_ROWS,
    WATERMARK,
    Repository,
    columns,
    import_feast,
    keys_of,
    on_demand_values,
    repository,
    scratch,
    store_column,
    table,
)
from pipeline.features.on_demand import Columns, sources
from pipeline.features.point_in_time import with_features
from pipeline.features.spark import SPARK, demand_spark, session, settings
from pipeline.features.windows import NEVER, fill_missing, minutes
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.databases import database, require_whole
from pipeline.shared.errors import RowsLost
from pipeline.shared.files import remove

LIVE, REPLAY = "flights", "replay"
"""The store's projects: what is served from, and what a day is lived again in."""
OFFLINE = "duckdb"
"""Without Spark. Feast's default, dask, drops requests without a word and takes minutes."""
STALE, MISSING, LATE = "stale", "missing", "late"


@dataclass(frozen=True)
class Vectors:
    """What the online store gave to requests, one entry per request in their order.

    `values` holds NUMERIC and KNOWN_AT (minutes, NEVER where there is none). `flags` says for each
    view why its values are missing: STALE, the store fell behind and they are withheld; MISSING,
    nothing recent enough is known of the entity; "" where they are there.
    """

    values: Columns
    flags: dict[str, np.ndarray]


class Store:
    """Feast over one folder of view rows and one online store; `open_store` makes one."""

    def __init__(self, feast: Any, told: Repository, config: FeaturesConfig, serve: ServeConfig):
        """`told` is what `feast` was told of `config`."""
        from feast.infra.provider import get_provider

        self._feast, self._told = feast, told
        self._provider = get_provider(feast.config)
        if feast.config.project != LIVE:
            with _online(feast):
                _write_ahead(self._provider.online_store, feast.config)
        self._config, self._serve = config, serve
        self.counts: Counter[tuple[str, str]] = Counter()
        """How often, by view, values were STALE or MISSING, and pushed rows were LATE."""

    def close(self) -> None:
        """Let go of the connections that Feast would keep for as long as the process lives."""
        for provider in (self._provider, self._feast._get_provider()):
            held = getattr(provider.online_store, "_conn", None)
            if held is not None:
                held.close()
                provider.online_store._conn = None

    def historical(self, asked: pd.DataFrame) -> pd.DataFrame:
        """The requests with every feature as known at `predict_at`, by the store's own join."""
        entities = pd.DataFrame(requests(asked)).assign(
            row=np.arange(len(asked)), event_timestamp=asked["predict_at"].array
        )
        service = self._told.service
        with _silence():
            job = self._feast.get_historical_features(entity_df=entities, features=service)
            found = job.to_df().sort_values("row")
        if found["row"].tolist() != entities["row"].tolist():
            raise RowsLost(
                f"the {self._feast.config.offline_store.type} offline store gave {len(found):,} "
                f"rows for {len(asked):,} requests and said nothing; restore duckdb, which keeps "
                "every request: compute in configs/serve.yaml or OFFLINE in this package's store.py"
            )
        return with_features(asked, _values(found, asked))

    def materialize(self, views: list[str], since: pd.Timestamp, until: pd.Timestamp) -> None:
        """Bring the rows of views that became available in [since, until] online, then say so.

        A view's rows are written before its watermark moves: who is killed in between leaves values
        that are right, and a watermark that claims too little.
        """
        with _online(self._feast), _silence():
            self._feast.materialize(since.to_pydatetime(), until.to_pydatetime(), views)
        self.complete(views, until)

    def complete(self, views: list[str], until: pd.Timestamp) -> None:
        """Say that everything that became available in views up to an instant is online."""
        at = int(minutes(pd.Series([until]))[0])
        self._push(
            WATERMARK, pd.DataFrame({"view": views, "complete_to": at, "event_timestamp": until})
        )

    def push(self, view: str, rows: pd.DataFrame) -> int:
        """Write rows of a view online at once; how many were older than what is there, and left."""
        newest = rows.sort_values("available_at").groupby("entity", observed=True).tail(1)
        told = table(view, newest, self._config)
        keys = {name: told[name].tolist() for name in keys_of(view)}
        known = self._found(view, keys)[f"{view}_available_at"]
        newer = told[f"{view}_available_at"].to_numpy() >= fill_missing(known)
        if newer.any():
            self._push(view, told[newer])
        late = int((~newer).sum())
        self.counts[view, LATE] += late
        return late

    def prepared(self, view: str, told: pd.DataFrame) -> list[Any]:
        """The rows of a view's `table` as they are written: most of a push's cost, all at once."""
        with _silence():
            rows = self._provider._prep_rows_to_write_for_ingestion(self._told.views[view], told)
        return list(rows)

    def write(self, view: str, rows: list[Any]) -> None:
        """Write prepared rows online, an entity's newest last; what is there is not looked at."""
        with _online(self._feast):
            told = self._told.views[view]
            self._provider.online_write_batch(self._feast.config, told, rows, None)

    def online(self, asked: pd.DataFrame) -> Vectors:
        """What `read` gives, for requests as a table."""
        return self.read(requests(asked))

    def read(self, request: Mapping[str, Sequence[Any]]) -> Vectors:
        """Features as the online store has them now, withheld where it fell behind `predict_at`.

        `request` holds, by column, every key, REQUEST, and `predict_at` in minutes since EPOCH.
        """
        found = {name: of for view in VIEWS for name, of in self._found(view, request).items()}
        values = on_demand_values({**request, **found}, self._config)
        at, complete = request["predict_at"], self.watermarks()
        stale = {view: self._behind(at, complete[view]) for view in VIEWS}
        return Vectors(_withhold_stale(values, stale), self._flags(values, stale))

    def read_by_feast(self, request: dict[str, list[Any]]) -> Columns:
        """The same values by Feast's own read and on-demand view: several times as slow."""
        return _values(
            self._feast.get_online_features(self._told.service, request).to_dict(), request
        )

    def rows(self, view: str, entities: list[str]) -> pd.DataFrame:
        """What is online of these entities, as rows that `transform` makes, where there are any."""
        told = self._found(view, {keys_of(view)[0]: entities})
        there = told.pop(f"{view}_available_at")
        values = {name: told[store_column(name)] for name in columns(view, self._config)}
        frame = pd.DataFrame({"entity": entities, "known_at": told[f"{view}_known_at"], **values})
        return frame.assign(available_at=there).dropna(subset=["available_at"])

    def watermarks(self) -> dict[str, int]:
        """For each view, the minute up to which it is complete online; NEVER if it is not there."""
        found = self._found(WATERMARK, {"view": VIEWS})["complete_to"]
        return dict(zip(VIEWS, fill_missing(found).tolist(), strict=True))

    def _found(self, view: str, request: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """What the online store holds of each request's entity, by column; None where nothing."""
        names, told = keys_of(view), self._told.views[view]
        entities = list(zip(*(request[name] for name in names), strict=True))
        keys = {entity: _key(names, entity) for entity in entities}
        columns = [field.name for field in told.features]
        with _online(self._feast):
            rows = self._provider.online_read(
                self._feast.config, told, list(keys.values()), columns
            )
        found = {entity: values or {} for entity, (_, values) in zip(keys, rows, strict=True)}
        return {
            column: [_value(found[entity].get(column)) for entity in entities] for column in columns
        }

    def _behind(self, at: Sequence[int], complete_to: int) -> np.ndarray:
        lag = self._serve.max_lag_minutes
        return np.array([complete_to == NEVER or minute - complete_to > lag for minute in at])

    def _flags(self, values: Columns, stale: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        flags = {}
        for view in VIEWS:
            missing = np.where(values[f"{view}_known_at"] == NEVER, MISSING, "")
            flags[view] = np.where(stale[view], STALE, missing)
            for reason in (STALE, MISSING):
                self.counts[view, reason] += int((flags[view] == reason).sum())
        return flags

    def _push(self, view: str, told: pd.DataFrame) -> None:
        # What Feast's push ends in, without its tour of the registry.
        with _online(self._feast), _silence():
            self._provider.ingest_df(self._told.views[view], told)


def preload() -> None:
    """Import what an open store needs, which takes seconds, for processes that are forked later."""
    import_feast()
    import feast.infra.online_stores.sqlite
    import feast.infra.passthrough_provider  # noqa: F401


def _write_ahead(online_store: Any, config: Any) -> None:
    """Let an SQLite file be read while it is written, and a write be done without the disk's word.

    For what is lived again only: a machine that loses power may lose the last minutes of it.
    """
    if config.online_store.type == "sqlite":
        connection = online_store._get_conn(config)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


def requests(asked: pd.DataFrame) -> dict[str, list[Any]]:
    """Requests as the store takes them, by column: keys, REQUEST, `predict_at` in minutes."""
    names = dict.fromkeys(name for names in KEYS.values() for name in names)
    named = asked[list(names)].astype(object)
    return {
        "system": ["all"] * len(asked),
        **{name: named[name].where(named[name].notna(), "").tolist() for name in names},
        **{name: asked[name].astype("int64").tolist() for name in REQUEST},
        "predict_at": minutes(asked["predict_at"]).tolist(),
    }


def _key(names: list[str], entity: tuple[Any, ...]) -> Any:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    kinds = ({"int64_val" if isinstance(part, int) else "string_val": part} for part in entity)
    return EntityKey(join_keys=names, entity_values=[Value(**kind) for kind in kinds])


def _value(stored: Any) -> Any:
    kind = stored and stored.WhichOneof("val")
    return getattr(stored, kind) if kind else None


def _values(found: Any, asked: Any) -> Columns:
    values = {name: np.array(found[name], dtype="float32") for name in DERIVED}
    values |= {name: np.array(asked[name], dtype="float32") for name in REQUEST}
    return values | {name: fill_missing(found[f"last_{name}"]) for name in KNOWN_AT}


def _withhold_stale(values: Columns, stale: dict[str, np.ndarray]) -> Columns:
    """Values without those that rest on a view that fell behind: missing, whatever was read."""
    if not any(behind.any() for behind in stale.values()):
        return values
    kept = dict(values)
    for name in DERIVED:
        behind = np.logical_or.reduce([stale[view] for view in sources(name)])
        kept[name] = np.where(behind, np.float32("nan"), values[name])
    for view in VIEWS:
        kept[f"{view}_known_at"] = np.where(stale[view], NEVER, values[f"{view}_known_at"])
    return kept


@contextlib.contextmanager
def open_store(
    config: FeaturesConfig,
    serve: ServeConfig,
    folder: Path = VIEW_ROWS,
    project: str = LIVE,
    empty: bool = False,
) -> Iterator[Store]:
    """A store over the view rows in `folder`, as the definitions say; `empty` empties it first.

    Feast's registry holds the on-demand view as code, which would be run when read. So each process
    writes a registry of its own from its own definitions, and reads no other; what has to outlive a
    process, the watermarks, is in the online store.
    """
    on_spark = serve.compute == SPARK
    if on_spark:
        demand_spark()
    with contextlib.ExitStack() as until_closed:
        enter = until_closed.enter_context
        registry = scratch("registry")
        until_closed.callback(remove, registry)
        with _silence():
            told = repository(config, folder.resolve(), serve.compute)
            if on_spark:
                enter(session(registry))
            feast = _feast(registry, project, serve)
            if feast.config.online_store.type == "sqlite":
                require_whole(Path(feast.config.online_store.path), "online store")
            with _online(feast):
                feast.apply(told.objects)
                if empty:
                    feast.teardown()
                    feast = _feast(registry, project, serve)
                    feast.apply(told.objects)
        store = Store(feast, told, config, serve)
        until_closed.callback(store.close)
        yield store


def _online(feast: Any) -> contextlib.AbstractContextManager[None]:
    """What SQLite refuses of the online store names its file; a server speaks for itself."""
    online = feast.config.online_store
    known = online.type == "sqlite"
    return database(Path(online.path), "online store") if known else contextlib.nullcontext()


def _feast(registry: Path, project: str, serve: ServeConfig) -> Any:
    from feast import FeatureStore, RepoConfig

    return FeatureStore(
        config=RepoConfig(
            project=project,
            provider="local",
            registry={"path": str(registry / "registry.db"), "cache_ttl_seconds": 0},
            online_store=online_store(serve.online_url.get_secret_value(), project),
            entity_key_serialization_version=3,
            repo_path=registry,
            **_compute(registry, serve),
        )
    )


def _compute(registry: Path, serve: ServeConfig) -> dict[str, Any]:
    """Feast's settings of who joins and who materializes."""
    if serve.compute != SPARK:
        return {"offline_store": {"type": OFFLINE}}
    conf = {"spark_conf": settings(registry)}
    return {
        "offline_store": {"type": "spark", **conf},
        "batch_engine": {"type": "spark.engine", **conf},
    }


def online_store(url: str, project: str) -> dict[str, Any]:
    """Feast's settings for an address: sqlite:///file, redis://host:port/number or postgresql://.

    Feast empties a whole SQLite file at once, so each project has a file of its own.
    """
    scheme, _, address = url.partition("://")
    if scheme == "sqlite":
        path = Path(url.removeprefix("sqlite:///")).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        return {"type": "sqlite", "path": str(path.with_stem(f"{path.stem}-{project}"))}
    caller, _, server = address.rpartition("@")
    user, _, password = (unquote(part) for part in caller.partition(":"))
    parts = urlsplit(f"//{server}")  # by itself: an error of its shows what it was given
    if scheme == "redis":
        told = {"db": parts.path.strip("/") or "0"}
        told |= {"username": _quote(user)} if user else {}
        told |= {"password": _quote(password)} if password else {}
        where = [f"{parts.hostname}:{parts.port or 6379}", *map("=".join, told.items())]
        return {"type": "redis", "connection_string": ",".join(where)}
    return {
        "type": "postgres",
        "host": parts.hostname,
        "port": parts.port or 5432,
        "database": parts.path.strip("/"),
        "user": user,
        "password": password,
        "sslmode": dict(parse_qsl(parts.query)).get("sslmode", "prefer"),
    }


def _quote(text: str) -> str:
    """A text within the settings of a Redis, which Feast splits at commas and reads as JSON."""
    return json.dumps(text).replace(",", "\\u002c")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without Feast's progress on stdout and stderr, and its libraries' warnings of themselves."""
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(said):
            yield
