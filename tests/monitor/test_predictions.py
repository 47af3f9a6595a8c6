"""What was served: the log first, a batch for the rest, and no outcome in it."""

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import KNOWN_AT, LABEL, NUMERIC, PROXY
from pipeline.monitor import predictions
from pipeline.monitor.predictions import (
    count_skew,
    count_unknown_callers,
    days_of,
    newest_prediction,
    served_predictions,
)
from pipeline.records import request_log
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import ArtifactMissing
from tests.monitor import months

pytestmark = [pytest.mark.answer("what-to-monitor"), pytest.mark.slow]


@pytest.fixture
def flights(registered):
    """March's flights of a project with a champion and no log."""
    months.arrive()
    return months.march()


def answered(flights):
    return served_predictions(
        flights, months.the_champion().scorer, load(ServeConfig).log_url.get_secret_value()
    )


def by_flight(rows, flights, place):
    (found,) = rows[rows["flight"] == flights["name"].iloc[place]].to_dict("records")
    return found


def test_without_a_log_every_flight_is_of_a_batch_with_the_champions_risk(flights):
    champion = months.the_champion()
    for log_url in (None, load(ServeConfig).log_url.get_secret_value()):
        rows = served_predictions(flights, champion.scorer, log_url)
        assert rows["flight"].tolist() == flights["name"].tolist()
        assert rows["request_id"].tolist() == [f"batch/{name}" for name in flights["name"]]
        assert set(rows["source"]) == {"batch"}
        assert np.array_equal(rows["risk"], champion.scorer.model.predict(flights).astype(float))


def test_no_outcome_is_in_it(flights):
    months.log(flights[:5])
    outcomes = {LABEL, PROXY, f"{LABEL}_known_at", f"{PROXY}_known_at"}
    assert outcomes <= set(flights)
    assert outcomes.isdisjoint(answered(flights))


def test_what_was_logged_counts_and_not_what_a_batch_would_say(flights):
    logged = flights[10:12].reset_index(drop=True)
    told = logged.assign(
        humid=np.float32(7), weather_known_at=logged["predict_at"] - 90 * months.DAY
    )
    months.log(told, risk=[0.125, 0.875])
    rows = answered(flights)
    assert rows["flight"].tolist() == flights["name"].tolist()
    found = by_flight(rows, flights, 11)
    assert found["source"] == "log"
    assert (found["risk"], found["version"], found["release"]) == (0.875, "7", "e" * 64)
    assert found["request_id"] == "r1"
    assert found["humid"] == 7
    assert found["weather_known_at"] == told["weather_known_at"][1]
    assert found["wind_gust"] == flights["wind_gust"].iloc[11]
    assert found["system_known_at"] == flights["system_known_at"].iloc[11]
    assert rows["source"].value_counts().to_dict() == {"batch": len(flights) - 2, "log": 2}


def test_what_a_batch_scored_is_as_it_was_beside_a_log(flights):
    before = answered(flights)
    months.log(flights[:3])
    pd.testing.assert_frame_equal(answered(flights)[3:], before[3:])


def test_columns_keep_their_kinds(flights):
    before = answered(flights)
    months.log(flights[:3])
    after = answered(flights)
    assert after.dtypes.to_dict() == before.dtypes.to_dict()
    assert list(after) == list(before)


def test_a_view_that_was_missing_in_the_log_is_missing(flights):
    known = flights["carrier_known_at"][:3]
    months.log(flights[:3].assign(carrier_known_at=known.mask(known.notna())))
    rows = answered(flights)
    assert rows["carrier_known_at"][:3].isna().all()
    assert rows["carrier_known_at"][3:].notna().all()


def test_a_shadows_answer_reached_nobody_and_does_not_count(flights):
    months.log(flights[:4], arm=["shadow", "champion", "control", "challenger"])
    assert answered(flights)["source"][:5].tolist() == ["batch", "log", "log", "log", "batch"]


def test_who_tried_the_server_by_hand_is_counted_apart_and_changes_no_month(flights):
    """Before anything was materialized, one such request made a month of broken data."""
    url, before = load(ServeConfig).log_url.get_secret_value(), answered(flights)
    assert count_unknown_callers(flights, url) == 0
    months.log(flights[:3], arm=["direct", "champion", "stranger"], known_at=[months.never()] * 3)
    assert answered(flights)["source"][:3].tolist() == ["batch", "log", "batch"]
    pd.testing.assert_frame_equal(answered(flights).iloc[[0, 2]], before.iloc[[0, 2]])
    assert count_unknown_callers(flights, url) == 2
    assert count_unknown_callers(flights[1:], url) == 1


def test_answers_are_counted_for_more_flights_than_a_question_may_name(flights, monkeypatch):
    monkeypatch.setattr(request_log, "_MAX_NAMES", 2)
    months.log(flights[:5], arm="direct")
    assert count_unknown_callers(flights, load(ServeConfig).log_url.get_secret_value()) == 5


@pytest.mark.parametrize(
    ("arms", "explained"),
    [
        (["champion", "direct", "stranger", "shadow"], "champion"),
        (["direct", "stranger", "shadow"], "direct"),
        (["stranger", "shadow"], None),
    ],
)
def test_the_answer_to_a_flight_that_is_explained_is_no_strangers(flights, arms, explained):
    rows = flights.iloc[[0] * len(arms)].reset_index(drop=True)
    months.log(rows, arm=arms)
    found = newest_prediction(flights["name"][0], load(ServeConfig).log_url.get_secret_value())
    assert (found and found["arm"]) == explained


def test_of_several_answers_the_first_that_reached_a_user_counts(flights):
    first = flights.iloc[[0, 0, 0]].reset_index(drop=True)
    months.log(first, arm=["shadow", "champion", "champion"], risk=[0.1, 0.2, 0.3])
    found = by_flight(answered(flights), flights, 0)
    assert (found["risk"], found["request_id"]) == (0.2, "r1")


def test_an_answer_without_features_of_the_store_leaves_the_next_one(flights):
    first = flights.iloc[[0, 0]].reset_index(drop=True)
    features = np.arange(len(NUMERIC), dtype="<f4").tobytes()
    months.log(first, features=[None, features], known_at=[None, months.never()], risk=[0.1, 0.2])
    assert by_flight(answered(flights), flights, 0)["risk"] == 0.2


def test_an_answer_to_no_flight_of_the_window_adds_no_row(flights):
    months.log(flights[:2], name=["2013-03-01/UA/9999/EWR", None])
    rows = answered(flights)
    assert len(rows) == len(flights)
    assert set(rows["source"]) == {"batch"}


def test_flights_of_one_request_have_ids_of_their_own(flights):
    months.log(flights[:3], request_id="many", row=[0, 1, 2])
    rows = answered(flights)
    assert rows["request_id"][:3].tolist() == ["many", "many#1", "many#2"]
    assert rows["request_id"].is_unique


# Skew.


def test_a_log_that_holds_what_was_known_differs_nowhere(flights):
    assert flights["aircraft_arr_delay"].isna().any()  # and missing equals missing
    months.log(flights)
    assert count_skew(flights, answered(flights)) == {}


def test_exactly_the_cells_that_differ_are_counted_by_feature(flights):
    told = flights[:50].copy()
    told.loc[:6, "humid"] += np.float32(0.001)
    told.loc[3, "distance"] = np.nan
    gone = told["aircraft_arr_delay"].isna()
    told.loc[gone, "aircraft_arr_delay"] = np.float32(0)
    months.log(told)
    assert count_skew(flights, answered(flights)) == {
        "humid": 7,
        "distance": 1,
        "aircraft_arr_delay": int(gone.sum()),
    }


def test_rows_of_a_batch_are_recomputed_and_never_skewed(flights):
    months.log(flights[:1])
    rows = answered(flights)
    rows.loc[5, "humid"] = 0.0
    assert count_skew(flights, rows) == {}


def test_a_flights_day_is_the_local_date_in_its_name(flights):
    assert days_of(flights["name"][:1]).tolist() == ["2013-03-01"]
    late = flights["sched_hour"] == 20
    assert set(flights["predict_at"][late].dt.hour) & {0, 22, 23}
    assert np.array_equal(days_of(flights["name"]), flights["name"].str[:10])
    assert [name for name in KNOWN_AT if name not in flights] == []


def test_the_years_flights_are_refused_by_name_before_anything_arrived(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "INGEST", tmp_path)
    with pytest.raises(ArtifactMissing, match="make ingest"):
        predictions.year_table()
