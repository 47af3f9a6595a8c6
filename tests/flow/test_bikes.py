"""Another use case of another shape goes the same way: hourly rentals instead of flights."""

import json
import re
from functools import reduce
from pathlib import Path

import pandas as pd
import pytest

from pipeline.shared import yaml_files
from tests.flow import life
from tests.rules import tree
from tests.rules.test_domain import WORDS as DOMAIN

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3600)]
FOLDER = "pipeline/bikes/"
SERVE = """
from starlette.testclient import TestClient

from pipeline.features.online_store import open_store
from pipeline.records.request_log_writer import open_log
from pipeline.registry.release_loader import export, load_release
from pipeline.serve.app import create_app
from pipeline.serve.metrics import Metrics
from pipeline.serve.predictor import Predictor
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig

release, config = load_release(export("champion")), load(ServeConfig)
url = config.log_url.get_secret_value()
with open_store(release.features, config) as store, open_log(url, 10) as written:
    app = create_app(Predictor(release, store), written, config, Metrics(), str)
    done = TestClient(app).post("/predict", json={"hours": [{"starts": "2011-08-01T01:00-04:00"}]})
    print(done.status_code, done.text)
    app = TestClient(app).post("/predict", json={"hours": [{"starts": "some time"}]})
    print(app.status_code, app.text)
"""


@pytest.fixture(scope="module")
def bikes(shelf: Path) -> life.Life:
    """A checkout that serves bikes, with its champion and an online store."""
    folder = life.checkout(shelf / "bikes")
    life.run(folder, "python", "-m", "pipeline.usecase.take", "bikes").well()
    life.commit(folder)
    life.run(folder, "dvc", "repro", "--quiet").well()
    return life.Life(folder, life.run(folder, "python", "-m", "pipeline", "register").well())


@pytest.fixture(scope="module")
def asked(bikes: life.Life) -> list[str]:
    """What the server said to a request for an hour, and to one that names none."""
    life.run(bikes.folder, "python", "-m", "pipeline", "materialize").well()
    return life.run(bikes.folder, "python", "-c", SERVE).well().words.splitlines()


def _json(folder: Path, name: str) -> dict:
    return json.loads((folder / "data" / name).read_text())


def test_the_gate_passes_a_model_that_beats_both_baselines(bikes):
    checks = {one["name"]: one for one in _json(bikes.folder, "evaluate/verdict.json")["checks"]}
    beaten = [one for name, one in checks.items() if re.match(r"beats (hour_rate|logistic)", name)]
    assert len(beaten) == 2
    assert all(one["passed"] and one["found"] < 0 for one in beaten)
    assert {"working day against hour_rate", "wet against hour_rate"} <= set(checks)
    assert "registered, now champion" in bikes.done.words


def test_its_months_are_judged_by_its_own_rules(bikes):
    found = _json(bikes.folder, "validate/report.json")["snapshots"]
    assert {one["table"] for one in found} == {"bikes", "weather"}
    rules = {rule["rule"] for one in found for rule in one["rules"]}
    assert {"row-agrees", "busy-share", "mean-shift"} <= rules


def test_no_label_is_known_before_the_next_morning(bikes):
    rows = pd.read_parquet(bikes.folder / "data/features/rows.parquet")
    known = rows.dropna(subset="busy_known_at")
    delay = (known["busy_known_at"] - known["starts_utc"]) / pd.Timedelta(hours=1)
    assert delay.between(6, 30).all()
    assert (known["members_busy_known_at"] < known["busy_known_at"]).all()
    assert rows["busy"].mean() == pytest.approx(0.45, abs=0.1)


def test_the_server_gives_a_risk_for_an_hour_and_a_reason_to_a_request_for_none(asked):
    ok, refused = asked[-2:]
    one = json.loads(ok.removeprefix("200 "))["predictions"][0]
    assert one["hour"] == "2011-08-01/01"
    assert one["predict_at"] == "2011-08-01T03:00Z"
    assert 0 < one["risk"] < 1
    assert one["flags"] == {}
    assert refused.startswith("400 ")
    assert "starts" in refused


def test_monitoring_judges_a_month_by_labels_and_slices_of_its_own(bikes):
    done = life.run(bikes.folder, "python", "-m", "pipeline", "monitor", "diagnose").well()
    outcome = _json(bikes.folder, "monitor/outcome.json")
    assert outcome["overall"]["labelled"] > 600
    assert {"working day", "wet"} <= set(outcome["slices"])
    assert "2011-08: " in done.words


def _said(text: str) -> set[str]:
    """The words of flights in a text, without the tables that both use cases have."""
    return set(DOMAIN.findall(text.replace("weather", "").lower()))


def test_its_pages_and_messages_say_hours_and_nothing_of_flights(bikes, asked):
    life.run(bikes.folder, "python", "-m", "pipeline", "monitor").well()
    page = (bikes.folder / "data/monitor/month.html").read_text()
    words = re.sub(r"<[^>]+>|data:image[^\"]+", " ", page)
    assert " hours, " in words
    assert "busy share" in words
    call = ("python", "-m", "pipeline", "explain", "--request")
    named, none = (
        life.run(bikes.folder, *call, name) for name in ("2011-07-04/17", "2011-07-04/25")
    )
    assert "hour       2011-07-04/17" in named.well().words
    refused = life.run(bikes.folder, *call, "another")
    assert (none.code, refused.code) == (2, 2)  # the request is wrong
    assert "no hour 2011-07-04/25 among" in none.words
    assert "or name an hour" in refused.words
    told = [bikes.done.words, *asked, named.words, none.words, refused.words, words]
    assert [_said(one) for one in told] == [set()] * len(told)
    verdict = (bikes.folder / "data/evaluate/verdict.json").read_text()
    assert _said(verdict) == set()
    assert "invariance: identifiers" in verdict


def test_another_use_case_takes_at_most_five_files_and_450_lines():
    code = [n for n in tree.files() if n.startswith(FOLDER) and n.endswith((".py", ".yaml"))]
    assert len(code) <= 5
    assert sum(tree.read(name).count("\n") for name in code) <= 450


def test_its_configs_name_stages_and_keys_that_there_are():
    own = yaml_files.parse(tree.read(f"{FOLDER}configs.yaml"))
    for stage, keys in own["over"].items():
        there = yaml_files.parse(tree.read(f"configs/{stage}.yaml"))
        for key in keys:
            *above, last = key.split(".")
            assert last in reduce(dict.__getitem__, above, there), key
    assert {*own["instead"], *own["over"]} <= set(tree.stages())


@pytest.mark.parametrize("name", ["", "boats", "../flights"])
def test_a_use_case_that_is_not_there_is_refused_and_nothing_is_written(shelf, name):
    folder = life.checkout(shelf / f"none-{len(name)}")
    done = life.run(folder, "python", "-m", "pipeline.usecase.take", name)
    assert done.code == 1
    assert "is no use case" in done.words
    assert life.git(folder, "status", "--porcelain") == ""
