"""A declared table, stated for the stages: the contract of a use case from its `table.yaml`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from pipeline.shared.clock import LABELS_COMPLETE, labels_due
from pipeline.shared.config.evaluate import SliceRule
from pipeline.shared.domain import DataRules, Features, Monitored, Request, Rolling, UseCase
from pipeline.shared.minutes import EPOCH, instants
from pipeline.tabular import declaration, published
from pipeline.tabular.declaration import Declaration
from pipeline.tabular.limits import TableLimits
from pipeline.tabular.words import declared_words

ROW = "row"
"""The field that names a row of a table without a key."""
_LAST_VERSIONED = "2100-01-01"


def use_case(folder: Path) -> UseCase:
    """The use case that `table.yaml` in a folder of pipeline/ declares.

    Raises:
        ConfigError: the declaration is missing or wrong.
    """
    of, name = declaration.read(folder), folder.name
    return UseCase(
        name=name,
        words=declared_words(folder),
        question=_question(of),
        card="tabular/table_card.md",
        zone=of.time.zone if of.time else "UTC",
        begins=f"{published.FIRST_VERSION}-01",
        ends=_LAST_VERSIONED,
        open_ended=True,
        events=published.table(name, of),
        context=None,
        read_source=published.source(name, of),
        limits=TableLimits,
        rules=partial(_rules, name, of),
        features=_features(name, of),
        request=_request(of),
        monitored=_monitored(of),
        name_of=lambda row: f"{of.noun} {'/'.join(str(row[key]) for key in published.row_key(of))}",
        names_of=partial(_names, of),
        slices=partial(slices, of),
        split=None if of.time else (published.LEARNED_DAYS, published.HELD_OUT_DAYS),
        identifiers=[*published.row_key(of), *(c for c in of.group if c not in of.numeric)],
    )


def _rules(name: str, of: Declaration) -> DataRules:
    from pipeline.tabular.rules import TableRules  # its tool takes seconds to load

    return TableRules(name, of)


def _features(name: str, of: Declaration) -> Features:
    rolling, entities = _rolling(of)
    return Features(
        service=name,
        label=of.label.column,
        proxy=of.label.column,
        values=[of.label.column] if of.time else [],
        entities=entities,
        rolling=rolling,
        states=[],
        request=of.numeric,
        schedule=of.numeric,
        numeric=[*of.numeric, *(one.name for one in rolling)],
        one_hot=_one_hot(of),
        always_there={"system"} if of.time else set(),
        monotone={},
        ranges={one.name: (0.0, 1.0) for one in rolling},
        whole_numbers=set(),
        outcomes=published.outcomes(of),
        requests=published.requests(of),
        request_type="float64",
    )


def _one_hot(of: Declaration) -> dict[str, tuple[str, str]]:
    """A column for each value of a category; values whose names fall together are numbered."""
    found: dict[str, tuple[str, str]] = {}
    for column, values in of.categories.items():
        for number, value in enumerate(values):
            name = f"{column}_is_{declaration.identifier(value)}"
            taken = name in found or name in of.columns
            found[f"{name}_{number}" if taken else name] = (column, value)
    return found


def _rolling(of: Declaration) -> tuple[list[Rolling], dict[str, list[str]]]:
    """The means of former outcomes, of all and of each entity; none without event time."""
    if of.time is None:
        return [], {}
    entities: dict[str, list[str]] = {"system": [], **{one: [one] for one in of.time.entities}}
    label = of.label.column
    return [Rolling(v, label, 24 * days) for v in entities for days in of.time.days], entities


def _request(of: Declaration) -> Request:
    """The request of a caller: a row without its label, every input optional.

    Of events the instant is needed: with it the means of former outcomes are read.
    """
    of_category: dict[str, Any] = {
        name: ((str if name in of.pooled else Literal[tuple(values)]) | None, None)
        for name, values in of.categories.items()
    }
    inputs: dict[str, Any] = dict.fromkeys(of.numeric, (float | None, None)) | of_category
    entities = of.time.entities if of.time else []
    fields: dict[str, Any] = dict.fromkeys(of.key, (str | int, ...)) or {ROW: (int | None, None)}
    fields |= {n: (str | int | None, None) for n in entities if n not in inputs}
    fields |= {of.time.column: (AwareDatetime, ...)} if of.time else {}
    frozen = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    item = create_model("Row", __config__=frozen, **fields, **inputs)
    field = Field(min_length=1)
    body = create_model("Rows", __config__=frozen, rows=(list[item], field))  # type: ignore[valid-type]

    def rows(items: Sequence[Any], horizon_minutes: int) -> dict[str, list[Any]]:
        columns = {name: [getattr(one, name) for one in items] for name in inputs}
        columns |= {name: [_text(getattr(one, name)) for one in items] for name in entities}
        at = [_minute(of, one) - horizon_minutes if of.time else 0 for one in items]
        return {"system": ["all"] * len(items), **columns, "predict_at": at}

    columns = {of.time.column: published.INSTANT} if of.time else {}
    return Request(item=item, body=body, name_of=partial(_name, of), rows=rows, columns=columns)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _minute(of: Declaration, item: BaseModel) -> int:
    assert of.time is not None
    since = getattr(item, of.time.column) - EPOCH.to_pydatetime()
    return int(since.total_seconds()) // 60


def _name(of: Declaration, item: BaseModel) -> str:
    """The name of a request's row: that of the table's where it is of an event."""
    names = [str(getattr(item, key)) for key in of.key] or [_text(getattr(item, ROW)) or ROW]
    if of.time:
        local = getattr(item, of.time.column).astimezone(ZoneInfo(of.time.zone))
        names = [f"{local:%Y-%m-%d}", *names]
    return "/".join(names)


def _monitored(of: Declaration) -> Monitored:
    categories = [name for name in of.categories if name not in of.pooled]
    return Monitored(
        schedule=[*of.categories, published.INSTANT, "sched_hour"],
        categories=categories,
        groups={},
        alarming=["static"],
        unseen=categories,
        known={name: of.categories[name] for name in categories},
        steady=[],
        required=[],
        name_pattern=r"\d{4}-\d\d-\d\d/.+",
        deadline=lambda rows: instants(published.known_at(rows, of)),
        label_group=lambda names: pd.Series("all", names.index),
        labels_due=_labels_due(of),
    )


def _labels_due(of: Declaration) -> pd.Timedelta:
    """The time from a local date, at midnight UTC, to the arrival of its last label."""
    if of.time is None:
        return LABELS_COMPLETE
    seasons = pd.DatetimeIndex(["2001-01-01", "2001-07-01"]).tz_localize(of.time.zone)
    latest = max(
        one.tz_convert("UTC") - one.tz_localize(None).tz_localize("UTC") for one in seasons
    )
    return labels_due(latest + pd.Timedelta(hours=24 + of.time.known_after_hours))


def _names(of: Declaration, rows: pd.DataFrame) -> pd.Series:
    """The names of rows: "2001-01-09/C1042", the day of the calendar or of the split first."""
    local = rows[published.INSTANT].dt.tz_convert(of.time.zone if of.time else "UTC")
    day = local.dt.strftime("%Y-%m-%d").astype("str")
    keys = [rows[column].astype("str") for column in published.row_key(of)]
    return pd.Series(day.str.cat(keys, sep="/"), dtype="object")


def slices(of: Declaration, frame: pd.DataFrame, rule: SliceRule) -> dict[str, np.ndarray]:  # noqa: ARG001
    """A mask for each critical slice: every category's values, and the naive baseline's parts."""
    masks = {
        f"{column} {value}": (frame[column] == value).to_numpy()
        for column, values in of.categories.items()
        for value in values
    }
    if of.naive and of.naive.edges:
        parts = frame["sched_hour"].to_numpy()
        bounds = ["-inf", *(f"{edge:g}" for edge in of.naive.edges), "inf"]
        for place in range(len(bounds) - 1):
            name = f"{of.naive.column} {bounds[place]} to {bounds[place + 1]}"
            masks[name] = parts == place
    return {name: mask for name, mask in masks.items() if mask.any()}


def _question(of: Declaration) -> str:
    """The risk in words, how rows are held out, and which columns nobody reads."""
    label = of.label
    event = f"is {label.positive}" if label.positive is not None else f"is above {label.above:g}"
    known = "known before the event" if of.time else "as they stand in the table"
    held_out = "the newest days" if of.time else f"{of.held_out:.0%} of the rows by a hash"
    if of.group and not of.time:
        held_out = f"{of.held_out:.0%} of the groups ({', '.join(of.group)}) by a hash"
    left_out = ", ".join(sorted(of.excluded)) or "none"
    return (
        f"The risk that {label.column} of one of the {of.noun} {event}, from inputs {known}. Held "
        f"out: {held_out}. Columns left out: {left_out}. {of.about}".rstrip()
    )
