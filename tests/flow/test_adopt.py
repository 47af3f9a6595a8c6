"""From a folder of somebody else's to a gated champion: one command, then the usual ones."""

import json
import pickle
import time
from pathlib import Path

import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from tests.adopt.tables import give
from tests.flow import life
from tests.rules import tree

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(3600)]
RENTALS = tree.ROOT / "pipeline/bikes/published/Bikeshare.csv"
CHOICES = {"label": "bikers", "above": 150, "zone": "America/New_York", "known_after_hours": 1}
LEAST = {"n_estimators": 60, "min_samples_leaf": 10}


def _rentals() -> pd.DataFrame:
    """Hours of rentals as somebody would give them away: with an instant, in no order."""
    rows = pd.read_csv(RENTALS)
    day = pd.to_datetime("2011-" + rows["day"].astype("str").str.zfill(3), format="%Y-%j")
    starts = (day + pd.to_timedelta(rows["hr"], unit="h")).dt.strftime("%Y-%m-%d %H:%M")
    left = rows.drop(columns=["day", "mnth", "casual", "registered", "season"])
    return left.assign(starts=starts).sample(frac=1, random_state=0)


def _champion(folder: Path) -> tuple[life.Done, list[dict]]:
    """Run `make champion`, monitoring included; the verdict's checks."""
    done = life.run(folder, "make", "champion").well()
    assert "\nmonitor " in done.words
    verdict = json.loads((folder / "data/evaluate/verdict.json").read_text())
    return done, verdict["checks"]


def test_events_are_adopted_and_end_in_a_champion(shelf, tmp_path, record_property):
    given = give(tmp_path / "hours", _rentals(), **CHOICES)
    assert (given / "adopt.yaml").read_text().count("\n") <= 30
    began = time.monotonic()
    folder = life.checkout(shelf / "hours")
    life.run(folder, "make", "adopt", f"FROM={given}").well()
    done, checks = _champion(folder)
    record_property("minutes from a CSV to a champion", f"{(time.monotonic() - began) / 60:.1f}")
    assert "now champion" in done.words
    beaten = {one["name"] for one in checks if one["passed"] and one["name"].startswith("beats ")}
    assert beaten == {"beats logistic", "beats naive"}
    rows = pd.read_parquet(folder / "data/features/rows.parquet")
    known = rows["system_known_at"].dropna()
    assert len(known) > 8000
    assert (known < rows.loc[known.index, "predict_at"]).all()


def test_a_forest_in_a_pickle_is_trained_anew_and_judged_on_rows_that_it_never_saw(shelf, tmp_path):
    table = _rentals().drop(columns="starts")
    table["bikers"] = (table["bikers"] > 150).astype(int)
    given = give(tmp_path / "renting", table, label="bikers")
    inputs = table[["hr", "workingday", "temp", "hum", "windspeed", "weekday"]]
    fitted = RandomForestClassifier(random_state=0, **LEAST).fit(inputs, table["bikers"])
    (given / "forest.pkl").write_bytes(pickle.dumps(fitted))
    folder = life.checkout(shelf / "renting")
    refused = life.run(folder, "make", "adopt", f"FROM={given}")
    assert refused.code == 2
    assert "TRUST=forest.pkl" in refused.words
    assert life.git(folder, "status", "--porcelain") == ""
    asked = ("make", "adopt", f"FROM={given}", "TRUST=forest.pkl")
    assert "RandomForestClassifier(min_samples_leaf=10" in life.run(folder, *asked).well().words
    done, _ = _champion(folder)
    assert "now champion" in done.words
    trained = json.loads((folder / "data/train/training.json").read_text())
    assert set(trained["features"]) == set(inputs)
    assert trained["parity"]["model"] <= 1e-5
