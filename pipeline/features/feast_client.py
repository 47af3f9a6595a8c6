"""The client of Feast: settings of its stores, keys and values as it stores them.

Feast prints its progress and its libraries warn; both are kept from who reads our output. An error
of SQLite names the online store's file.
"""

import contextlib
import io
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pipeline.features.feast_repository import import_feast, keys_of
from pipeline.features.spark import SPARK, spark_settings
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.databases import database

OFFLINE = "duckdb"
"""Unless Spark is configured. Feast's default, dask, silently drops requests and takes minutes."""
MOST_ROWS = 50_000
"""Decoded rows that are kept: callers name entities, so their number must have a limit."""


def preload() -> None:
    """Import an open store's libraries, which takes seconds, before processes are forked."""
    import_feast()
    import feast.infra.online_stores.sqlite
    import feast.infra.passthrough_provider  # noqa: F401


def feature_store(registry: Path, project: str, serve: ServeConfig) -> Any:
    """Feast's store of a project, with its registry in the folder `registry`."""
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
    """Feast's settings of the offline store and the batch engine."""
    if serve.compute != SPARK:
        return {"offline_store": {"type": OFFLINE}}
    conf = {"spark_conf": spark_settings(registry)}
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
    parts = urlsplit(f"//{server}")  # apart from the password, which an error would show
    if scheme == "redis":
        options = {"db": parts.path.strip("/") or "0"}
        options |= {"username": _quote(user)} if user else {}
        options |= {"password": _quote(password)} if password else {}
        where = [f"{parts.hostname}:{parts.port or 6379}", *map("=".join, options.items())]
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
    """Quote text for a Redis connection string, which Feast splits at commas and reads as JSON."""
    return json.dumps(text).replace(",", "\\u002c")


def entity_key(names: list[str], entity: tuple[Any, ...]) -> Any:
    """Feast's key of an entity, whose parts have these names."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    kinds = ({"int64_val" if isinstance(part, int) else "string_val": part} for part in entity)
    return EntityKey(join_keys=names, entity_values=[Value(**kind) for kind in kinds])


def stored_value(stored: Any) -> Any:
    """The plain value of one that Feast stored; None where there is none."""
    kind = stored and stored.WhichOneof("val")
    return getattr(stored, kind) if kind else None


class OnlineRows:
    """The online rows of entities, each decoded once until a process writes to the store.

    An SQLite file counts its changes, and each read asks for that count first, so a kept row is
    never older than the file. Redis and PostgreSQL have no count as cheap: no row is kept there.
    """

    def __init__(self, provider: Any, config: Any, views: Mapping[str, Any]):
        """`config` is Feast's own, of the project whose rows are read; `views` are Feast's."""
        self._provider, self._config, self._views = provider, config, views
        self._columns = {name: [f.name for f in view.features] for name, view in views.items()}
        self._keys = {name: keys_of(name) for name in views}
        self._rows: dict[str, dict[tuple[Any, ...], list[Any]]] = {}
        self._changes: tuple[int, int] | None = None

    def read(
        self, views: Iterable[str], request: Mapping[str, Sequence[Any]]
    ) -> dict[str, Sequence[Any]]:
        """The rows of each request's entities in some views, by column; None where none is.

        `request` holds, by column, the keys of those views.
        """
        changes = self._count_changes()
        if changes is None or changes != self._changes or self._size() > MOST_ROWS:
            self._rows = {view: {} for view in self._views}
            self._changes = changes
        found: dict[str, Sequence[Any]] = {}
        for view in views:
            rows, names, columns = self._rows[view], self._keys[view], self._columns[view]
            entities = list(zip(*[request[name] for name in names], strict=True))
            if new := [entity for entity in entities if entity not in rows]:
                new = list(dict.fromkeys(new))
                rows |= zip(new, self._decode(view, names, new), strict=True)
            values = list(zip(*[rows[entity] for entity in entities], strict=True))
            found |= zip(columns, values or [()] * len(columns), strict=True)
        return found

    def _size(self) -> int:
        return sum(map(len, self._rows.values()))

    def _decode(
        self, view: str, names: list[str], entities: list[tuple[Any, ...]]
    ) -> Iterator[list[Any]]:
        keys, columns = [entity_key(names, one) for one in entities], self._columns[view]
        source = self._views[view]
        for _, values in self._provider.online_read(self._config, source, keys, columns):
            yield [stored_value((values or {}).get(column)) for column in columns]

    def _count_changes(self) -> tuple[int, int] | None:
        """The commits of other connections and the rows that this one wrote; None for a server."""
        if self._config.online_store.type != "sqlite":
            return None
        connection = self._provider.online_store._get_conn(self._config)
        return connection.execute("PRAGMA data_version").fetchone()[0], connection.total_changes


def write_ahead(online_store: Any, config: Any) -> None:
    """Allow reads during writes to an SQLite file, and writes without waiting for the disk.

    For replays only: a machine that loses power may lose their last minutes.
    """
    if config.online_store.type == "sqlite":
        connection = online_store._get_conn(config)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


def named_errors(feast: Any) -> contextlib.AbstractContextManager[None]:
    """Let SQLite's errors name the online store's file; a server names itself."""
    online = feast.config.online_store
    known = online.type == "sqlite"
    return database(Path(online.path), "online store") if known else contextlib.nullcontext()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress Feast's progress on stdout and stderr, and its libraries' warnings."""
    output = io.StringIO()
    with (
        warnings.catch_warnings(action="ignore"),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        yield
