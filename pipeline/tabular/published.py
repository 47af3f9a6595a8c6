"""A declared table as snapshots: by month of its events, or by version where it has no event time.

A version is filed as a month: the first as 2001-01, the next as 2001-02. Its days are no dates but
parts of a split: a hash of the group (of the row's values without one) puts a row into one of the
days to learn from or, by the share `held_out`, into one of the days held out. So a customer who
was held out once is held out in every version, and whole groups are what the gate resamples.
"""

import io
from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.domain import Event, Table, Tables
from pipeline.shared.errors import SourceRejected
from pipeline.shared.minutes import NEVER, instants, minutes
from pipeline.shared.source import PublishedColumns, locate, parse_published, read_pinned
from pipeline.tabular.declaration import Declaration, identifier

FIRST_VERSION = "2001-01"
LEARNED_DAYS, HELD_OUT_DAYS = 8, 20
"""Days of a version to learn from, then days held out: the gate needs 14 of them to resample."""
INSTANT = "at_utc"
AFTER_ITS_ROW = 1
"""Minutes: a label without event time is known after its row, as every label is."""
_PARTS = 10_000
_OFFSET = r"\d(?:Z|[+-]\d\d:?\d\d)$"
_DAY_OR_MONTH = r"^\s*(\d{1,2})[/.-](\d{1,2})[/.-]\d{2,4}"


def row_key(of: Declaration) -> list[str]:
    """The columns that name a row within its snapshot."""
    return of.key or ["row"]


def table(name: str, of: Declaration) -> Table:
    """The snapshot's columns, their types and the key."""
    types = dict.fromkeys(["year", "month", "day", "row"], "int64")
    types |= {c: "object" if c in of.texts else "float64" for c in of.columns}
    if of.time:
        del types[of.time.column]
    never_null = [*of.key, *of.group, of.label.column, INSTANT]
    return Table(
        name=name,
        noun=of.noun,
        key=["year", "month", *row_key(of)],
        instant=INSTANT,
        types=types | {INSTANT: "datetime64[us, UTC]"},
        never_null=list(dict.fromkeys(never_null)),
        compared=True,
    )


def source(name: str, of: Declaration) -> Callable[[IngestConfig], Tables]:
    """The reader of the published files: each one a version, or a part of the events."""

    def read_source(config: IngestConfig) -> Tables:
        folder, parts = locate(config.source), []
        for number, (file, digest) in enumerate(config.files.items()):
            rows = _parse(file, read_pinned(folder, file, digest), of)
            parts.append(rows if of.time else _as_version(rows, number, of))
        rows = pd.concat(parts, ignore_index=True)
        if of.time:
            rows = _as_events(rows, of)
        order = rows.sort_values([INSTANT, "row"], kind="stable", ignore_index=True)
        return {name: order[list(table(name, of).types)]}

    return read_source


def _parse(file: str, content: bytes, of: Declaration) -> pd.DataFrame:
    """A file's rows in declared columns, with their number in the file.

    Raises:
        SourceRejected: other columns, or a value that is not of its column's type.
    """
    header = list(pd.read_csv(io.BytesIO(content), nrows=0, dtype="str").columns)
    found = {identifier(str(column)): str(column) for column in header}
    wanted = {*of.columns, *of.excluded}
    if found.keys() != wanted or len(found) < len(header):
        missing, unknown = sorted(wanted - found.keys()), sorted(found.keys() - wanted)
        raise SourceRejected(
            f"{file} has {len(header)} columns, table.yaml declares {len(wanted)}: missing "
            f"{missing or 'none'}, unknown {unknown or 'none'}; correct the file, or declare them "
            "(a column that nothing shall read: `excluded`)"
        )
    texts = {found[name] for name in (*of.texts, *of.excluded)}
    rows = parse_published(file, content, PublishedColumns(header, frozenset(texts), frozenset()))
    rows = rows.rename(columns={column: name for name, column in found.items()})[of.columns]
    return rows.assign(row=np.arange(1, len(rows) + 1))


def _as_version(rows: pd.DataFrame, number: int, of: Declaration) -> pd.DataFrame:
    month = pd.Period(FIRST_VERSION, freq="M") + number
    day = split_days(rows, of)
    at = pd.Series(month.start_time + pd.to_timedelta(day - 1, unit="D"), rows.index)
    return rows.assign(
        year=month.year, month=month.month, day=day, **{INSTANT: _in_utc(at, "UTC")}
    ).astype({"year": "int64", "month": "int64", "day": "int64"})


def split_days(rows: pd.DataFrame, of: Declaration) -> np.ndarray:
    """The day of each row: up to LEARNED_DAYS to learn from, the later ones are held out.

    It depends on the group alone, or on the row's own values, so equal rows lie on one side.
    """
    names = rows[of.group or of.columns].astype("str").agg("\x1f".join, axis=1)
    hashes = pd.util.hash_array(names.to_numpy(dtype=object))
    held_out = hashes % _PARTS >= round(_PARTS * (1 - of.held_out))
    place = (hashes // _PARTS).astype("uint64")
    days = np.where(held_out, LEARNED_DAYS + place % HELD_OUT_DAYS, place % LEARNED_DAYS)
    return days.astype("int64") + 1


def _as_events(rows: pd.DataFrame, of: Declaration) -> pd.DataFrame:
    assert of.time is not None
    at = read_instants(rows[of.time.column], of.time.column, of.time.zone)
    local = at.dt.tz_convert(of.time.zone)
    parts = {part: getattr(local.dt, part).astype("int64") for part in ("year", "month", "day")}
    number = np.arange(1, len(rows) + 1)
    return rows.assign(**parts, **{INSTANT: at}, row=number).drop(columns=of.time.column)


def read_instants(texts: pd.Series, column: str, zone: str) -> pd.Series:
    """Published instants in UTC; those without an offset are the zone's.

    Raises:
        SourceRejected: some have an offset and some have none, or some are no instants.
    """
    offset = texts.str.contains(_OFFSET, regex=True, na=False)
    if 0 < offset.sum() < len(texts):
        raise SourceRejected(
            f"column {column} mixes zones: {int(offset.sum()):,} of {len(texts):,} instants have "
            f"an offset from UTC, first {texts[offset].iloc[0]!r}, the others have none, first "
            f"{texts[~offset].iloc[0]!r}; write an offset to each, then "
            "`make ingest`"
        )
    aware = bool(offset.all())
    found = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=aware)
    if found.isna().any() and not aware:
        found = _with_days_and_months(texts, column)
    if (bad := found.isna()).any():
        raise SourceRejected(
            f"column {column} has {int(bad.sum()):,} of {len(texts):,} values that are no "
            f"instants, first in row {int(bad.to_numpy().argmax()) + 1}: "
            f"{texts[bad].iloc[0]!r}; write all of them as `2011-07-04T17:00` at their source"
        )
    return _in_utc(found, zone)


def _with_days_and_months(texts: pd.Series, column: str) -> pd.Series:
    """Instants that are not in ISO's order; a day above 12 tells which of two numbers it is.

    Raises:
        SourceRejected: no value tells, or they tell otherwise.
    """
    parts = texts.str.extract(_DAY_OR_MONTH).astype("float64")
    if parts.isna().all(axis=None):
        return pd.to_datetime(texts, errors="coerce")
    is_day = (parts > 12).sum()
    if (is_day > 0).all() or (is_day == 0).all():
        raise SourceRejected(
            f"column {column} has dates whose day and month cannot be told: the first number is "
            f"above 12 in {is_day[0]:,} of {len(texts):,} values, the second in {is_day[1]:,}, "
            f"first {texts.iloc[0]!r}; write all of them as `2011-07-04T17:00` at their source"
        )
    return pd.to_datetime(texts, errors="coerce", format="mixed", dayfirst=is_day[0] > 0)


def _in_utc(found: pd.Series, zone: str) -> pd.Series:
    if found.dt.tz is None:
        first = np.ones(len(found), dtype=bool)
        found = found.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return pd.Series(found.dt.tz_convert("UTC").astype("datetime64[us, UTC]"))


def labels(rows: pd.DataFrame, of: Declaration) -> np.ndarray:
    """The label of each row: 1.0 or 0.0."""
    column = rows[of.label.column]
    if of.label.positive is not None:
        return (column == of.label.positive).to_numpy("float64")
    return (column > of.label.above).to_numpy("float64")


def known_at(rows: pd.DataFrame, of: Declaration) -> np.ndarray:
    """The minute at which each row's outcome is known."""
    delay = round(60 * of.time.known_after_hours) if of.time else AFTER_ITS_ROW
    return minutes(rows[INSTANT]) + delay


def outcomes(of: Declaration) -> Callable[[pd.DataFrame], dict[str, Event]]:
    """The outcome of rows: the label, and the minute at which it is known."""

    def of_rows(rows: pd.DataFrame) -> dict[str, Event]:
        known = np.where(rows[of.label.column].isna(), NEVER, known_at(rows, of))
        return {of.label.column: Event(labels(rows, of), known)}

    return of_rows


def requests(of: Declaration) -> Callable[..., pd.DataFrame]:
    """One row per row of the table: key, inputs, label, and the naive baseline's category."""

    def of_rows(rows: pd.DataFrame, config: FeaturesConfig) -> pd.DataFrame:
        kept = ["year", "month", "day", *row_key(of), *of.group, *of.numeric, *of.categories]
        at = rows[INSTANT] - pd.Timedelta(minutes=config.horizon_minutes if of.time else 0)
        return rows[[*dict.fromkeys(kept), INSTANT]].assign(
            predict_at=at,
            sched_hour=naive_codes(rows, of),
            **{of.label.column: labels(rows, of).astype("int8")},
            **{f"{of.label.column}_known_at": instants(known_at(rows, of)).array},
        )

    return of_rows


def naive_codes(rows: pd.DataFrame, of: Declaration) -> np.ndarray:
    """The category by which the naive baseline gives the label's share; one without any."""
    if of.naive is None:
        return np.zeros(len(rows), dtype="int64")
    column = rows[of.naive.column]
    if of.naive.column in of.categories:
        return pd.Index(of.categories[of.naive.column]).get_indexer(pd.Index(column))
    return np.searchsorted(of.naive.edges, column.to_numpy("float64"), side="right")
