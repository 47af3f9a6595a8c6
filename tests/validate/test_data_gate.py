import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.flights.limits import FlightLimits
from pipeline.ingest import describe_snapshot
from pipeline.shared.contracts import INGEST, VALIDATE, Manifest, snapshot_path
from pipeline.shared.errors import ArtifactMissing, DataRejected, SnapshotChanged
from pipeline.shared.files import file_hash, write_json, write_parquet
from pipeline.validate import data_gate as validate
from tests.builders import flights, weather
from tests.rules.tree import ROOT

pytestmark = [pytest.mark.answer("data-validation"), pytest.mark.slow]

# The months of the builders are small: everything else is judged by the limits that are shipped.
SMALL = {
    "flights_a_day": [15, 40],
    "max_quarantined_share": 0.02,
    "max_quarantined_share_of_day": 0.5,
}

Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module", autouse=True)
def judge() -> Any:
    """The door to Great Expectations, whose import takes seconds."""
    return importlib.import_module("pipeline.validate.judge")


@pytest.fixture(scope="module")
def limits() -> FlightLimits:
    values = yaml.safe_load((ROOT / "configs/validate.yaml").read_text())
    return FlightLimits.model_validate(values | SMALL)


@pytest.fixture(scope="module")
def february(judge: Any, limits: FlightLimits) -> Callable[[str, pd.DataFrame], Any]:
    """How February's rows are judged after a January in order."""

    def judged(table: str, rows: pd.DataFrame) -> Any:
        reference = {"2013-01": flights()} if table == "flights" else {}
        return judge.judge(
            importlib.import_module("pipeline.shared.expectations").new_context(),
            table,
            "2013-02",
            rows,
            reference,
            limits,
        )

    return judged


def put(column: str, value: Any, row: int | slice = 0) -> Change:
    """Put a value into one row of a column."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].copy()
        values.iloc[row] = value
        return frame.assign(**{column: values})

    return change


def assign(**changes: Any) -> Change:
    return lambda frame: frame.assign(**changes)


SCHEMA_FAULTS = [
    pytest.param(lambda f: f.rename(columns={"dest": "to"}), ["columns"], id="a renamed column"),
    pytest.param(lambda f: f.drop(columns="carrier"), ["columns"], id="a missing column"),
    pytest.param(assign(gate="B12"), ["columns"], id="an extra column"),
    pytest.param(lambda f: f[f.columns[::-1]], ["columns"], id="columns in another order"),
    pytest.param(
        lambda f: f.astype({"distance": "str"}), ["type"], id="a number that has become text"
    ),
    pytest.param(
        lambda f: f.astype({"day": "float64"}), ["type"], id="a whole number that may be null"
    ),
    pytest.param(
        lambda f: f.assign(sched_dep_utc=f["sched_dep_utc"].dt.tz_localize(None)),
        ["type"],
        id="an instant without its time zone",
    ),
]
"""Changes of columns and types, each by itself."""
FLIGHT_FAULTS = [
    pytest.param(
        lambda f: pd.concat([f, f], ignore_index=True), ["unique-key"], id="every flight twice"
    ),
    pytest.param(put("carrier", None), ["never-null"], id="a null where none may be"),
    pytest.param(put("sched_arr_utc", pd.NaT), ["never-null"], id="no scheduled arrival"),
    pytest.param(
        lambda f: f[::2].reset_index(drop=True), ["volume"], id="a month at half its volume"
    ),
    pytest.param(
        lambda f: f[f["day"] != 9].reset_index(drop=True), ["every-day"], id="a day without flights"
    ),
    pytest.param(
        lambda f: f[f["day"] < 27].reset_index(drop=True), ["fresh"], id="a month that ends early"
    ),
    pytest.param(
        put("sched_dep_utc", pd.Timestamp("2013-07-01", tz="UTC")),
        ["own-month"],
        id="a departure in the future",
    ),
    pytest.param(put("month", 3), ["own-month"], id="a row of another month"),
    pytest.param(assign(origin="JFK"), ["divergence"], id="all flights from one origin"),
    pytest.param(lambda f: f.assign(hour=(f["hour"] + 5) % 24), ["divergence"], id="hours in UTC"),
    pytest.param(
        lambda f: f.assign(distance=(f["distance"] * 1.609).astype("int64")),
        ["mean-shift"],
        id="distances in kilometres",
    ),
    pytest.param(
        lambda f: f.assign(dep_delay=f["dep_delay"] * 60),
        ["mean-shift", "spread", "quarantined-share"],
        id="delays in seconds",
    ),
    pytest.param(
        lambda f: f.assign(arr_delay=f["arr_delay"] / 60), ["spread"], id="delays in hours"
    ),
    pytest.param(
        lambda f: f.assign(arr_delay=f["arr_delay"].clip(lower=20)),
        ["late-share"],
        id="nearly every flight late",
    ),
    pytest.param(
        lambda f: f.assign(
            **{c: f[c].mask(f.index % 5 == 0) for c in ("dep_delay", "dep_time", "dep_utc")},
            **{c: f[c].mask(f.index % 5 == 0) for c in ("arr_delay", "arr_time", "air_time")},
        ),
        ["cancelled-share"],
        id="every fifth flight cancelled",
    ),
    pytest.param(
        lambda f: f.assign(arr_delay=f["arr_delay"].mask(f.index % 10 == 0)),
        ["diverted-share"],
        id="every tenth arrival lost",
    ),
    pytest.param(
        put("carrier", "ZZ", slice(20)),
        ["quarantined-share"],
        id="too many rows to set aside",
    ),
]


@pytest.mark.answer("schema-evolution")
@pytest.mark.parametrize(("change", "rules"), SCHEMA_FAULTS)
def test_a_month_of_another_schema_is_refused_for(
    change: Change,
    rules: list[str],
    february: Any,
    record_property: Callable[[str, object], None],
) -> None:
    judgement = february("flights", change(flights(month="2013-02")))
    assert set(rules) <= {outcome.rule for outcome in judgement.refusals}
    record_property("changes of columns and types that stop a month", len(SCHEMA_FAULTS))


@pytest.mark.long
@pytest.mark.parametrize(("change", "rules"), FLIGHT_FAULTS)
def test_a_month_of_flights_is_refused_for(change: Change, rules: list[str], february: Any) -> None:
    judgement = february("flights", change(flights(month="2013-02")))
    assert set(rules) <= {outcome.rule for outcome in judgement.refusals}


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param(
            lambda w: pd.concat([w, w], ignore_index=True), "unique-key", id="every hour twice"
        ),
        pytest.param(lambda w: w[::2].reset_index(drop=True), "volume", id="half the hours"),
        pytest.param(
            lambda w: w[w["origin"] != "LGA"].reset_index(drop=True),
            "every-origin",
            id="an origin that is missing",
        ),
        pytest.param(
            lambda w: w[(w["origin"] != "LGA") | (w["day"] != 5)].reset_index(drop=True),
            "every-day",
            id="an origin that misses a day",
        ),
        pytest.param(
            lambda w: w[w["day"] < 27].reset_index(drop=True), "fresh", id="a month that ends early"
        ),
        pytest.param(assign(wind_speed=np.nan), "missing-share", id="no wind at all"),
        pytest.param(
            lambda w: w.assign(pressure=w["pressure"] * 0.75),
            "quarantined-share",
            id="pressure in another unit",
        ),
    ],
)
def test_a_month_of_weather_is_refused_for(change: Change, rule: str, february: Any) -> None:
    judgement = february("weather", change(weather(month="2013-02")))
    assert rule in {outcome.rule for outcome in judgement.refusals}


EARLY = pd.Timestamp("2013-02-01", tz="UTC")


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        pytest.param(
            flights(month="2013-02"),
            {
                ("carrier", "ZZ"): ("known", "carrier"),
                ("dest", "Boston"): ("airport-code", "dest"),
                ("air_time", -5.0): ("range", "air_time"),
                ("arr_utc", EARLY): ("time-order", "arr_utc"),
                ("sched_arr_utc", EARLY): ("time-order", "sched_arr_utc"),
                ("dep_time", np.nan): ("departed-is-recorded", "dep_time"),
                ("tailnum", None): ("departed-is-recorded", "tailnum"),
            },
            id="flights",
        ),
        pytest.param(
            weather(month="2013-02"),
            {
                ("wind_speed", 1048.4): ("range", "wind_speed"),
                ("humid", 101.0): ("range", "humid"),
            },
            id="weather",
        ),
    ],
)
def test_single_wrong_rows_are_set_aside_by_name_and_the_month_accepted(
    rows: pd.DataFrame,
    faults: dict[tuple[str, Any], tuple[str, str]],
    february: Any,
    record_property: Callable[[str, object], None],
) -> None:
    expected = {}
    for row, ((column, value), why) in enumerate(faults.items()):
        rows = put(column, value, row)(rows)
        expected[row] = why
    judgement = february("flights" if "dest" in rows else "weather", rows)
    found = {(p, (o.rule, o.columns[0])) for o in judgement.quarantines for p in o.positions}
    # A wrong value may also contradict its neighbours: an arrival before its departure does.
    assert set(expected.items()) <= found
    assert judgement.quarantined_rows == sorted(expected)
    assert not judgement.refusals
    assert judgement.accepted_rows.equals(rows[len(faults) :].reset_index(drop=True))
    table = "flights" if "dest" in rows else "weather"
    record_property(f"of {len(rows):,} rows of {table} set aside, each planted one", len(expected))


def test_an_arrival_without_a_departure_is_set_aside(february: Any) -> None:
    judgement = february("flights", put("dep_delay", np.nan)(flights(month="2013-02")))
    assert judgement.quarantined_rows == [0]
    assert {o.rule for o in judgement.quarantines} == {"cancelled-has-no-outcome"}


def test_the_only_month_so_far_is_judged_without_a_reference(
    judge: Any, limits: FlightLimits
) -> None:
    snapshots = {("flights", "2013-01"): flights(origin="JFK")}
    (judgement,) = judge.judge_all(
        importlib.import_module("pipeline.shared.expectations").new_context(), snapshots, limits
    )
    assert judgement.reference == []
    assert not judgement.refusals


def test_a_reference_month_with_a_broken_schema_is_no_reference(
    judge: Any, limits: FlightLimits
) -> None:
    snapshots = {
        ("flights", "2013-01"): flights().drop(columns="origin"),
        ("flights", "2013-02"): flights(month="2013-02"),
    }
    judgements = judge.judge_all(
        importlib.import_module("pipeline.shared.expectations").new_context(), snapshots, limits
    )
    assert [j.reference for j in judgements] == [[], []]
    assert [bool(j.refusals) for j in judgements] == [True, False]


@pytest.fixture
def arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which two small months have arrived; one hour of wind is impossible."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "configs", "configs")
    config = Path("configs/validate.yaml")
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | SMALL))
    arrive(weather=put("wind_speed", 1048.4, 1)(weather(month="2013-02")))
    return tmp_path


def arrive(**february: pd.DataFrame) -> None:
    """Write two months as ingest would; February's tables can be replaced."""
    shutil.rmtree(INGEST, ignore_errors=True)
    months = {
        "2013-01": {"flights": flights(), "weather": weather()},
        "2013-02": {"flights": flights(month="2013-02"), "weather": weather(month="2013-02")}
        | february,
    }
    snapshots = []
    for month, both in months.items():
        for table, rows in both.items():
            write_parquet(snapshot_path(INGEST, table, month), rows)
            snapshots.append(describe_snapshot(table, month, rows))
    manifest = Manifest(source="builders", as_of="2013-02", files={}, snapshots=snapshots)
    write_json(INGEST / "manifest.json", manifest.model_dump())


def digests() -> dict[str, str]:
    files = [p for p in VALIDATE.rglob("*") if p.is_file() and "docs" not in p.parts]
    return {str(path): file_hash(path) for path in files}


@pytest.mark.long
def test_what_is_accepted_set_aside_and_reported_is_the_same_bytes_on_every_run(
    arrived: Path,
) -> None:
    closing = validate.run()
    first = digests()
    departed = snapshot_path(VALIDATE, "flights", "2013-07")
    write_parquet(departed, flights(rows=31))
    validate.run()
    assert digests() == first
    assert not departed.exists()
    assert len(first) == 7
    assert "1 row(s) set aside" in closing
    (row,) = pd.read_parquet(VALIDATE / "quarantine.parquet").to_dict("records")
    assert row == {
        "table": "weather",
        "month": "2013-02",
        "key": "origin=EWR observed_utc=2013-02-01T06:00:00+00:00",
        "rule": "range",
        "columns": "wind_speed",
        "value": "wind_speed=1048.4",
    }


@pytest.mark.long
def test_a_refusal_names_rule_row_and_next_command_and_accepts_nothing(arrived: Path) -> None:
    write_parquet(snapshot_path(VALIDATE, "flights", "2013-02"), flights(rows=31))
    half = flights(month="2013-02", origin="JFK")[::2].reset_index(drop=True)
    arrive(flights=half)
    with pytest.raises(DataRejected) as refused:
        validate.run()
    for words in (
        "2013-02 flights: rule volume on flights_that_day: 310 of 310 rows",
        "first year=2013 month=2 day=1 carrier=UA flight=1 origin=JFK with flights_that_day=12",
        "2013-02 flights: rule divergence on origin: found 1.",
        "then run `make validate`",
    ):
        assert words in str(refused.value)
    report = json.loads((VALIDATE / "report.json").read_text())
    assert [s["verdict"] for s in report["snapshots"]].count("refused") == 2
    assert (VALIDATE / "docs/index.html").is_file()
    assert not list(VALIDATE.glob("*/2013-02.parquet"))
    assert not (VALIDATE / "quarantine.parquet").exists()


@pytest.mark.answer("devops-engineer")
def test_a_snapshot_that_is_not_what_its_manifest_says_is_refused(arrived: Path) -> None:
    write_parquet(snapshot_path(INGEST, "flights", "2013-02"), flights(rows=600, month="2013-02"))
    with pytest.raises(SnapshotChanged, match="its manifest says"):
        validate.run()


def test_a_snapshot_that_is_listed_and_not_there_is_missing(arrived: Path) -> None:
    snapshot_path(INGEST, "weather", "2013-01").unlink()
    with pytest.raises(ArtifactMissing, match="make ingest"):
        validate.run()


def test_a_month_that_its_manifest_lacks_is_missing(arrived: Path) -> None:
    manifest = json.loads((INGEST / "manifest.json").read_text())
    manifest["snapshots"] = manifest["snapshots"][:-1]
    write_json(INGEST / "manifest.json", manifest)
    with pytest.raises(ArtifactMissing, match="missing: weather 2013-02"):
        validate.run()
