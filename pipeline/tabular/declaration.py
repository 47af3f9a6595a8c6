"""The declaration of a table: `table.yaml` in the folder of its use case.

Columns have identifiers for names; `identifier` makes one of a published name.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError, model_validator

from pipeline.shared.config.ingest import Zone
from pipeline.shared.config.loading import read_values
from pipeline.shared.config.sections import Section, Share
from pipeline.shared.errors import ConfigError, shell_quote

RESERVED = frozenset(
    "year month day row label at_utc predict_at sched_hour group entity available_at known_at "
    "event view system date risk name body version release request_id flags share_of_label "
    "columns_that_determine rows_there".split()
)
"""Names that the stages give to columns of their own."""
_RESERVED_ENDS = re.compile(r"_(known|available)_at$|_\d+[dh](_count|_sum)?$")
"""The ends of the names that they give to instants and to rolling features."""
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def identifier(published: str) -> str:
    """A published column's name as an identifier: "Mean Radius (mm)" becomes mean_radius_mm.

    A name that the stages or the fields of a request have already gets an end of its own.
    """
    name = re.sub(r"[^a-z0-9]+", "_", published.lower()).strip("_") or "column"
    name = name if name[0].isalpha() else f"c_{name}"
    taken = name in RESERVED or hasattr(BaseModel, name) or _RESERVED_ENDS.search(name)
    return f"{name}_published" if taken else name


class LabelColumn(Section):
    """The column that is predicted: 1 for the `positive` value, or for numbers `above` a limit."""

    column: _Name
    positive: str | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> "LabelColumn":
        if (self.positive is None) is (self.above is None):
            raise ValueError("a label has either `positive`, a value, or `above`, a number")
        return self


class EventTime(Section):
    """The instants of events, and the hours after which the outcome of one is known.

    `entities` are columns whose former outcomes are features, as means over `days`.
    """

    column: _Name
    zone: Zone = "UTC"
    known_after_hours: float = Field(ge=0)
    entities: list[_Name] = Field(default=[])
    days: list[Annotated[int, Field(gt=1)]] = Field(default=[7, 28])


class Naive(Section):
    """The naive baseline: the label's share by category, or between the `edges` of a number."""

    column: _Name
    edges: list[float] = Field(default=[])


class Declaration(Section):
    """A table for the stages: what its columns are, and how rows are held out.

    `key` names a row, its number without one. Rows of one `group` are held out together. `numeric`
    and `categories` are the model's inputs; a `pooled` category has values besides those named.
    `excluded` columns, each with the reason, are read by nobody. Text columns
    that are not categories are part of the key or the group.
    """

    noun: Annotated[str, Field(pattern=r"^[a-z][a-z ]*$")]
    label: LabelColumn
    key: list[_Name] = Field(default=[])
    group: list[_Name] = Field(default=[])
    numeric: list[_Name]
    categories: dict[_Name, Annotated[list[str], Field(min_length=2)]] = Field(default={})
    pooled: list[_Name] = Field(default=[])
    excluded: dict[_Name, str] = Field(default={})
    naive: Naive | None = None
    held_out: Annotated[Share, Field(gt=0, lt=1)] = 0.3
    time: EventTime | None = None
    about: str = ""

    @model_validator(mode="after")
    def _gives_each_column_one_part(self) -> "Declaration":
        inputs = [*self.numeric, *self.categories]
        if not inputs:
            raise ValueError("there are 0 inputs, at least 1 numeric column or category is needed")
        own = [self.label.column, *([self.time.column] if self.time else [])]
        _once("inputs, label and time", [*inputs, *own])
        _once("key, inputs, label and time", [*self.key, *inputs, *own])
        _unused(self.excluded, [*inputs, *own, *self.key, *self.group])
        named = {*self.categories, *self.group}
        if self.time and (strange := set(self.time.entities) - named):
            raise ValueError(f"entities {sorted(strange)} are no categories and no group")
        if own_names := sorted(name for name in self.columns if identifier(name) != name):
            raise ValueError(f"{own_names}: {len(own_names)} columns bear names of the stages' own")
        if self.naive and self.naive.column not in inputs:
            raise ValueError(f"naive.column {self.naive.column} is no input")
        return self

    @property
    def texts(self) -> list[str]:
        """The columns that are read as text."""
        label = [self.label.column] if self.label.positive is not None else []
        others = [name for name in (*self.key, *self.group) if name not in self.numeric]
        time = [self.time.column] if self.time else []
        return list(dict.fromkeys([*self.categories, *others, *label, *time]))

    @property
    def columns(self) -> list[str]:
        """Every column that is read, the key first."""
        own = [*self.key, *self.group, *self.numeric, *self.categories, self.label.column]
        return list(dict.fromkeys([*own, *([self.time.column] if self.time else [])]))


def _once(what: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)}: {len(names)} columns in {what}, one of them twice")


def _unused(excluded: Iterable[str], used: list[str]) -> None:
    if both := sorted(set(excluded) & set(used)):
        raise ValueError(f"{len(both)} excluded column(s) are used, 0 may be: {', '.join(both)}")


def read(folder: Path) -> Declaration:
    """The declaration of the use case in `folder`.

    Raises:
        ConfigError: it is missing, is not YAML, or a key or value is wrong.
    """
    path = folder / "table.yaml"
    try:
        return Declaration.model_validate(read_values(path))
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, e['loc'])) or '(file)'}: {e['msg']}" for e in error.errors()
        ]
        raise ConfigError(
            "\n".join([f"{path} has {len(lines)} wrong key(s) or value(s), 0 are allowed:", *lines])
            + f"\ncorrect them (`git diff {shell_quote(path)}`)"
        ) from None
