"""The declaration of a table, guessed where its owner has said nothing; each guess is listed."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from pipeline.adopt import columns
from pipeline.adopt.choices import Choices, Guesses, named, require_one_part
from pipeline.adopt.columns import KEPT_CATEGORIES, MOST_CATEGORIES, Column
from pipeline.adopt.event_time import event_time
from pipeline.adopt.table_file import SourceTable
from pipeline.adopt.target import choose_label
from pipeline.shared.errors import AdoptionRefused
from pipeline.tabular.declaration import Declaration, identifier
from pipeline.tabular.leak import determined

_PLURAL = re.compile(r"^.{2,}[^s]s$")


@dataclass(frozen=True)
class Hints:
    """The words of a script or a model: target, columns left out, and the names of inputs."""

    target: str | None = None
    dropped: tuple[str, ...] = ()
    inputs: tuple[str, ...] | None = None


def guess(
    given: SourceTable, name: str, said: Choices, hints: Hints
) -> tuple[Declaration, Guesses]:
    """The declaration of a table without its naive baseline, and what of it was guessed.

    Raises:
        AdoptionRefused: the table cannot be right, or a choice is missing that nobody can guess.
    """
    guesses = Guesses()
    require_one_part(given, said)
    excluded = {named(given, one): "left out by adopt.yaml" for one in said.exclude}
    found = columns.read(given.rows, set(excluded))
    label = choose_label(given, found, said, hints.target, guesses)
    rest = {n: one for n, one in found.items() if n != label["column"]}
    time = event_time(given, rest, said, guesses)
    _leave_out(rest, excluded, hints, guesses)
    key = _key(given, rest, said, guesses)
    group = _group(given, rest, said, guesses)
    _require_no_leak(given, rest, label)
    inputs = _inputs(rest, [*key, *group], excluded, hints, guesses)
    if time:
        time["entities"] = _entities(given, said, group, inputs["categories"], guesses)
    declared = {
        "noun": said.noun or _noun([given.path.stem, name], guesses),
        "label": label,
        "key": key,
        "group": group,
        **inputs,
        "excluded": excluded,
        "time": time,
    }
    return _declaration(declared), guesses


def _noun(names: list[str], guesses: Guesses) -> str:
    """The first of the names of table and folder that ends as a plural does, else "rows"."""
    for name in names:
        words = re.findall(r"[a-z]+", name.lower())
        if words and _PLURAL.search(words[-1]):
            guesses.add("noun", " ".join(words), f"the rows are named after {name}")
            return " ".join(words)
    guesses.add("noun", "rows", f"{' and '.join(names)} are no nouns in the plural")
    return "rows"


def _declaration(declared: dict[str, Any]) -> Declaration:
    try:
        return Declaration.model_validate(declared)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the choices together"
        raise AdoptionRefused(
            f"adopt.yaml has {error.error_count()} choice(s) that cannot be, 0 may: {where}: "
            f"{first['msg'].removeprefix('Value error, ')}; correct adopt.yaml"
        ) from None


def _leave_out(
    rest: dict[str, Column], excluded: dict[str, str], hints: Hints, guesses: Guesses
) -> None:
    """Move the columns that say nothing, and those that the owner's code drops, to `excluded`."""
    dropped = {identifier(one) for one in hints.dropped}
    for name, one in list(rest.items()):
        why = None
        if one.distinct == 0:
            why = "it is empty in every row"
        elif one.distinct == 1:
            why = f"it is {one.values()[0]!r} in every row that has a value"
        elif name in dropped:
            why = "the given code leaves it out"
        elif one.looks_like_time:
            why = "it holds instants, and is no event time"
        if why:
            excluded[name] = why
            guesses.add(f"excluded {name}", "excluded", why)
            del rest[name]


def _key(given: SourceTable, rest: dict[str, Column], said: Choices, guesses: Guesses) -> list[str]:
    """The columns that name a row, taken out of `rest`."""
    if said.key is not None:
        key = [named(given, one) for one in said.key]
    else:
        nearly = [n for n, one in rest.items() if one.distinct > 0.98 * len(given.rows)]
        names = [n for n in nearly if rest[n].names_something and rest[n].is_whole]
        names += [n for n in nearly if rest[n].numbers_rows]
        key = sorted(names, key=lambda name: -rest[name].distinct)[:1]
        why = "each row has another value" if key else "no column names rows"
        guesses.add("key", key[0] if key else "the row's number", why)
    _require_there(given, "key", key)
    _require_unique(given, key)
    for name in key:
        rest.pop(name, None)
    return key


def _require_there(given: SourceTable, what: str, names: list[str]) -> None:
    for name in names:
        if (missing := given.rows[name].isna()).any():
            raise AdoptionRefused(
                f"{what} {name} is missing in {int(missing.sum()):,} of {len(missing):,} rows, 0 "
                f"may be, first in row {int(missing.to_numpy().argmax()) + 1}: correct them, or "
                f"`exclude: [{name}]` in adopt.yaml"
            )


def _require_unique(given: SourceTable, key: list[str]) -> None:
    again = given.rows.duplicated(key) if key else pd.Series(data=False, index=given.rows.index)
    if again.any():
        first = given.rows.loc[again, key].iloc[0].tolist()
        raise AdoptionRefused(
            f"key {', '.join(key)}: {int(again.sum()):,} of {len(given.rows):,} rows repeat "
            f"that of another, first {first} in row {int(again.to_numpy().argmax()) + 1}; remove "
            "them, or add what tells them apart, `key: [...]`, or `group: [...]` to adopt.yaml"
        )


def _group(
    given: SourceTable, rest: dict[str, Column], said: Choices, guesses: Guesses
) -> list[str]:
    """The columns whose rows belong together, taken out of `rest`."""
    if said.group is not None:
        group = [named(given, one) for one in said.group]
    else:
        named_so = [n for n, one in rest.items() if one.names_something and one.is_whole]
        group = [n for n in named_so if 20 < rest[n].distinct < len(given.rows)][:1]
        if group:
            guesses.add("group", group[0], "it names something that has several rows")
        else:
            guesses.add("group", "none", "no column names what has several rows: each stands alone")
    _require_there(given, "group", group)
    for name in group:
        rest.pop(name, None)
    return group


def _require_no_leak(given: SourceTable, rest: dict[str, Column], label: dict[str, Any]) -> None:
    values = _label_values(given, label)
    frame = pd.DataFrame(
        {n: one.texts if one.numbers is None else one.numbers for n, one in rest.items()}
    )
    if leaks := determined(frame, values):
        names = ", ".join(leaks)
        raise AdoptionRefused(
            f"{len(leaks)} column(s) determine the label {label['column']} alone, 0 may: {names} "
            f"(ROC AUC or purity {max(leaks.values()):.4f}); they are known only with it: "
            f"`exclude: [{names}]` in adopt.yaml, or choose another label"
        )


def _label_values(given: SourceTable, label: dict[str, Any]) -> np.ndarray:
    column = given.rows[label["column"]]
    if "positive" in label:
        return np.asarray(column == label["positive"], dtype="float64")
    return np.asarray(pd.to_numeric(column) > label["above"], dtype="float64")


def _inputs(
    rest: dict[str, Column],
    names: list[str],
    excluded: dict[str, str],
    hints: Hints,
    guesses: Guesses,
) -> dict[str, Any]:
    """The numeric inputs and the categories of what is left."""
    wanted = None if hints.inputs is None else {identifier(one) for one in hints.inputs}
    numeric: list[str] = []
    categories: dict[str, list[str]] = {}
    pooled: list[str] = []
    for name, one in rest.items():
        why = None
        if wanted is not None and not _is_input(one, wanted):
            why = "the given model does not take it"
        elif one.numbers_rows:
            why = "it counts the rows"
        elif one.is_unique and (one.names_something or one.numbers is None) and one.is_whole:
            why = "it names the row"
        elif one.numbers is not None:
            numeric.append(name)
        else:
            _require_few(one)
            categories[name] = one.values()[:KEPT_CATEGORIES]
            if one.distinct > KEPT_CATEGORIES:
                pooled.append(name)
                guesses.add(
                    f"category {name}", f"{KEPT_CATEGORIES} values", "the others are pooled"
                )
        if why:
            excluded[name] = why
            guesses.add(f"excluded {name}", "excluded", why)
    if not numeric and not categories:
        raise AdoptionRefused(
            f"0 inputs are left of {len(rest) + len(names) + len(excluded)} columns, 1 is needed: "
            f"{len(excluded)} are left out; see `exclude` in adopt.yaml"
        )
    return {"numeric": numeric, "categories": categories, "pooled": pooled}


def _is_input(one: Column, wanted: set[str]) -> bool:
    """Whether a model takes the column, or a column of one of its values, as get_dummies makes."""
    dummies = {identifier(f"{one.name}_{value}") for value in one.values()[:MOST_CATEGORIES]}
    return one.name in wanted or (one.numbers is None and bool(dummies & wanted))


def _require_few(one: Column) -> None:
    if one.distinct > MOST_CATEGORIES:
        raise AdoptionRefused(
            f"column {one.name} has {one.distinct:,} categories, at most {MOST_CATEGORIES:,} are "
            f"read: `exclude: [{one.name}]`, `key: [{one.name}]` or `group: [{one.name}]` in "
            "adopt.yaml"
        )


def _entities(
    given: SourceTable,
    said: Choices,
    group: list[str],
    categories: dict[str, list[str]],
    guesses: Guesses,
) -> list[str]:
    """The columns whose former outcomes become features."""
    if said.entities is not None:
        entities = [named(given, one) for one in said.entities]
        _require_no_slash(given, entities)
        return entities
    whole = [n for n in categories if not given.rows[n].str.contains("/", na=False).any()]
    entities = group or sorted(whole, key=lambda name: -len(categories[name]))[:1]
    why = "means of its former outcomes, as far as they were known, become inputs"
    guesses.add("entities", ", ".join(entities) or "none", why)
    return entities


def _require_no_slash(given: SourceTable, entities: list[str]) -> None:
    """Refuse entities with a slash in their names, where the feature store parts its keys."""
    for name in entities:
        if (slashes := given.rows[name].str.contains("/", na=False)).any():
            raise AdoptionRefused(
                f"entity {name} has a / in {int(slashes.sum()):,} of {len(slashes):,} rows, first "
                f"{given.rows[name][slashes].iloc[0]!r}, 0 may have one: replace it, "
                "or name other `entities` in adopt.yaml"
            )
