"""The contract of a use case: what the stages ask of the one folder that knows the domain.

A use case has a table of events, whose outcome is predicted, and perhaps one of their context. Each
has the columns `year`, `month` and `day` of the use case's calendar.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pipeline.shared.clock import LABELS_COMPLETE
from pipeline.shared.config.evaluate import SliceRule
from pipeline.shared.errors import ConfigError
from pipeline.shared.nouns import Words
from pipeline.shared.replay_plan import Story

if TYPE_CHECKING:
    from pipeline.shared.config.ingest import IngestConfig
    from pipeline.shared.config.validate import ValidateConfig

Tables = dict[str, pd.DataFrame]
"""Published tables by name."""


def _nothing(*_: object) -> dict[str, Any]:
    """No columns."""
    return {}


@dataclass(frozen=True)
class Table:
    """A published table: its unique key, the column of its instants, its schema.

    `types` has every column of a snapshot in order; integers cannot be null, so their type implies
    it. A `compared` table is judged against the reference months; `noun` is what its rows are.
    """

    name: str
    noun: str
    key: list[str]
    instant: str
    types: dict[str, str]
    never_null: list[str]
    compared: bool = False


@dataclass(frozen=True)
class Rolling:
    """A mean over what became known of an entity's events in the last so many hours."""

    view: str
    value: str
    hours: int

    @cached_property
    def name(self) -> str:
        """The feature's name, as "origin_dep_late_3h"; days where the hours are whole days > 1."""
        days = self.hours // 24
        span = f"{days}d" if days > 1 else f"{self.hours}h"
        return f"{self.view}_{self.value}_{span}"


@dataclass(frozen=True)
class Event:
    """One outcome of all events: its values, and when each became known, in minutes."""

    value: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Occurrence:
    """A raw event behind a state: what it is of, its values, the minute at which it was known."""

    of: str
    values: dict[str, float]
    known: int


@dataclass(frozen=True)
class Pushed:
    """The way of a view's rows into the online store, as raw rows become available.

    `raw` gives the raw rows of both tables, each with the minute at which it is `available_at`.
    `fold` makes the view's rows of the new ones and of those in the `lookback` minutes before, and
    where `stored` is true of the rows that the store holds of the same entities.
    """

    raw: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]
    fold: Callable[[pd.DataFrame], pd.DataFrame]
    lookback: int = 0
    stored: bool = False


@dataclass(frozen=True)
class State:
    """A view of the last known state of an entity, such as its last observation.

    `rows` makes them of both tables; they come online as they are, or as `pushed` says. `expires`
    holds, for a column of instants, the columns that are missing once it is older than the hours of
    `setting` in configs/features.yaml. `features` are those that rest on the view. `behind` gives
    the raw events of an entity's rows known at a minute, newest first, if not the view's last row.
    """

    view: str
    keys: list[str]
    columns: list[str]
    features: list[str]
    expires: dict[str, list[str]]
    rows: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]
    pushed: Pushed | None = None
    behind: Callable[[pd.DataFrame, int], list[Occurrence]] | None = None

    @property
    def setting(self) -> str:
        """The key of configs/features.yaml with the hours after which the view expires."""
        return f"{self.view}_hours"


@dataclass(frozen=True)
class Features:
    """The features by name, and what of them is derived at the request.

    `values` are the outcomes behind rolling means; `outcomes` gives each with the minute at which
    it became known. `requests` gives a row per event: its key, `predict_at`, the request's
    features, label and proxy with the instants at which they become known. `derive` gives the
    features that depend on the request and the states, from joined columns. `request_type` is the
    type of all features of the request.
    """

    service: str
    label: str
    proxy: str
    values: list[str]
    entities: dict[str, list[str]]
    rolling: list[Rolling]
    states: list[State]
    request: list[str]
    schedule: list[str]
    numeric: list[str]
    one_hot: dict[str, tuple[str, str]]
    always_there: set[str]
    monotone: dict[str, int]
    ranges: dict[str, tuple[float, float]]
    whole_numbers: set[str]
    outcomes: Callable[[pd.DataFrame], dict[str, Event]]
    requests: Callable[..., pd.DataFrame]
    derive: Callable[[Mapping[str, Any], Mapping[str, Any], Any, Any], dict[str, Any]] = _nothing
    request_type: str = "int64"


class DataRules(Protocol):
    """The rules of published months, in a module of their own: their tool takes seconds to load."""

    def other_months(self, month: str, months: Mapping[str, pd.DataFrame], reference: Any) -> Any:
        """Facts of other months than this one; None without any."""

    def add_measures(self, table: str, rows: pd.DataFrame, known: Any) -> pd.DataFrame:
        """The rows with the columns that rules need beside the published ones."""

    def rules(self, table: str, month: str, reference: Any, limits: Any) -> list[Any]:
        """Every rule for a month whose schema holds."""


@dataclass(frozen=True)
class Request:
    """The request of a caller: one `item` for each prediction, in the list of a `body`.

    `name_of` is an item's name in the request log; `rows` gives items and a horizon as the online
    store's columns: keys, the request's features, `predict_at` in minutes. `columns` holds, for a
    field of an item, its column in the feature table where that has another name.
    """

    item: type[BaseModel]
    body: type[BaseModel]
    name_of: Callable[[Any], str]
    rows: Callable[[Sequence[Any], int], dict[str, list[Any]]]
    columns: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The name under which a body holds its items."""
        return next(iter(self.body.model_fields))


@dataclass(frozen=True)
class Monitored:
    """The part of served rows that monitoring reads beside the features.

    `schedule` are the columns kept of each request. Drift is reported by `categories` and by the
    `groups` of features; those in `alarming` may raise an alarm. Of `unseen` categories training
    must have seen the values, `known` ones have no others. `steady` features differ within any day.
    `name_pattern` is that of names; `from_names` reads columns out of them, `for_slices` adds what
    slices need. `deadline` is the latest instant at which a label is known, `earliest` the first,
    where that is another; all of a day have arrived `labels_due` after its midnight. Labels are
    compared with the proxy by `label_group`, which is read out of names.
    """

    schedule: list[str]
    categories: list[str]
    groups: dict[str, list[str]]
    alarming: list[str]
    unseen: list[str]
    known: dict[str, list[str]]
    steady: list[str]
    required: list[str]
    name_pattern: str
    deadline: Callable[[pd.DataFrame], pd.Series]
    label_group: Callable[[pd.Series], pd.Series]
    labels_due: pd.Timedelta = LABELS_COMPLETE
    earliest: Callable[[pd.DataFrame], pd.Series] | None = None
    from_names: Callable[[pd.Series], dict[str, pd.Series]] = _nothing
    for_slices: Callable[[pd.DataFrame], dict[str, pd.Series]] = _nothing


@dataclass(frozen=True)
class UseCase:
    """All that the stages know of the domain.

    The published data reach from the day `begins` to the day before `ends`, in `zone`. `events`
    and `context`, or None, are the tables; `words` are its nouns, `question` says what the risk is
    of. `rules` loads the data rules, whose limits are a `limits` section. `name_of` names a row for
    messages, `names_of` gives the names by which logs and labels are joined, `slices` the masks of
    critical slices by a `slice_rule`. `identifiers` only name an event and must not move its risk.
    `unfinished` names events without an outcome yet. Without event time a month is a version and
    its days are parts of a `split`: how many are learned from, and how many of the next are held
    out; nothing can be replayed. `card` is the template of a model's card, which extends that of
    register. The `story` is the replay's. If `open_ended`, only the rows say when they end.
    """

    name: str
    words: Words
    question: str
    card: str
    zone: str
    begins: str
    ends: str
    events: Table
    context: Table | None
    read_source: "Callable[[IngestConfig], Tables]"
    limits: "type[ValidateConfig]"
    rules: Callable[[], DataRules]
    features: Features
    request: Request
    monitored: Monitored
    name_of: Callable[[Any], str]
    names_of: Callable[[pd.DataFrame], pd.Series]
    slices: Callable[[pd.DataFrame, Any], dict[str, np.ndarray]]
    identifiers: list[str]
    slice_rule: type[SliceRule] = SliceRule
    unfinished: str = "events without an outcome yet"
    split: tuple[int, int] | None = None
    open_ended: bool = False
    story: Story | None = None

    def require_story(self) -> Story:
        """The story of the use case.

        Raises:
            ConfigError: it has none.
        """
        if self.story is None:
            raise ConfigError(
                f"use case {self.name!r} has 0 stories, 1 is needed to replay its months: give it "
                f"a `story` in pipeline/{self.name}/usecase.py, or go on with `make champion`"
            )
        return self.story

    def require_event_time(self) -> None:
        """Refuse a use case whose events have no order, where traffic of later days is wanted.

        Raises:
            ConfigError: it has no event time.
        """
        if self.split:
            raise ConfigError(
                f"use case {self.name!r} has 0 tables with event time, 1 is needed to replay "
                "traffic: its rows have no order. The gate has judged the challenger on rows held "
                "out: `make promote` makes it champion"
            )

    @property
    def noun(self) -> str:
        """The noun of the events."""
        return self.words.events

    @property
    def last_day(self) -> str:
        """The last day of the published data."""
        return f"{pd.Timestamp(self.ends) - pd.Timedelta(days=1):%Y-%m-%d}"

    @property
    def tables(self) -> dict[str, Table]:
        """The tables by name, the events first."""
        return {table.name: table for table in (self.events, self.context) if table}
