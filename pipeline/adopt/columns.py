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
_NAMES = r"(^|_)(id|key|uuid|guid|nr|no|number|index)(_|$)"
_TIMES = r"(^|_)(date|datetime|time|timestamp|at|day|ts)(_|$)"
_DECIMAL_COMMA = r"-?\d+,\d+"


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
    def looks_like_time(self) -> bool:
        """Whether its name is that of an instant, or its first values are dates."""
        if self.numbers is not None:
            return False
        first = self.texts.dropna().head(50)
        dated = first.str.match(r"\d{4}-\d\d?-\d\d?|\d\d?[/.]\d\d?[/.]\d{2,4}").mean() > _NEARLY
        return bool(dated) or (
            re.search(_TIMES, self.name) is not None and bool(self._parses(first))
        )

    @staticmethod
    def _parses(texts: pd.Series) -> bool:
        return bool(pd.to_datetime(texts, errors="coerce", format="mixed").notna().mean() > _NEARLY)

    def values(self) -> list[str]:
        """Its distinct values, the most frequent first."""
        return [str(value) for value in self.texts.value_counts().index]


def read(rows: pd.DataFrame, left_out: set[str]) -> dict[str, Column]:
    """The columns by name, without those left out.

    Raises:
        AdoptionRefused: numbers with text, commas or infinities among them.
    """
    return {str(n): _column(str(n), rows[n]) for n in rows.columns if n not in left_out}


def _column(name: str, texts: pd.Series) -> Column:
    numbers = pd.to_numeric(texts, errors="coerce")
    known, there = int(numbers.notna().sum()), int(texts.notna().sum())
    if there and texts.dropna().str.fullmatch(_DECIMAL_COMMA).mean() > _NEARLY:
        raise AdoptionRefused(
            f"column {name} has numbers with decimal commas, as {texts.dropna().iloc[0]!r}, in "
            f"{there:,} of {len(texts):,} rows: write them with points, `sed 's/,/./g'` where ; "
            f"separates columns, or `exclude: [{name}]` in adopt.yaml"
        )
    if _NEARLY * there < known < there:
        bad = (numbers.isna() & texts.notna()).to_numpy()
        raise AdoptionRefused(
            f"column {name} has text where numbers are: {there - known:,} of {there:,} values, "
            f"first in row {int(bad.argmax()) + 1}: {texts[bad].iloc[0]!r}; correct them, leave "
            f"them empty, or `exclude: [{name}]` in adopt.yaml"
        )
    if (endless := np.isinf(numbers)).any():
        raise AdoptionRefused(
            f"column {name} has {int(endless.sum()):,} of {there:,} values that are infinite, "
            f"first in row {int(endless.to_numpy().argmax()) + 1}; leave them empty, or `exclude: "
            f"[{name}]` in adopt.yaml"
        )
    return Column(name, texts, numbers if there and known == there else None, texts.nunique())
