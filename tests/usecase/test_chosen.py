"""The use case of a checkout, and what every use case has to state."""

import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.bikes.usecase import USECASE as BIKES
from pipeline.flights.usecase import USECASE as FLIGHTS
from pipeline.serve.schema import datatypes
from pipeline.shared.config.loading import load
from pipeline.shared.domain import UseCase
from pipeline.shared.errors import ConfigError
from pipeline.usecase import chosen
from pipeline.usecase.chosen_words import words_of
from simulation.story import spoil_month
from tests.rules.tree import ROOT

CASES = pytest.mark.parametrize("case", [FLIGHTS, BIKES], ids=lambda case: case.name)


def test_this_checkout_serves_flights() -> None:
    assert chosen.USECASE is FLIGHTS


@pytest.mark.long
@pytest.mark.parametrize("text", ["name: boats\n", "name: flights\nyear: 2013\n", ""])
def test_a_use_case_that_there_is_not_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    for name in ("pipeline", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "configs/usecase.yaml").write_text(text)
    call = [sys.executable, "-m", "pipeline", "ingest"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ConfigError: " in done.stderr
    assert "usecase.yaml" in done.stderr


@CASES
def test_every_feature_has_a_view_or_comes_with_the_request(case: UseCase) -> None:
    of = case.features
    rolling = {one.name for one in of.rolling}
    states = {name for state in of.states for name in state.features}
    assert set(of.numeric) == {*of.schedule, *rolling, *states}
    assert {one.view for one in of.rolling} == set(of.entities)
    assert {one.value for one in of.rolling} <= set(of.values)
    assert set(of.monotone) | set(of.ranges) <= set(of.numeric)
    assert of.always_there <= {*of.entities, *(state.view for state in of.states)}


@CASES
def test_a_use_case_has_words_for_its_events_which_the_cockpit_reads_alone(
    case: UseCase, tmp_path: Path
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/usecase.yaml").write_text(f"name: {case.name}\n")
    words = words_of(tmp_path)
    assert words == case.words
    assert words.one.split()[1] == words.event
    assert re.fullmatch(case.monitored.name_pattern, words.example)
    assert len(words.example) <= words.longest
    assert words.events == case.request.key


def test_the_words_of_a_declared_table_come_with_its_declaration(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/usecase.yaml").write_text("name: visits\n")
    shutil.copytree(ROOT / "tests/usecase/visits", tmp_path / "pipeline/visits")
    words = words_of(tmp_path)
    assert (words.event, words.events, words.name_key) == ("row", "years of persons", "event")


@pytest.mark.parametrize("name", ["boats", "shared"])
def test_words_of_a_use_case_that_there_is_not_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/usecase.yaml").write_text(f"name: {name}\n")
    with pytest.raises(ConfigError, match=f"names '{name}', 0 folders with words"):
        words_of(tmp_path)


def test_fields_of_a_request_are_tensors_with_a_datatype_each() -> None:
    assert datatypes(BIKES.request.item) == ({"starts": "BYTES", "holiday": "BOOL"}, ["starts"])
    kinds, required = datatypes(FLIGHTS.request.item)
    assert set(kinds) - set(required) == {"tailnum"}
    assert (kinds["flight"], kinds["tailnum"]) == ("INT64", "BYTES")


@CASES
def test_tables_have_their_calendar_and_their_instants(case: UseCase) -> None:
    for table in case.tables.values():
        assert {"year", "month", "day"} <= set(table.types)
        assert table.types[table.instant] == "datetime64[us, UTC]"
        assert set(table.key) <= set(table.types)
    assert case.events.name == case.name  # as its folder in data/, and in dvc.yaml


@CASES
def test_a_request_is_made_of_columns_that_its_event_has(case: UseCase) -> None:
    fields = set(case.request.item.model_fields)
    named = {case.request.columns.get(name, name) for name in fields}
    assert set(case.request.columns) <= fields
    assert named <= {*case.events.types, *case.features.request}
    assert case.request.key == case.noun


@CASES
def test_the_story_spoils_one_month_of_a_file_and_nothing_else(case: UseCase) -> None:
    story = case.require_story()
    name, value = story.month
    content = f"{name},{story.column}\r\n{value},1\r\nanother,1\r\n".encode()
    kept, spoilt, other = spoil_month(content, story).decode().splitlines()
    assert (kept, other) == (f"{name},{story.column}", "another,1")
    assert spoilt == f"{value},{story.spoil('1')}" != f"{value},1"
    assert case.begins[:7] < story.bad_month <= case.last_day[:7]
    assert story.until[0] < story.until[1] <= case.last_day
    assert story.evening[0] in case.features.numeric


def test_a_use_case_without_a_story_says_so() -> None:
    with pytest.raises(ConfigError, match="'flights' has 0 stories, 1 is needed"):
        replace(FLIGHTS, story=None).require_story()


@pytest.mark.parametrize("section", chosen.SECTIONS)
def test_a_section_with_keys_of_the_use_case_can_be_sent_to_another_process(section):
    config = load(section)
    assert type(config) is chosen.SECTIONS[section]
    assert pickle.loads(pickle.dumps(config)) == config
