"""Guesses that are right for tables in unusual forms: names, indices, dates, groups, requests."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.adopt import guess, source_code, table_file
from pipeline.adopt.choices import Choices
from pipeline.shared.minutes import EPOCH
from pipeline.tabular import published
from pipeline.tabular.declaration import Declaration, identifier
from pipeline.tabular.usecase import _one_hot, _request
from tests.adopt.tables import give, loans, visits


def _guess(folder: Path, table: pd.DataFrame, name: str = "loans", **said: object) -> Declaration:
    given = table_file.read(give(folder / "given", table))
    return guess.guess(given, name, Choices.model_validate(said), guess.Hints())[0]


def test_a_label_that_is_named_label_is_found(tmp_path: Path) -> None:
    of = _guess(tmp_path, loans().rename(columns={"default": "Label"}))
    assert of.label.column == "label_published"


@pytest.mark.parametrize("name", ["loans_2024", "2024", "a1b"])
def test_a_name_with_digits_gives_a_noun(tmp_path: Path, name: str) -> None:
    assert " ".join(_guess(tmp_path, loans(), name).noun.split()) in {"loans", "rows", "a b"}


@pytest.mark.parametrize("name", ["", "index", "counter"])
def test_a_column_that_counts_the_rows_is_no_input(tmp_path: Path, name: str) -> None:
    table = loans().sample(frac=1, random_state=0)
    table.insert(0, name, range(len(table)))
    of = _guess(tmp_path, table)
    assert of.numeric == ["income_k"]
    assert len({*of.key, *of.excluded} & {identifier(name or "Unnamed: 0"), "loan_id"}) == 2


def test_a_number_of_something_names_nothing(tmp_path: Path) -> None:
    visited = np.random.default_rng(0).poisson(40, 400)
    of = _guess(tmp_path, loans().assign(number_of_visits=visited))
    assert "number_of_visits" in of.numeric
    assert of.group == []


def test_rows_of_a_household_are_together_though_most_have_one(tmp_path: Path) -> None:
    table = loans().assign(
        household_id=[f"h{number // 10 * 9 + number % 9}" for number in range(400)]
    )
    of = _guess(tmp_path, table[["household_id", *loans().columns]])
    assert (of.key, of.group) == (["loan_id"], ["household_id"])


@pytest.mark.parametrize("name", ["predict_at", "entity", "copy", "model_dump", "x_known_at"])
def test_a_column_that_is_named_like_one_of_ours_gets_another_name(
    tmp_path: Path, name: str
) -> None:
    of = _guess(tmp_path, loans().rename(columns={"Income (k)": name}))
    assert of.numeric == [f"{name}_published"] == [identifier(identifier(name))]
    item = _request(of).item.model_validate({"loan_id": 7, f"{name}_published": 1.5})
    assert _request(of).name_of(item) == "7"


def test_words_and_signs_in_names_and_values_become_identifiers(tmp_path: Path) -> None:
    table = loans().rename(columns={"kind": 'Größe "x", y'})
    table["branch"] = table["branch"].map({"north": "naïve 'n'", "south": "日本"})
    of = _guess(tmp_path, table)
    assert set(of.categories) == {"gr_e_x_y", "branch"}
    assert len(_one_hot(of)) == 5


def test_an_input_of_a_category_has_a_name_that_no_column_has(tmp_path: Path) -> None:
    of = _guess(tmp_path, loans().assign(kind_is_car=np.arange(400) % 7))
    assert set(_one_hot(of)) & set(of.columns) == set()
    assert {value for column, value in _one_hot(of).values() if column == "kind"} == {
        *("car", "house", "other")
    }


@pytest.mark.parametrize(("form", "month"), [("%d/%m/%Y %H:%M", 4), ("%m/%d/%Y %H:%M", 4)])
def test_days_and_months_are_told_by_the_days_above_twelve(form: str, month: int) -> None:
    at = pd.Series(pd.date_range("2021-04-01 10:00", "2021-04-30 10:00", freq="D"))
    found = published.read_instants(at.dt.strftime(form), "at", "UTC")
    assert found.dt.day.tolist() == list(range(1, 31))
    assert set(found.dt.month) == {month}


def test_a_time_of_day_is_no_event_time(tmp_path: Path) -> None:
    of = _guess(tmp_path, loans().assign(time=[f"{n % 24:02d}:30" for n in range(400)]))
    assert of.time is None


def test_the_request_of_an_event_has_its_instant_and_its_entities(tmp_path: Path) -> None:
    table = visits().assign(customer_id=[f"c{n % 90}" for n in range(960)])
    of = _guess(tmp_path, table, label="returned", group=["customer_id"])
    request = _request(of)
    item = request.item.model_validate(
        {"at": "2021-03-01T10:00+01:00", "customer_id": "c7", "basket": 3, "row": 4}
    )
    assert request.name_of(item) == "2021-03-01/4"
    rows = request.rows([item], 1)
    assert rows["customer_id"] == ["c7"]
    assert rows["shop"] == [None]
    since = pd.Timestamp("2021-03-01 09:00") - EPOCH.tz_localize(None)
    assert rows["predict_at"][0] % 60 == 59
    assert rows["predict_at"][0] == since // pd.Timedelta(minutes=1) - 1


@pytest.mark.answer("notebook")
def test_cells_that_are_no_python_are_left_out_and_noted(tmp_path: Path) -> None:
    cells = [
        "%%bash\npip install x && ls | wc",
        "%%time\nlabel = 'a title'\nfiles = !ls\ndf.head?",
        "for one in []:\n    !echo {one} \\\n      more\n",
        "print 'python two'",
        'y = df["default"]',
    ]
    found = [{"cell_type": "code", "source": cell} for cell in cells]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": found}))
    said = source_code.read(tmp_path / "a.ipynb", {"default", "kind"})
    assert said.target == "default"
    assert said.found[0] == "code cell 4 is no Python, left out"
