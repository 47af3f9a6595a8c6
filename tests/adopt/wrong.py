"""Tables that cannot be adopted, each with its owner's choices and the words of its refusal."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tests.adopt.tables import loans, visits

Change = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Case:
    """A file, its name, what its owner says, and the words in which it is refused."""

    content: bytes
    words: str
    said: dict[str, Any] = field(default_factory=dict)
    name: str = "table.csv"


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def _parquet(table: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.to_parquet(stream)
    return stream.getvalue()


def _loans(words: str, change: Change = lambda t: t, **said: Any) -> Case:
    return Case(_csv(change(loans())), words, said)


def _shops(words: str, change: Change = lambda t: t, **said: Any) -> Case:
    return Case(_csv(change(visits())), words, {"label": "returned", **said})


def _file(words: str, content: bytes, name: str = "table.csv") -> Case:
    return Case(content, words, name=name)


def _set(column: str, row: int, value: object) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        changed = table.astype({column: "object"})
        changed.loc[row, column] = value
        return changed

    return change


def _leak(make: Callable[[np.ndarray], Any]) -> Change:
    """A column made of the label, 1.0 or 0.0."""
    return lambda t: t.assign(leak=make((t["default"] == "yes").to_numpy("float64")))


CSV = _csv(loans())
LEAK = r"1 column\(s\) determine the label default alone, 0 may: leak.*exclude: \[leak\]"
ROW_NUMBERS = np.arange(400)

FILES = {
    "an empty file": _file("is empty: 0 bytes, 0 of 100 rows", b""),
    "blank lines": _file("is no table of 1 columns", b"\n\n"),
    "a header only": _file("has 0 row.*at least 100", CSV.partition(b"\n")[0]),
    "one row": _loans("has 1 row.*at least 100 are needed", lambda t: t.head(1)),
    "no first line": _file(
        r"has numbers for 2 of 3 names of columns \(5.1, 3.5\)", b"5.1,3.5,a\n" * 200
    ),
    "Parquet named .csv": _file(
        r"is Parquet by the first 4 of its [\d,]+ bytes.*mv \S*table.csv \S*table.parquet",
        _parquet(loans()),
    ),
    "CSV named .parquet": _file("is no Parquet: .* name it .csv", CSV, "table.parquet"),
    "a cut Parquet": _file("is no Parquet", _parquet(loans())[:400], "table.parquet"),
    "gzip named .csv": _file("is gzip by the first 2 of.*gunzip", b"\x1f\x8b\x08" + CSV),
    "a workbook named .csv": _file("is a ZIP archive or a workbook", b"PK\x03\x04" + CSV),
    "Latin-1": _file(
        r"is not UTF-8: byte \d.*iconv -f latin1", CSV.replace(b"north", "nörd".encode("latin1"))
    ),
    "UTF-16": _file("is not UTF-8: byte 0 of.*iconv -f utf-16", CSV.decode().encode("utf-16")),
    "a zero byte": _file(r"is no text: byte [\d,]+ of [\d,]+ is 0", CSV + b"\0"),
    "longer rows": _file("is no table of 5 columns", CSV + b"1,2,3,4,5,6,7\n"),
    "an open quote": _file("is no table of 5 columns", CSV + b'"open,1\n'),
    "an endless cell": _file("is no table", b'"' + b"a" * 200_000 + b"\n"),
    "one column": _file("has 1 column, at least 2", b"a\n" + b"1\n" * 200),
    "a column twice": _file("5 columns, 4 distinct .*: kind", CSV.replace(b"branch", b"kind", 1)),
    "two columns without a name": _file(
        r"5 columns, 4 distinct .*\(no name\)", CSV.replace(b"branch", b"").replace(b"kind", b"", 1)
    ),
    "names that fall together": _loans(
        "6 columns, 5 distinct as identifiers: income_k", lambda t: t.assign(**{"income-k": 1})
    ),
}

KEYS = {
    "a duplicated key": _loans(
        r"key loan_id: 1 of 400 rows repeat that of another, first \['L3'\] in row 8.*key: \[",
        _set("loan_id", 7, "L3"),
    ),
    "a duplicated key that is named": _loans("key branch: 398 of 400 rows", key=["branch"]),
    "a key with gaps": _loans(
        r"key loan_id is missing in 1 of 400 rows.*exclude: \[loan_id\]", _set("loan_id", 5, None)
    ),
    "a group with gaps": _loans(
        "group branch is missing in 1 of 400 rows", _set("branch", 5, None), group=["branch"]
    ),
    "a label for a key": _loans(
        "gives default 2 parts, 1 is allowed", label="default", key=["default"]
    ),
    "a time that is left out": _shops("gives at 2 parts", time="at", exclude=["at"]),
    "a label for a time": _shops("gives returned 2 parts", time="returned"),
}

LABELS = {
    "a constant label": _loans(
        "label default is 'no' in all 400 rows, 2 values are needed.*label: column",
        lambda t: t.assign(default="no"),
    ),
    "a label with gaps": _loans("label default is missing in 1 of 400", _set("default", 3, None)),
    "a label of words for nothing": _loans(
        r"label default is missing in \d+ of 400.*'None'",
        lambda t: t.replace({"default": {"no": "None"}}),
    ),
    "a label of three classes": _loans(
        "label default has 3 values, 2 are predicted.*positive: perhaps",
        _set("default", 3, "perhaps"),
    ),
    "a label that is a number": _loans(
        r"label income_k has \d+ values, 2 are predicted.*above: \d", label="Income (k)"
    ),
    "a label that is never so": _loans(
        "label default is never 'maybe': its 2 values are no, yes", positive="maybe"
    ),
    "a label that is never above": _loans(
        r"above 500 in 0% of 400 rows.*above: \d", label="Income (k)", above=500
    ),
    "no label": _loans(
        r"the label is missing: 2 of 5 columns have two values \(branch, outcome_of_it\)",
        lambda t: t.rename(columns={"default": "outcome_of_it"}),
    ),
    "a label that is not there": _loans(
        "names column 'churn', table.csv has 5 others", label="churn"
    ),
    "few of one class": _loans(
        "are positive: at least 20 of both kinds",
        lambda t: t.assign(default=["yes"] * 9 + ["no"] * 391),
    ),
}

LEAKS = {
    "the label again": _loans(LEAK, _leak(lambda y: y), label="default"),
    "its negation": _loans(LEAK, _leak(lambda y: 1 - y), label="default"),
    "the label as text": _loans(
        LEAK, _leak(lambda y: np.where(y == 1, "lost", "paid")), label="default"
    ),
    "a rising function of it": _loans(
        LEAK, _leak(lambda y: np.exp(3 * y) + ROW_NUMBERS % 7 / 10), label="default"
    ),
    "a falling function of it": _loans(
        LEAK, _leak(lambda y: -100 * y + ROW_NUMBERS % 7), label="default"
    ),
    "a number that is there with it": _loans(
        LEAK, _leak(lambda y: np.where(y == 1, ROW_NUMBERS % 7 + 0.5, np.nan)), label="default"
    ),
    "a number behind the limit": _loans(
        LEAK.replace("default", "income_k"),
        lambda t: t.assign(leak=t["Income (k)"] ** 3),
        label="Income (k)",
        above=50,
        exclude=["default"],
    ),
}

VALUES = {
    "text among numbers": _loans(
        "column income_k has text where numbers are: 1 of 400 values, first in row 10: 'much'",
        _set("Income (k)", 9, "much"),
    ),
    "a word for nothing among numbers": _loans(
        r"column income_k has text where numbers are: 134 of 400 values.*'\?'",
        lambda t: t.assign(**{"Income (k)": t["Income (k)"].where(t.index % 3 > 0, "?")}),
    ),
    "an infinite number": _loans(
        "1 of 400 values that are infinite, first in row 10", _set("Income (k)", 9, "inf")
    ),
    "a number beyond single precision": _loans(
        r"1 of 400 values that are beyond 3.4e\+38", _set("Income (k)", 9, 1e39)
    ),
    "decimal commas": _loans(
        "numbers with decimal commas",
        lambda t: t.assign(**{"Income (k)": t["Income (k)"].astype("str").str.replace(".", ",")}),
    ),
    "thousands": _loans(
        "numbers with signs or spaces, as '1,0",
        lambda t: t.assign(**{"Income (k)": [f"{1000 + n:,}" for n in t.index]}),
    ),
    "a currency": _loans(
        r"column income_k has numbers with signs or spaces, as '\$",
        lambda t: t.assign(**{"Income (k)": "$" + t["Income (k)"].astype("str")}),
    ),
    "percent": _loans(
        "numbers with signs or spaces, as '.*%', in 400 of 400 values",
        lambda t: t.assign(**{"Income (k)": t["Income (k)"].astype("str") + " %"}),
    ),
    "a million categories": Case(
        _csv(loans(3_000).assign(city=[f"c{number // 2}" for number in range(3_000)])),
        "city has 1,500 categories, at most 1,000",
    ),
    "no input": _loans(
        "0 inputs are left of 4 columns, 1 is needed", exclude=["Income (k)", "kind", "branch"]
    ),
}

CHOICES = {
    "an unknown choice": _loans(r"1 wrong key.*colour", colour="red"),
    "a column that is not there": _loans(
        "names column 'age', table.csv has 5 others", exclude=["age"]
    ),
    "a noun with signs": _loans("1 choice.* that cannot be.*noun", noun="Loans 2024"),
    "an endless delay": _shops("1 wrong key.*known_after_hours", known_after_hours=float("inf")),
    "a number for an entity": _shops(
        r"entities \['basket'\] are no categories", entities=["basket"]
    ),
}

TIMES = {
    "mixed zones": _shops(
        r"column at mixes zones: 480 of 960 instants",
        lambda t: t.assign(at=t["at"].where(t.index % 2 == 0, t["at"] + "+01:00")),
    ),
    "two offsets and no zone": _shops(
        "column at is of 2 zones, 1 is needed.*zone: America/New_York",
        lambda t: t.assign(at=t["at"] + ["+01:00", "+02:00"] * (len(t) // 2)),
    ),
    "an instant that is none": _shops(
        "column at has 1 of 960 values that are no instants, first in row 6: '2021-02-30 10:00'",
        _set("at", 5, "2021-02-30 10:00"),
    ),
    "an instant that is missing": _shops("column at has 1 of 960 values", _set("at", 5, None)),
    "instants in half of the rows": _shops(
        "column at has 50% of 960 values that are instants, 100% are needed.*time: none",
        lambda t: t.assign(at=t["at"].where(t.index % 2 == 0, "some day")),
    ),
    "seconds since 1970": _shops(
        r"column at has numbers for instants in 960 of 960 rows.*exclude: \[at\]",
        lambda t: t.assign(at=pd.to_datetime(t["at"]).astype("int64") // 10**9),
    ),
    "dates of eight digits": _shops(
        "column at has numbers for instants in 960 of 960 rows",
        lambda t: t.assign(at=t["at"].str[:10].str.replace("-", "")),
    ),
    "days that may be months": _shops(
        "day and month cannot be told: the first number is above 12 in 0 of .* the second in 0",
        lambda t: t.assign(at="0" + (1 + t.index % 9).astype("str") + "/04/2021"),
    ),
    "too few days": _shops(
        r"reach over 19 day\(s\), at least 42 are needed", lambda t: t[t["at"] < "2021-01-20"]
    ),
    "a month without any": _shops(
        r"1 of 4 months have no .*2021-02", lambda t: t[~t["at"].str.startswith("2021-02")]
    ),
    "a zone that is none": _shops("no time zone", zone="Mars/Olympus"),
    "an entity with a slash": _shops(
        "entity shop has a / in 960 of 960 rows",
        lambda t: t.assign(shop=t["shop"] + "/1"),
        entities=["shop"],
    ),
}

WRONG = FILES | KEYS | LABELS | LEAKS | VALUES | CHOICES | TIMES
