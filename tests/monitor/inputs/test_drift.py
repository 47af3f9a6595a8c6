import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import monitor
from pipeline.features.definitions import NUMERIC
from pipeline.features.rows import ROWS
from pipeline.monitor.inputs.drift import (
    CATEGORIES,
    RISK,
    Drift,
    group_of,
    judge,
    measure,
    missing_psi,
)
from pipeline.shared import model as stored
from pipeline.shared import tracking
from pipeline.shared.config import MonitorConfig, RegisterConfig, load
from pipeline.shared.contracts import MONITOR, TRAIN, read_record
from pipeline.shared.errors import RegistryRefused, TooLittleData
from pipeline.shared.files import write_parquet
from tests.shared import project

pytestmark = [pytest.mark.answer("data-drift"), pytest.mark.slow]


@pytest.mark.parametrize(
    ("column", "group"),
    [
        ("risk", "prediction"),
        ("distance", "static"),
        ("carrier", "static"),
        ("origin", "static"),
        ("aircraft_slack", "aircraft"),
        ("wind_gust", "weather"),
        ("system_dep_late_3h", "rolling"),
        ("hour_late_28d", "rolling"),
    ],
)
def test_a_column_follows_the_rule_of_its_group(column, group):
    assert group_of(column) == group


@pytest.mark.parametrize("column", ["risk", "distance", "carrier", "aircraft_age"])
@pytest.mark.parametrize(
    ("psi", "status"),
    [(0.0, "quiet"), (0.0999, "quiet"), (0.1, "warn"), (0.1999, "warn"), (0.2, "alert")],
)
def test_a_tripwire_warns_and_alerts_from_its_limits_on(column, psi, status):
    assert judge(column, psi, load(MonitorConfig)).status == status


def test_the_predictions_and_the_tripwires_have_limits_of_their_own():
    config = load(MonitorConfig).model_copy(update={"prediction_alert": 9, "tripwire_warn": 0.01})
    assert judge("risk", 5.0, config).status == "warn"
    assert judge("distance", 0.05, config).status == "warn"


@pytest.mark.parametrize("column", ["humid", "system_dep_late_3h"])
def test_what_follows_the_season_is_reported_however_far_it_went(column):
    assert judge(column, 16.0, load(MonitorConfig)).status == "report"


# The measure: Evidently's PSI against one that is worked out here.


def frame(rows, seed, **changes):
    chance = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "distance": chance.normal(1_000, 200, rows),
            "humid": chance.random(rows) * 100,
            "aircraft_age": np.where(chance.random(rows) < 0.4, np.nan, chance.random(rows)),
            "origin": chance.choice(["EWR", "JFK", "LGA"], rows),
            "carrier": chance.choice(["UA", "B6"], rows),
        }
    ).assign(**changes)


def index(old, new):
    """The population stability index of two lists of shares."""
    old, new = np.clip(old, 1e-4, None), np.clip(new, 1e-4, None)
    return float(((new - old) * np.log(new / old)).sum())


def index_of_numbers(old, new, bins=10):
    """The PSI over tenths of the reference."""
    edges = np.quantile(old, np.linspace(0, 1, bins + 1)[1:-1])
    counted = [np.bincount(np.searchsorted(edges, v), minlength=bins) for v in (old, new)]
    return index(*(count / count.sum() for count in counted))


@pytest.fixture(scope="module")
def found():
    reference = frame(4_000, 0)
    current = frame(
        4_000,
        1,
        distance=lambda f: f["distance"] + 200,
        carrier=lambda f: f["carrier"].where(np.arange(len(f)) % 2 == 0, "UA"),
        aircraft_age=np.nan,
    )
    return reference, current, measure(reference, current, html=False)


def test_columns_that_did_not_change_have_next_to_no_drift(found):
    _, _, psi = found
    assert 0 <= psi["humid"] < 0.02
    assert 0 <= psi["origin"] < 0.02


def test_a_column_that_is_identical_has_none():
    reference = frame(1_000, 0)
    assert max(measure(reference, reference, html=False).values()) == pytest.approx(0, abs=1e-9)


def test_a_shift_by_one_deviation_is_as_large_as_worked_out_by_hand(found):
    reference, current, psi = found
    expected = index_of_numbers(reference["distance"], current["distance"])
    assert psi["distance"] == pytest.approx(expected, rel=0.25)
    assert psi["distance"] == pytest.approx(1, rel=0.25)  # two normal curves, one deviation apart


def test_a_change_of_categories_is_as_large_as_worked_out_by_hand(found):
    reference, current, psi = found
    shares = [
        table["carrier"].value_counts(normalize=True)[["UA", "B6"]].to_numpy()
        for table in (reference, current)
    ]
    assert psi["carrier"] == pytest.approx(index(*shares), rel=0.01)
    assert psi["carrier"] > 0.2


def test_a_feed_that_stopped_is_the_drift_from_values_to_none(found):
    reference, _, psi = found
    there = reference["aircraft_age"].notna().mean()
    assert psi["aircraft_age"] == pytest.approx(index([there, 1 - there], [0, 1]))
    assert judge("aircraft_age", psi["aircraft_age"], load(MonitorConfig)).status == "alert"


# The stage.


@pytest.fixture
def watched(tmp_path_factory, registered):
    """A project whose served month was compared; measured once, since that takes seconds."""
    shelf = tmp_path_factory.getbasetemp() / "drift.json"
    if not shelf.exists():
        rows = pd.read_parquet(ROWS)
        rows["distance"] += np.where(rows["month"] == 3, 2, 0).astype("float32")
        rows["system_dep_late_3h"] += np.where(rows["month"] == 3, 0.1, 0).astype("float32")
        write_parquet(shelf.with_suffix(".parquet"), rows)
        write_parquet(ROWS, rows)
        shelf.with_suffix(".line").write_text(monitor.run())
        shutil.copy(MONITOR / "drift.json", shelf)
    MONITOR.mkdir(parents=True, exist_ok=True)
    shutil.copy(shelf.with_suffix(".parquet"), ROWS)
    shutil.copy(shelf, MONITOR / "drift.json")
    return shelf.with_suffix(".line").read_text()


def the_drift():
    return read_record(Drift, MONITOR / "drift.json", "monitor")


def test_without_a_champion_there_is_nothing_to_watch(tmp_path_factory, tmp_path, monkeypatch):
    project.enter("started", tmp_path_factory, tmp_path, monkeypatch)
    with pytest.raises(RegistryRefused, match=r"has no champion to watch in .*`make run`"):
        monitor.run()
    assert not MONITOR.exists()


def test_every_input_and_the_prediction_is_in_the_record_the_farthest_first(watched):
    drift = the_drift()
    columns = [column.column for column in drift.columns]
    assert set(columns) == {*NUMERIC, *CATEGORIES, RISK}
    assert [c.psi for c in drift.columns] == sorted((c.psi for c in drift.columns), reverse=True)


def test_what_drifted_is_named_with_how_far_and_what_it_calls_for(watched):
    status = {column.column: column.status for column in the_drift().columns}
    alarms = {name for name, found in status.items() if found in ("warn", "alert")}
    assert alarms == {"distance", "risk"}
    assert status["system_dep_late_3h"] == "report"
    (distance,) = [column for column in the_drift().columns if column.column == "distance"]
    assert f"distance {distance.psi:.2f} (alert)" in watched
    assert "with the season: system_dep_late_3h" in watched


def test_the_record_names_both_windows_and_what_the_champion_said_in_them(watched):
    drift = the_drift()
    rows = pd.read_parquet(ROWS)
    champion = stored.load(TRAIN / "model.onnx", drift.champion)
    risk = champion.predict(rows)
    assert (drift.reference, drift.window) == (
        "2013-01-08..2013-02-28",
        "2013-03-01..2013-03-31",
    )
    assert (drift.reference_rows, drift.rows) == (3_120, 1_860)
    assert drift.mean_risk_reference == pytest.approx(risk[rows["month"] < 3].mean(), abs=1e-6)
    assert drift.mean_risk == pytest.approx(risk[rows["month"] == 3].mean(), abs=1e-6)
    assert drift.mean_risk > drift.mean_risk_reference + 0.05


def test_a_second_comparison_of_the_same_stands_and_writes_nothing(watched):
    before = (MONITOR / "drift.json").stat()
    assert "stands: nothing that it rests on has changed" in monitor.run()
    assert (MONITOR / "drift.json").stat() == before


@pytest.fixture
def measures(watched):
    """A store that lost the champion's file: what stands does not need it, measuring anew does."""
    config = load(RegisterConfig)
    path = tracking.fetch(config, tracking.aliased(config, tracking.CHAMPION))
    shutil.rmtree(path.parent)
    assert "stands" in monitor.run()
    return pytest.raises(RegistryRefused, match="no longer holds it")


def test_changed_features_are_measured_anew(measures):
    rows = pd.read_parquet(ROWS)
    write_parquet(ROWS, rows.assign(humid=rows["humid"] + 1))
    with measures:
        monitor.run()


def test_changed_limits_are_judged_anew(measures):
    project.configure("monitor", prediction_warn=0.05)
    with measures:
        monitor.run()


def test_a_record_that_cannot_be_read_is_measured_anew(measures):
    (MONITOR / "drift.json").write_text('{"champion": ')
    with measures:
        monitor.run()


def test_a_report_for_people_that_is_gone_is_made_anew(measures):
    project.configure("monitor", html="full")
    with measures:
        monitor.run()


def test_a_window_that_has_not_arrived_is_refused(registered):
    project.configure("monitor", window={"first": "2013-04-01", "last": "2013-04-30"})
    with pytest.raises(TooLittleData, match="raise as_of"):
        monitor.run()
    assert not (MONITOR / "drift.json").exists()


def test_the_report_for_people_is_written_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = frame(200, 0)[["distance", "origin", "carrier"]]
    measure(small, small, html=True)
    assert [path.name for path in Path("data/monitor").iterdir()] == ["drift.html"]
    assert "distance" in Path("data/monitor/drift.html").read_text()


def test_a_feed_that_loses_half_of_its_values_drifts_though_the_rest_has_not_moved():
    kept = pd.DataFrame({"aircraft_slack": np.arange(1000.0)})
    lost = kept.assign(aircraft_slack=kept["aircraft_slack"].where(np.arange(1000) % 2 == 0))
    expected = (0.5 - 1) * np.log(0.5) + (0.5 - 0.0001) * np.log(0.5 / 0.0001)
    assert missing_psi(kept, lost)["aircraft_slack"] == pytest.approx(expected)
    assert missing_psi(lost, lost)["aircraft_slack"] == 0
