"""A second online store: the newest row of each entity in one file, behind the contract of `Store`.

For one server and one writer, where nobody wants to run Redis. It keeps what Feast's stores lack
too: an older push does not replace a newer value, and a view that fell behind is withheld.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.features.online_store import Vectors
from pipeline.shared.config.features import FeaturesConfig


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
        raise NotImplementedError("not written yet")

    def push(self, view: str, rows: pd.DataFrame) -> int:
        """A view's rows written online; returns how many entities had a newer row there already.

        `rows` are rows of `windows.views`, in any order: `entity`, `known_at`, `available_at` and
        values. Of each entity the row that is available last counts, of equal ones the lower in the
        table. It replaces the stored one unless that is available later: such rows are LATE.
        """
        raise NotImplementedError("not written yet")

    def complete(self, views: Sequence[str], until: int) -> None:
        """The watermark of views moved to a minute since EPOCH; it never moves back."""
        raise NotImplementedError("not written yet")

    def watermarks(self) -> dict[str, int]:
        """For each of VIEWS, the minute up to which it is complete online; NEVER if it is empty."""
        raise NotImplementedError("not written yet")

    def rows(self, view: str, entities: Sequence[str]) -> pd.DataFrame:
        """The online rows of entities that have one, in that order, as they were pushed.

        The columns are those of `windows.views`; the index counts from 0.
        """
        raise NotImplementedError("not written yet")

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
        raise NotImplementedError("not written yet")
