"""The columns of a text table: numbers, categories, instants, names of rows or of groups."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.shared.errors import AdoptionRefused

MOST_CATEGORIES = 1_000
KEPT_CATEGORIES = 20
"""Values of a category that become inputs; the others are pooled."""
_NEARLY = 0.9
_NAMES = r"(^|_)(id|key|uuid|guid)(_|$)|(^|_)(nr|no|number|index)$"
_TIMES = r"(^|_)(date|datetime|time|timestamp|at|day|ts|epoch)(_|$)"
_DATED = r"\d{4}-\d\d?-\d\d?|\d\d?[/.]\d\d?[/.]\d{2,4}"
_WITH_A_YEAR = r"\d{4}|\d\d?[-/. ]\w+[-/. ]\d\d"
_DECIMAL_COMMA, _THOUSANDS = r"-?\d+,\d+", r"-?\d{1,3}(,\d{3})+(\.\d+)?"
_SIGNS = r"[\s,'_$€£¥%]+"
_SENTINELS, _FEW_NUMBERS = 3, 20
"""Words among numbers are a missing value's if there are at most so many beside more numbers."""
_EPOCHS = ((1e8, 5e9), (1e11, 5e12), (1e14, 5e15), (1e17, 5e18))
"""Seconds, milliseconds, microseconds and nanoseconds since 1970, from 1973 to 2128."""
_READ = 500
"""Values of a column that are tried as instants."""
_SINGLE = float(np.finfo("float32").max)


@dataclass(frozen=True)
class Column:
    """A column: its values as text and, where they are numbers, as numbers; its distinct values."""

    name: str
    texts: pd.Series
    numbers: pd.Series | None
    distinct: int

    @property
    def is_unique(self) -> bool:
        """Whether every row has another value."""
        return self.distinct == len(self.texts)

    @property
    def names_something(self) -> bool:
        """Whether its name is that of an identifier."""
        return re.search(_NAMES, self.name) is not None

    @property
    def is_whole(self) -> bool:
        """Whether its values are text or whole numbers, as those of identifiers are."""
        return self.numbers is None or bool((self.numbers.dropna() % 1 == 0).all())

    @property
    def numbers_rows(self) -> bool:
        """Whether it counts the rows, in whatever order: an index that was exported."""
        if self.numbers is None or not (self.is_unique and self.is_whole):
            return False
        return bool(self.numbers.max() - self.numbers.min() == len(self.texts) - 1)

    @property
    def is_named_like_time(self) -> bool:
        """Whether its name is that of an instant."""
        return re.search(_TIMES, self.name) is not None

    @property
    def looks_like_time(self) -> bool:
        """Whether most of its values are dates, or its name is an instant's and they are read."""
        if self.numbers is not None:
            return False
        some = self.texts.dropna()
        some = some.sample(min(len(some), _READ), random_state=0)
        if some.str.match(_DATED).mean() > _NEARLY:
            return True
        return self.is_named_like_time and _parsed(some) > _NEARLY

    @property
    def share_of_dates(self) -> float:
        """The share of its values that are read as instants."""
        return _parsed(self.texts.dropna())

    @property
    def is_epoch(self) -> bool:
        """Whether its name is that of an instant, and its numbers count from 1970 or are digits."""
        if self.numbers is None or not self.is_named_like_time or not self.is_whole:
            return False
        known = self.numbers.dropna()
        digits = self.texts.dropna().str.fullmatch(r"(19|20)\d\d[01]\d[0-3]\d").all()
        return bool(digits) or any(known.between(*limits).all() for limits in _EPOCHS)

    def values(self) -> list[str]:
        """Its distinct values, the most frequent first."""
        return [str(value) for value in self.texts.value_counts().index]


def _parsed(texts: pd.Series) -> float:
    found = pd.to_datetime(texts, errors="coerce", format="mixed", utc=True).notna()
    dated = texts.str.contains(_WITH_A_YEAR, regex=True)
    return float((found & dated).mean()) if len(texts) else 0.0


def read(rows: pd.DataFrame, left_out: set[str]) -> dict[str, Column]:
    """The columns by name, without those left out.

    Raises:
        AdoptionRefused: numbers with text, commas, signs or infinities among them.
    """
    return {str(n): _column(str(n), rows[n]) for n in rows.columns if n not in left_out}


def _column(name: str, texts: pd.Series) -> Column:
    numbers = pd.to_numeric(texts, errors="coerce")
    known, there = int(numbers.notna().sum()), int(texts.notna().sum())
    if known < there:
        _require_plain(name, texts, there)
    others = texts[numbers.isna() & texts.notna()]
    some = known > there / 2 and others.nunique() <= _SENTINELS and numbers.nunique() > _FEW_NUMBERS
    if known < there and (some or known > _NEARLY * there):
        first = int((numbers.isna() & texts.notna()).to_numpy().argmax()) + 1
        raise AdoptionRefused(
            f"column {name} has text where numbers are: {there - known:,} of {there:,} values, "
            f"first in row {first}: {others.iloc[0]!r}; correct them, leave "
            f"them empty, or `exclude: [{name}]` in adopt.yaml"
        )
    if known == there:
        _require_finite(name, numbers, there)
    return Column(name, texts, numbers if there and known == there else None, texts.nunique())


def _require_plain(name: str, texts: pd.Series, there: int) -> None:
    """Refuse numbers that are written with commas, units or signs."""
    said = texts.dropna()
    thousands = said.str.fullmatch(_THOUSANDS)
    if not thousands.all() and said.str.fullmatch(_DECIMAL_COMMA).mean() > _NEARLY:
        raise AdoptionRefused(
            f"column {name} has numbers with decimal commas, as {said[~thousands].iloc[0]!r}, in "
            f"{there:,} of {len(texts):,} rows: write them with points, `sed 's/,/./g'` where ; "
            f"separates columns, or `exclude: [{name}]` in adopt.yaml"
        )
    marked = said.str.contains(_SIGNS, regex=True)
    bare = pd.to_numeric(said.str.replace(_SIGNS, "", regex=True), errors="coerce")
    if bare.notna().mean() > _NEARLY and marked.any() and not said.str.match(_DATED).any():
        raise AdoptionRefused(
            f"column {name} has numbers with signs or spaces, as {said[marked].iloc[0]!r}, in "
            f"{int(marked.sum()):,} of {there:,} values: write digits and a point alone, or "
            f"`exclude: [{name}]` in adopt.yaml"
        )


def _require_finite(name: str, numbers: pd.Series, there: int) -> None:
    endless, large = np.isinf(numbers), numbers.abs() > _SINGLE
    if large.any():
        what = "infinite" if endless.any() else f"beyond {_SINGLE:.3g}, the largest input"
        bad = endless if endless.any() else large
        raise AdoptionRefused(
            f"column {name} has {int(bad.sum()):,} of {there:,} values that are {what}, "
            f"first in row {int(bad.to_numpy().argmax()) + 1}; leave them empty, or `exclude: "
            f"[{name}]` in adopt.yaml"
        )
