"""The champion that serves, and the requests of a day or a month of the schedule."""

import re

import pandas as pd

from pipeline.features import windows
from pipeline.features.definitions import service_version
from pipeline.registry import champions, versions
from pipeline.registry.model import Model
from pipeline.registry.model import load as load_model
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import DayUnknown, RegistryRefused, ReleaseRefused
from pipeline.usecase.chosen import USECASE


def champion_of(config: FeaturesConfig) -> tuple[versions.Version, Model]:
    """The live champion and its model, if it was trained with the served features.

    Raises:
        RegistryRefused: there is no champion.
        ReleaseRefused: it was trained with another feature service.
    """
    registry = load(RegisterConfig)
    champion = champions.current(registry)
    if champion is None:
        raise RegistryRefused(
            f"{registry.model_name} has no champion to serve with in "
            f"{registry.tracking_url}; `make champion` registers one"
        )
    trained, today = champion.tag("feature_service"), service_version(config.model_dump())
    if trained != today:
        raise ReleaseRefused(
            f"version {champion.number} was trained with {trained}, this checkout serves {today}: "
            f"check out its commit ({champion.tag('git_commit')[:8]}), or `make champion`"
        )
    return champion, load_model(versions.fetch_model(registry, champion), champion.digest)


def requests_of(events: pd.DataFrame, config: FeaturesConfig, days: str) -> pd.DataFrame:
    """The requests of a day ("2013-04-18") or of a month ("2013-04"), by local dates.

    Raises:
        DayUnknown: it is neither, or has not arrived.
    """
    requests = windows.requests(events, config)
    date = pd.to_datetime(requests[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    chosen = requests[date.str.startswith(days)]
    if not re.fullmatch(r"\d{4}-\d\d(-\d\d)?", days) or chosen.empty:
        raise DayUnknown(
            f"{days!r} is no day or month that has arrived, as 2013-04-18 or 2013-04 is: "
            f"{date.min()} to {date.max()} have; `make retrain` lets the next month arrive"
        )
    return chosen


def midnight_after(events: pd.DataFrame) -> pd.Timestamp:
    """The local midnight (as UTC) after the last day that has arrived."""
    last = events[USECASE.events.instant].max().tz_convert(windows.ZONE)
    return pd.Timestamp(last.normalize() + pd.DateOffset(days=1)).tz_convert("UTC")
