"""A clean table is adopted whole, with every guess listed; whatever is refused leaves nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.adopt.adopt import adopt
from pipeline.shared import yaml_files
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import AdoptionRefused, ConfigError, PipelineError
from pipeline.tabular import declaration
from pipeline.tabular.usecase import use_case
from tests.adopt.tables import give, loans, visits
from tests.rules.tree import ROOT

pytestmark = pytest.mark.answer("another-problem")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a checkout holds that adopting reads or writes, as the working folder."""
    folder = tmp_path / "checkout"
    (folder / "pipeline/models").mkdir(parents=True)
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copy(ROOT / "pipeline/models/classifier.py", folder / "pipeline/models")
    monkeypatch.chdir(folder)
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_table_without_event_time_becomes_a_use_case(checkout: Path, tmp_path: Path) -> None:
    said = adopt(give(tmp_path / "loans", loans()))
    of = declaration.read(checkout / "pipeline/loans")
    assert of.label.model_dump(exclude_none=True) == {"column": "default", "positive": "yes"}
    assert of.key == ["loan_id"]
    assert of.numeric == ["income_k"]
    assert set(of.categories) == {"kind", "branch"}
    assert "label default" in said
    table = use_case(checkout / "pipeline/loans").read_source(load(IngestConfig))["loans"]
    assert len(table) == 400
    assert "name: loans" in (checkout / "configs/usecase.yaml").read_text()
    graph = yaml_files.parse((checkout / "dvc.yaml").read_text())["stages"]
    assert "pipeline/tabular" in graph["ingest"]["deps"]
    assert "weather" not in str(graph)


def test_events_are_held_out_by_time_whatever_their_order(checkout: Path, tmp_path: Path) -> None:
    folder = give(tmp_path / "shops", visits(), label="returned", known_after_hours=48)
    adopt(folder)
    of = declaration.read(checkout / "pipeline/shops")
    assert of.time is not None
    assert (of.time.column, of.time.entities, of.time.known_after_hours) == ("at", ["shop"], 48)
    configs = yaml_files.parse((checkout / "pipeline/shops/configs.yaml").read_text())["over"]
    learned, judged = configs["train"]["window"], configs["evaluate"]["window"]
    assert learned["first"] < learned["last"] < judged["first"] < judged["last"]


def test_every_guess_is_marked_in_the_declaration_and_listed_in_one_place(
    checkout: Path, tmp_path: Path, record_property: Any
) -> None:
    adopt(give(tmp_path / "shops", visits()))
    listed = (checkout / "pipeline/shops/ADOPTED.md").read_text()
    choices = [line.split(" | ")[0].strip("| ") for line in listed.splitlines() if "| " in line][2:]
    wanted = {"label", "positive", "time", "zone", "known_after_hours", "key", "group", "entities"}
    assert wanted | {"naive", "windows"} == set(choices)
    record_property("choices guessed of a table of shops", len(choices))
    text = (checkout / "pipeline/shops/table.yaml").read_text()
    for choice in ("label", "positive", "time", "zone", "known_after_hours", "entities", "naive"):
        assert f"# guess: {choice} is " in text


def test_what_the_owner_says_is_no_guess(checkout: Path, tmp_path: Path) -> None:
    said = {"label": "Income (k)", "above": 50, "key": ["loan_id"], "exclude": ["default"]}
    adopt(give(tmp_path / "loans", loans(), **said))
    listed = (checkout / "pipeline/loans/ADOPTED.md").read_text()
    assert "| label |" not in listed
    assert "| key |" not in listed
    of = declaration.read(checkout / "pipeline/loans")
    assert of.label.above == 50
    assert set(of.excluded) == {"default"}


def test_the_events_take_no_line_of_code_and_few_of_the_owner(
    checkout: Path, tmp_path: Path
) -> None:
    folder = give(tmp_path / "shops", visits(), label="returned")
    adopt(folder)
    assert (folder / "adopt.yaml").read_text().count("\n") <= 30
    assert list((checkout / "pipeline/shops").rglob("*.py")) == []


@pytest.mark.parametrize("name", ["Loans", "../loans", "flights", "models"])
def test_a_name_that_is_taken_or_none_is_refused(checkout: Path, tmp_path: Path, name: str) -> None:
    (checkout / "pipeline/flights").mkdir()
    before = _files(checkout)
    with pytest.raises(AdoptionRefused, match="NAME="):
        adopt(give(tmp_path / "loans", loans()), name)
    assert _files(checkout) == before


def test_a_checkout_with_a_registry_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / "state").mkdir()
    (checkout / "state/mlflow.db").touch()
    with pytest.raises(ConfigError, match="holds what 'flights' wrote in 1 places"):
        adopt(give(tmp_path / "loans", loans()))


Change = Callable[[pd.DataFrame], pd.DataFrame]


def _set(column: str, row: int, value: object) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        changed = table.astype({column: "object"})
        changed.loc[row, column] = value
        return changed

    return change


WRONG: dict[str, tuple[Change, dict[str, object], str]] = {
    "a duplicated key": (
        _set("loan_id", 7, "L3"),
        {},
        r"key loan_id: 1 of 400 rows repeat that of another, first \['L3'\] in row 8.*key: \[",
    ),
    "a duplicated key that is named": (
        lambda table: table,
        {"key": ["branch"]},
        r"key branch: 398 of 400 rows",
    ),
    "a constant label": (
        lambda table: table.assign(default="no"),
        {},
        "label default is 'no' in all 400 rows, 2 values are needed.*label: column",
    ),
    "a label with gaps": (_set("default", 3, None), {}, "label default is missing in 1 of 400"),
    "a label of three classes": (
        _set("default", 3, "perhaps"),
        {},
        "label default has 3 values, 2 are predicted.*positive: perhaps",
    ),
    "a label that is a number": (
        lambda table: table,
        {"label": "Income (k)"},
        r"label income_k has \d+ values, 2 are predicted.*above: \d",
    ),
    "a label that is never so": (
        lambda table: table,
        {"positive": "maybe"},
        "label default is never 'maybe': its 2 values are no, yes",
    ),
    "a label that is never above": (
        lambda table: table,
        {"label": "Income (k)", "above": 500},
        r"above 500 in 0% of 400 rows.*above: \d",
    ),
    "no label": (
        lambda table: table.rename(columns={"default": "outcome_of_it"}),
        {},
        r"the label is missing: 2 of 5 columns have two values \(branch, outcome_of_it\)",
    ),
    "a label that is not there": (
        lambda table: table,
        {"label": "churn"},
        "names the label 'churn', table.csv has 5 other columns",
    ),
    "a column that equals the label": (
        lambda table: table.assign(closed=table["default"].map({"yes": "lost", "no": "paid"})),
        {"label": "default"},
        r"1 column\(s\) determine the label default alone, 0 may: closed.*exclude: \[closed\]",
    ),
    "a number that determines the label": (
        lambda table: table.assign(late=(table["default"] == "yes") * 1000 + range(len(table))),
        {"label": "default"},
        r"determine the label",
    ),
    "text among numbers": (
        _set("Income (k)", 9, "much"),
        {},
        "column income_k has text where numbers are: 1 of 400 values, first in row 10: 'much'",
    ),
    "an infinite number": (_set("Income (k)", 9, "inf"), {}, "1 of 400 values that are infinite"),
    "an unknown choice": (lambda table: table, {"colour": "red"}, r"1 wrong key.*colour"),
    "a column that is not there": (
        lambda table: table,
        {"exclude": ["age"]},
        "names column 'age', table.csv has 5 others",
    ),
    "few of one class": (
        lambda table: table.assign(default=["yes"] * 9 + ["no"] * 391),
        {},
        r"are positive: at least 20 of both kinds",
    ),
    "one row": (lambda table: table.head(1), {}, "has 1 row.*at least 100 are needed"),
    "no row": (lambda table: table.head(0), {}, "has 0 row"),
    "names that fall together": (
        lambda table: table.assign(**{"income-k": 1}),
        {},
        "6 columns, 5 distinct as identifiers: income_k more than once",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_table_is_refused_by_name_and_nothing_is_written(
    checkout: Path, tmp_path: Path, what: str
) -> None:
    change, said, words = WRONG[what]
    folder = give(tmp_path / "loans", change(loans()), **said)
    before = _files(checkout)
    with pytest.raises(PipelineError, match=f"(?s){words}"):
        adopt(folder)
    assert _files(checkout) == before


def test_a_million_categories_are_refused(checkout: Path, tmp_path: Path) -> None:
    rows = 3_000
    table = loans(rows).assign(city=[f"c{number // 2}" for number in range(rows)])
    with pytest.raises(AdoptionRefused, match="city has 1,500 categories, at most 1,000"):
        adopt(give(tmp_path / "loans", table))


WRONG_TIMES: dict[str, tuple[Change, dict[str, object], str]] = {
    "mixed zones": (
        lambda t: t.assign(at=t["at"].where(t.index % 2 == 0, t["at"] + "+01:00")),
        {},
        r"column at mixes zones: 480 of 960 instants",
    ),
    "two offsets and no zone": (
        lambda t: t.assign(at=t["at"] + ["+01:00", "+02:00"] * (len(t) // 2)),
        {},
        "column at is of 2 zones, 1 is needed.*zone: America/New_York",
    ),
    "an instant that is none": (
        _set("at", 5, "2021-02-30 10:00"),
        {},
        "column at has 1 of 960 values that are no instants, first in row 6: '2021-02-30 10:00'",
    ),
    "an instant that is missing": (_set("at", 5, None), {}, "column at has 1 of 960 values"),
    "too few days": (
        lambda t: t[t["at"] < "2021-01-20"],
        {},
        r"reach over 19 day\(s\), at least 42 are needed",
    ),
    "a month without any": (
        lambda t: t[~t["at"].str.startswith("2021-02")],
        {},
        r"1 of 4 months have no .*2021-02",
    ),
    "a zone that is none": (lambda t: t, {"zone": "Mars/Olympus"}, "no time zone"),
    "an entity with a slash": (
        lambda t: t.assign(shop=t["shop"] + "/1"),
        {"entities": ["shop"]},
        "entity shop has a / in 960 of 960 rows",
    ),
}


@pytest.mark.parametrize("what", WRONG_TIMES)
def test_wrong_instants_are_refused_by_name_and_nothing_is_written(
    checkout: Path, tmp_path: Path, what: str
) -> None:
    change, said, words = WRONG_TIMES[what]
    folder = give(tmp_path / "shops", change(visits()), label="returned", **said)
    before = _files(checkout)
    with pytest.raises(PipelineError, match=f"(?s){words}"):
        adopt(folder)
    assert _files(checkout) == before


def test_offsets_of_one_zone_in_summer_and_winter_are_taken_where_it_is_named(
    checkout: Path, tmp_path: Path
) -> None:
    table = visits()
    summer = table["at"] >= "2021-03-28"
    table = table.assign(at=table["at"] + summer.map({True: "+02:00", False: "+01:00"}))
    adopt(give(tmp_path / "shops", table, label="returned", zone="Europe/Berlin"))
    assert (checkout / "pipeline/shops/table.yaml").is_file()
