"""A flight has one name, built in one place: the log, the ledger and the traffic meet by it."""

import ast
import datetime
import re

import pandas as pd
import pytest

from pipeline.flights.names import PATTERN, flight_name, flight_names
from tests.rules import tree

DOOR = "pipeline/flights/names.py"
ROWS = pd.DataFrame(
    {
        "sched_dep_utc": pd.to_datetime(
            ["2013-04-18T12:30Z", "2013-04-19T03:59Z", "2013-04-19T04:00Z"], utc=True
        ),
        "carrier": ["UA", "B6", "UA"],
        "flight": [1545, 7, 1545],
        "origin": ["EWR", "JFK", "EWR"],
    },
    index=[5, 3, 9],
)


def test_a_flight_is_named_by_new_yorks_date_carrier_number_and_origin() -> None:
    found = flight_names(ROWS)
    assert found.tolist() == [
        "2013-04-18/UA/1545/EWR",
        "2013-04-18/B6/7/JFK",
        "2013-04-19/UA/1545/EWR",
    ]
    assert found.index.equals(ROWS.index)
    assert all(re.fullmatch(PATTERN, name) for name in found)


def test_no_rows_have_no_names() -> None:
    assert flight_names(ROWS.head(0)).tolist() == []


@pytest.mark.parametrize("day", ["2013-04-18", datetime.date(2013, 4, 18)])
def test_a_day_is_a_date_or_its_text(day: datetime.date | str) -> None:
    assert flight_name(day, "UA", 1545, "EWR") == "2013-04-18/UA/1545/EWR"


@pytest.mark.parametrize(
    "text", ["", "2013-04-18/UA/1545", "2013-04-18/UA/x/EWR", "18.4.2013/UA/1/EWR", "a@b.example"]
)
def test_another_text_is_no_name(text: str) -> None:
    assert not re.fullmatch(PATTERN, text)


def _joined_by_slashes(name: str) -> list[str]:
    """The expressions of a file that join three or more values by slashes, a carrier among them."""
    found = []
    for node in ast.walk(tree.parsed(name)):
        text = ast.unparse(node) if isinstance(node, ast.JoinedStr | ast.BinOp) else ""
        constants = (one for one in ast.walk(node) if isinstance(one, ast.Constant))
        slashes = sum(str(one.value) == "/" for one in constants)
        if "carrier" in text and "origin" in text and slashes >= 2:
            found.append(text)
    return found


@pytest.mark.long
def test_a_flight_s_name_is_built_in_one_place() -> None:
    assert [name for name in tree.code() if _joined_by_slashes(name)] == [DOOR]
