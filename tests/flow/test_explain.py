"""`make explain` on a real project: an answer that was served is what comes out again."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import KNOWN_AT, NUMERIC
from pipeline.features.windows import NEVER
from pipeline.monitor.explain import explain
from pipeline.records.request_log import LoggedPrediction, pack
from pipeline.records.request_log_writer import open_log
from pipeline.registry.model import load
from pipeline.registry.release_loader import export
from pipeline.shared.errors import RequestUnknown, SkewFound
from tests.flow import life

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.answer("one-prediction"),
]


@pytest.fixture(scope="module")
def project(small, shelf):
    return life.twin(small.folder, shelf / "explain")


@pytest.fixture(scope="module")
def flights(project):
    rows = pd.read_parquet(project / "data/features/rows.parquet")
    rows = rows[rows["predict_at"] == pd.Timestamp("2013-02-14 12:00Z")].reset_index(drop=True)
    training = json.loads((project / "data/train/training.json").read_text())
    model = load(project / "data/train/model.onnx", training["digest"])
    return rows.assign(risk=model.predict(rows))


@pytest.fixture
def logged(project, flights, monkeypatch, tmp_path):
    """Logs answers as a server would have, with what changes, in a log of the test's own."""
    monkeypatch.chdir(project)
    url = f"sqlite:///{tmp_path}/log.db"
    monkeypatch.setenv("PIPELINE_LOG_URL", url)
    release = export("champion")

    def log(request_id="asked", risk=None, **features):
        changed = flights.head(1).assign(**features)
        row = changed.iloc[0]
        known = pd.DataFrame({name: changed[name] for name in KNOWN_AT})
        epoch = pd.Timestamp("2012-12-01", tz="UTC")
        minutes = [
            [NEVER if pd.isna(at) else (at - epoch) // pd.Timedelta("1min") for at in known.iloc[0]]
        ]
        name = f"{row.year}-{row.month:02}-{row.day:02}/{row.carrier}/{row.flight}/{row.origin}"
        answer = LoggedPrediction(
            request_id=request_id,
            row=0,
            arm="direct",
            version="1",
            release=release,
            name=name,
            predict_at=108_000,
            features=pack(changed[NUMERIC].to_numpy("float32"), "<f4")[0],
            known_at=pack(np.array(minutes), "<i8")[0],
            flags="{}",
            risk=float(row["risk"] if risk is None else risk),
            answered_at=1.5e9,
            seconds=0.002,
        )
        with open_log(url, 10) as log:
            log.add([answer])
        return name

    return log


def test_an_answer_comes_out_again_with_everything_behind_it(project, logged):
    name = logged()
    line = explain()  # the newest
    assert "compared   every value is what was known at T" in line
    told = json.loads((project / "data/monitor/explain/asked.json").read_text())
    assert (told["request_id"], told["name"]) == ("asked", name)
    assert len(told["features"]) == len(NUMERIC)
    assert told["risk"] == pytest.approx(told["logged_risk"], abs=1e-6)
    assert told["differs"] == []
    assert told["label"].startswith(("late, known at", "not late, known at"))
    assert "<td" in (project / "data/monitor/explain/asked.html").read_text()
    assert "not served" not in line


def test_a_feature_that_was_not_what_was_known_is_named_with_both_values(logged):
    logged(humid=np.float32(7.5))
    with pytest.raises(SkewFound, match=r"humid was 7\.5 \(as known at .*\), should have been "):
        explain("asked")


def test_a_risk_that_is_not_the_models_is_named(logged):
    logged(risk=0.999)
    with pytest.raises(SkewFound, match=r"risk 0\.999000 was answered, 0\.\d+ is computed again"):
        explain("asked")


def test_a_flight_that_was_not_served_is_told_so(project, logged, flights):
    row = flights.iloc[1]
    name = f"{row.year}-{row.month:02}-{row.day:02}/{row.carrier}/{row.flight}/{row.origin}"
    line = explain(name)
    assert "not served; as it would be by version 1" in line
    found = next(
        (project / "data/monitor/explain").glob(f"2013-*-{row.carrier}-{row.flight}-*.json")
    )
    assert json.loads(found.read_text())["risk"] == pytest.approx(row["risk"], abs=1e-6)


def test_an_answer_that_is_not_there_is_refused_with_what_to_do(logged):
    with pytest.raises(RequestUnknown, match=r"no answer, of 0 that were .*`make serve-http`"):
        explain()
    logged()
    with pytest.raises(RequestUnknown, match=r"no answer 'nobody', row 0, of 1 that were written"):
        explain("nobody")
    with pytest.raises(RequestUnknown, match="'asked', row 1"):
        explain("asked", row=1)
