"""The feature repository: `definitions` as Feast's entities, views and feature service.

A view's rows lie in data/features/views/ as Feast's offline store reads them. `event_timestamp` is
the first instant at which a prediction may use the row, not the time of the event: in Feast
`created` only breaks ties by default, so a late arrival would be served as if known in time.
"""

import atexit
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features import on_demand
from pipeline.features.definitions import (
    ENTITIES,
    KEYS,
    KNOWN_AT,
    NUMERIC,
    REQUEST,
    REQUEST_TYPE,
    STATES,
    VIEWS,
    service_version,
)
from pipeline.features.spark import SPARK
from pipeline.features.windows import fill_missing, instants, windows
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.contracts import FEATURES
from pipeline.shared.files import own_temporary, remove
from pipeline.usecase.chosen import USECASE

VIEW_ROWS = FEATURES / "views"
FILES = Path("state/feast")
"""Feast's own files, which last as long as their process."""
_SHARED = "PROMETHEUS_MULTIPROCESS_DIR"
WATERMARK = "watermark"
"""The view of watermarks: up to which instant each other view is complete online."""
DERIVED_FEATURES = [name for name in NUMERIC if name not in REQUEST]
_WHOLE_NUMBERS = USECASE.features.whole_numbers


def keys_of(view: str) -> list[str]:
    """The columns that name a view's entity; "system" stands for the whole system."""
    return ["view"] if view == WATERMARK else KEYS[view] or ["system"]


def columns(view: str, config: FeaturesConfig) -> list[str]:
    """The columns of a view's rows beside keys and instants."""
    if view in ENTITIES:
        names = [w.name for w in windows(view, config)]
        return [f"{name}_{part}" for name in names for part in ("count", "sum")]
    return STATES[view].columns


def store_column(column: str) -> str:
    """A column's name in the store; features' own names are kept for the on-demand view."""
    return f"last_{column}" if column in DERIVED_FEATURES else column


def store_table(view: str, rows: pd.DataFrame, config: FeaturesConfig) -> pd.DataFrame:
    """A view's rows in the store's columns: keys, values, and the instants as UTC timestamps."""
    available = instants(rows["available_at"].to_numpy())
    return pd.DataFrame(
        _keys(view, rows["entity"].cat)
        | {store_column(name): rows[name].array for name in columns(view, config)}
        | {f"{view}_{at}": rows[at].array for at in ("known_at", "available_at")}
        | {"event_timestamp": available.array, "created": available.array}
    )


def _keys(view: str, entity: Any) -> dict[str, np.ndarray]:
    parts = [str(name).split("/") for name in entity.categories]
    by_key = {
        name: np.array([part[place] for part in parts], dtype=object)[entity.codes]
        for place, name in enumerate(keys_of(view))
    }
    return {
        name: values.astype("int64") if name in _WHOLE_NUMBERS else values
        for name, values in by_key.items()
    }


def lifetime(view: str, config: FeaturesConfig) -> timedelta:
    """Feast's TTL, the maximum age of a row: whole days, or less than one, as its join demands.

    `on_demand` then applies the exact limit in minutes. A rolling row older than its longest window
    has been replaced by newer ones, down to empty windows.
    """
    if view in ENTITIES:
        return timedelta(days=max(w.hours for w in windows(view, config)) // 24 + 1)
    hours = getattr(config, STATES[view].setting)
    return timedelta(hours=hours) if hours < 24 else timedelta(days=-(-hours // 24))


@dataclass(frozen=True)
class Repository:
    """All Feast objects; `service`, which a model is served with, has a versioned name."""

    entities: list[Any]
    views: dict[str, Any]
    derived: Any
    service: Any

    @property
    def objects(self) -> list[Any]:
        """All objects, in an order that Feast accepts."""
        return [*self.entities, *self.views.values(), self.derived, self.service]


def scratch(name: str) -> Path:
    """A new folder of this process; those of killed processes are removed first."""
    (FILES / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = own_temporary(FILES / name).absolute()
    folder.mkdir(mode=0o700)
    return folder


@cache
def _keep_metric_files() -> None:
    """Put Feast's shared metric files here, not in the system's temporary folder.

    There the files of killed processes would never be removed.
    """
    if Path(os.environ.get(_SHARED, ".metrics.")).name.startswith(".metrics."):
        folder, mine = scratch("metrics"), os.getpid()
        os.environ[_SHARED] = os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        atexit.register(lambda: remove(folder) if os.getpid() == mine else None)


def import_feast() -> None:
    """Import Feast without its slowest part, see docs/adr/0016.

    Feast has typeguard rewrite the source of its constructors to check argument types.
    """
    import typeguard

    _keep_metric_files()
    checked = typeguard.typechecked
    typeguard.typechecked = lambda target: target  # type: ignore[assignment]
    try:
        import feast  # noqa: F401
    finally:
        typeguard.typechecked = checked


def repository(config: FeaturesConfig, folder: Path, compute: str = "duckdb") -> Repository:
    """Entities, feature views, the on-demand view and the service, over the rows in `folder`.

    `compute` is the engine that reads them, as in configs/serve.yaml; no name or meaning depends on
    it.
    """
    import_feast()
    from feast import Entity, FeatureService, Field, RequestSource, ValueType
    from feast.types import Float64, Int64

    names = sorted({key for keys in KEYS.values() for key in keys} | {"system", "view"})
    entities = {
        name: Entity(
            name=name,
            join_keys=[name],
            value_type=ValueType.INT64 if name in _WHOLE_NUMBERS else ValueType.STRING,
        )
        for name in names
    }
    views = {view: _view(view, entities, config, _source(view, folder, compute)) for view in VIEWS}
    kind = Int64 if REQUEST_TYPE == "int64" else Float64
    fields = [Field(name="predict_at", dtype=Int64), *(Field(name=n, dtype=kind) for n in REQUEST)]
    request = RequestSource(name="request", schema=fields)
    derived = _on_demand([*views.values(), request], config)
    service = FeatureService(name=service_version(config.model_dump()), features=[derived])
    views[WATERMARK] = _watermark(entities["view"], _source(WATERMARK, folder, compute))
    return Repository(list(entities.values()), views, derived, service)


def _source(view: str, folder: Path, compute: str) -> Any:
    """A view's file as a source for the configured offline store."""
    from feast import FileSource

    options = {
        "name": f"{view}_rows",
        "path": str(folder / f"{view}.parquet"),
        "timestamp_field": "event_timestamp",
        "created_timestamp_column": "" if view == WATERMARK else "created",
    }
    if compute != SPARK:
        return FileSource(**options)
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

    return SparkSource(file_format="parquet", **options)


def _view(view: str, entities: dict[str, Any], config: FeaturesConfig, source: Any) -> Any:
    from feast import FeatureView, Field, PushSource
    from feast.types import Float64, Int32, Int64, String

    keys = keys_of(view)
    kinds = {
        **{key: Int64 if key in _WHOLE_NUMBERS else String for key in keys},
        **{
            store_column(n): Int32 if n.endswith("_count") else Float64
            for n in columns(view, config)
        },
        **{f"{view}_{at}": Int64 for at in ("known_at", "available_at")},
    }
    return FeatureView(
        name=view,
        entities=[entities[key] for key in keys],
        ttl=lifetime(view, config),
        schema=[Field(name=name, dtype=kind) for name, kind in kinds.items()],
        source=PushSource(name=f"{view}_events", batch_source=source),
    )


def _watermark(entity: Any, source: Any) -> Any:
    from feast import FeatureView, Field, PushSource
    from feast.types import Int64, String

    return FeatureView(
        name=WATERMARK,
        entities=[entity],
        ttl=timedelta(days=1),
        schema=[Field(name="view", dtype=String), Field(name="complete_to", dtype=Int64)],
        source=PushSource(name="watermark_events", batch_source=source),
    )


def _on_demand(sources: list[Any], config: FeaturesConfig) -> Any:
    """The on-demand view, which calls `derive_features`.

    Feast runs a transformation's source in an empty module, so the source imports what it needs.
    """
    from feast import Field, OnDemandFeatureView
    from feast.transformation.python_transformation import PythonTransformation
    from feast.types import Float64, Int64

    settings = config.model_dump_json()
    source = (
        "def derived(inputs):\n"
        "    from pipeline.features.feast_repository import as_feast_calls\n"
        f"    return as_feast_calls(inputs, {settings!r})\n"
    )

    def derived(inputs: dict[str, Any]) -> dict[str, Any]:
        from pipeline.features.feast_repository import as_feast_calls  # Feast pickles globals

        return as_feast_calls(inputs, settings)

    numbers = [Field(name=name, dtype=Float64) for name in DERIVED_FEATURES]
    known = [Field(name=f"last_{name}", dtype=Int64) for name in KNOWN_AT]
    return OnDemandFeatureView(
        name="derived",
        sources=sources,
        schema=[*numbers, *known],
        feature_transformation=PythonTransformation(derived, source),
        mode="python",
    )


def as_feast_calls(inputs: dict[str, Any], settings: str) -> dict[str, Any]:
    """`on_demand_values` as lists, for the columns that the on-demand view declares."""
    config = _settings(settings)
    values = on_demand_values(inputs, stored_columns(config), config)
    numbers = {name: values[name].astype("float64").tolist() for name in DERIVED_FEATURES}
    return numbers | {f"last_{name}": values[name].tolist() for name in KNOWN_AT}


@cache
def _settings(text: str) -> FeaturesConfig:
    from pipeline.shared.config.loading import extended  # Feast pickles what stands outside

    return extended(FeaturesConfig).model_validate_json(text)


def stored_columns(config: FeaturesConfig) -> dict[str, str]:
    """Every value's column by its name in the store."""
    return {store_column(name): name for view in VIEWS for name in columns(view, config)}


def on_demand_values(
    inputs: Mapping[str, Sequence[Any]], stored: Mapping[str, str], config: FeaturesConfig
) -> on_demand.Columns:
    """`derive_features` over the columns of a store and a request; None where the store has no row.

    `stored` is from `stored_columns`, which takes longer than the rest for a single request.
    """
    values = np.array([inputs[name] for name in stored], dtype="float64")
    joined = dict(zip(stored.values(), values, strict=True))
    known = fill_missing([at for name in KNOWN_AT for at in inputs[name]])
    joined |= zip(KNOWN_AT, known.reshape(len(KNOWN_AT), len(inputs["predict_at"])), strict=True)
    request = {name: np.array(inputs[name]) for name in REQUEST}
    return on_demand.derive_features(joined, request, np.array(inputs["predict_at"]), config)
