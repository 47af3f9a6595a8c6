"""A clean table is adopted whole, with every guess listed; whatever is refused leaves nothing."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.adopt.adopt import adopt
from pipeline.shared import yaml_files
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import AdoptionRefused, ConfigError, PipelineError
from pipeline.tabular import declaration
from pipeline.tabular.usecase import use_case
from tests.adopt.tables import give, loans, visits
from tests.adopt.wrong import WRONG, Case
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


def _give_case(folder: Path, case: Case) -> Path:
    folder.mkdir()
    (folder / case.name).write_bytes(case.content)
    if case.said:
        (folder / "adopt.yaml").write_text(yaml.safe_dump(case.said))
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
    assert wanted | {"naive", "noun", "windows"} == set(choices)
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


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_adopted_is_refused_by_name_and_nothing_is_written(
    checkout: Path, tmp_path: Path, what: str
) -> None:
    case = WRONG[what]
    folder = _give_case(tmp_path / "given", case)
    before, given = _files(checkout), _files(folder)
    with pytest.raises(PipelineError, match=f"(?s){case.words}") as refused:
        adopt(folder)
    assert _files(checkout) == before
    assert _files(folder) == given
    assert re.search(r"`|adopt\.yaml", str(refused.value))


def test_offsets_of_one_zone_in_summer_and_winter_are_taken_where_it_is_named(
    checkout: Path, tmp_path: Path
) -> None:
    table = visits()
    summer = table["at"] >= "2021-03-28"
    table = table.assign(at=table["at"] + summer.map({True: "+02:00", False: "+01:00"}))
    adopt(give(tmp_path / "shops", table, label="returned", zone="Europe/Berlin"))
    assert (checkout / "pipeline/shops/table.yaml").is_file()
