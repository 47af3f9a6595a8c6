"""Materialize: bring the live online store up to an instant, from the rows on disk."""

import pandas as pd

from pipeline.features.build import read_accepted
from pipeline.features.definitions import VIEWS
from pipeline.features.feast_repository import lifetime
from pipeline.features.online_store import open_store
from pipeline.features.windows import NEVER, instant
from pipeline.serve.schedule import midnight_after
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import DayUnknown
from pipeline.usecase.chosen import USECASE


def materialize(until: str | None = None) -> str:
    """Bring the live online store from its watermark up to an instant.

    Raises:
        DayUnknown: it is not an instant, or lies beyond the data that have arrived.
    """
    config, serve = load(FeaturesConfig), load(ServeConfig)
    events, _ = read_accepted()
    end = midnight_after(events)
    wanted = end if until is None else _instant(until, end)
    if not VIEWS:
        return (
            f"0 views: every feature of {USECASE.name} comes with the request; `make serve-http` "
            "serves it"
        )
    with open_store(config, serve) as store:
        stands = min(store.watermarks().values())
        longest = max(lifetime(view, config) for view in VIEWS)
        since = wanted - longest if stands == NEVER else instant(stands)
        if since > wanted:
            raise DayUnknown(
                f"the online store stands at {since:%Y-%m-%d %H:%M}Z, after {wanted:%Y-%m-%d %H:%M}"
                "Z: time does not run backwards there; name an empty one, as in "
                "`PIPELINE_ONLINE_URL=sqlite:///state/feast/again.db make materialize`"
            )
        store.materialize(VIEWS, max(since, wanted - longest), wanted)
    return (
        f"{len(VIEWS)} views complete to {wanted:%Y-%m-%d %H:%M}Z, from {since:%Y-%m-%d %H:%M}Z, "
        f"in {serve.online_url}"
    )


def _instant(text: str, end: pd.Timestamp) -> pd.Timestamp:
    wanted = pd.to_datetime(text, errors="coerce")
    if pd.isna(wanted) or wanted.tzinfo is None or wanted > end:
        raise DayUnknown(
            f"{text!r} is no instant up to {end:%Y-%m-%dT%H:%M}Z, to which data have arrived, as "
            "2013-04-18T10:00Z is; `make retrain` lets the next month arrive"
        )
    return pd.Timestamp(wanted).tz_convert("UTC")
