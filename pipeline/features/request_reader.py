"""The features of a server: from the online store, or from the request alone without any view."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.features.definitions import VIEWS
from pipeline.features.feast_repository import on_demand_values
from pipeline.features.online_store import LIVE, Store, Vectors, open_store
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.serve import ServeConfig


class RequestReader:
    """The reader of a use case without views: every feature comes with the request."""

    def __init__(self, config: FeaturesConfig):
        """`config` is that of the release."""
        self._config = config

    def read(self, request: Mapping[str, Sequence[Any]]) -> Vectors:
        """The features of requests in the columns of `Store.read`."""
        return Vectors(on_demand_values(request, {}, self._config), {})

    def watermarks(self) -> dict[str, int]:
        """None: there is no view."""
        return {}


@contextmanager
def open_reader(
    config: FeaturesConfig, serve: ServeConfig, project: str = LIVE
) -> Iterator[Store | RequestReader]:
    """Open what a server reads features from."""
    if not VIEWS:
        yield RequestReader(config)
        return
    with open_store(config, serve, project=project) as store:
        yield store
