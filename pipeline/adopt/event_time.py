"""The event time of a table: said, or the first column that holds instants."""

from typing import Any

import pandas as pd

from pipeline.adopt.choices import Choices, Guesses, named
from pipeline.adopt.columns import Column
from pipeline.adopt.table_file import SourceTable
from pipeline.shared.errors import AdoptionRefused
from pipeline.tabular import published

_SOME = 0.1


def event_time(
    given: SourceTable, rest: dict[str, Column], said: Choices, guesses: Guesses
) -> dict[str, Any] | None:
    """The event time, taken out of `rest`; None without one, or where `time: none` says so."""
    if said.time == "none":
        return None
    name = named(given, said.time) if said.time else None
    if name is None:
        name = next((n for n, one in rest.items() if one.looks_like_time), None)
        if name is None:
            _require_no_other_time(rest)
            guesses.add("time", "none", "no column holds instants: rows are held out by a hash")
            return None
        guesses.add(
            "time", name, "it holds instants; `time: none` holds rows out by a hash instead"
        )
    texts = rest.pop(name).texts
    zone = said.zone or "UTC"
    if said.zone is None:
        _require_one_offset(name, texts)
        guesses.add("zone", zone, "days and months are the zone's; nobody has said which")
    published.read_instants(texts, name, zone)
    hours = said.known_after_hours
    if hours is None:
        hours = 24.0
        guesses.add(
            "known_after_hours", hours, "when an outcome is known decides what may be learned"
        )
    return {"column": name, "zone": zone, "known_after_hours": hours}


def _require_no_other_time(rest: dict[str, Column]) -> None:
    """Refuse a table whose only instants are numbers, or text in part: its order would be lost.

    Rows that have an order and are held out by a hash are judged by what came after them.
    """
    for name, one in rest.items():
        if one.is_epoch:
            raise AdoptionRefused(
                f"column {name} has numbers for instants in {one.texts.notna().sum():,} of "
                f"{len(one.texts):,} rows, as {one.texts.dropna().iloc[0]}: write them as "
                "`2011-07-04T17:00` to hold out the newest, or `time: none` and `exclude: "
                f"[{name}]` in adopt.yaml"
            )
        if one.numbers is None and one.is_named_like_time and one.share_of_dates > _SOME:
            raise AdoptionRefused(
                f"column {name} has {one.share_of_dates:.0%} of {len(one.texts):,} values that are "
                "instants, 100% are needed: write all of them as `2011-07-04T17:00`, or `time: "
                f"none` and `exclude: [{name}]` in adopt.yaml"
            )


def _require_one_offset(name: str, texts: pd.Series) -> None:
    offsets = texts.str.extract(r"\d(Z|[+-]\d\d:?\d\d)$")[0]
    if (kinds := offsets.dropna().nunique()) > 1 and offsets.notna().all():
        raise AdoptionRefused(
            f"column {name} is of {kinds} zones, 1 is needed for its days and months: "
            f"{', '.join(map(str, offsets.unique()[:4]))}; add `zone: America/New_York`, or "
            "another, to adopt.yaml"
        )
