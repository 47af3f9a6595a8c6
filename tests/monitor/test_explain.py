"""One prediction explained: its raw events are those that its features were counted from."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import FEATURES, NUMERIC, REQUEST, ROLLING, VIEWS
from pipeline.features.online_store import STALE
from pipeline.features.point_in_time import historical
from pipeline.features.windows import NEVER, minutes
from pipeline.flights.history import name_of_row
from pipeline.monitor.explain import Explanation, Feature, _difference, _without_stale
from pipeline.monitor.explanation_report import explanation_report, text
from pipeline.monitor.raw_events import make_history, source_events, view_of
from pipeline.shared.errors import RequestUnknown
from tests import builders

pytestmark = pytest.mark.answer("one-prediction")

AIRCRAFT = [f"N{100 + number % 12}" for number in range(620)]
"""So few that each flies more than once a day."""
FLIGHTS, WEATHER = builders.flights(tailnum=AIRCRAFT), builders.weather()


def names(count):
    rows = FLIGHTS[FLIGHTS["day"] == FLIGHTS["day"].max()].iloc[:: max(1, len(FLIGHTS) // 200)]
    return [
        f"{r.year}-{r.month:02}-{r.day:02}/{r.carrier}/{r.flight}/{r.origin}"
        for r in rows.head(count).itertuples()
    ]


@pytest.fixture(scope="module", params=names(4))
def known(request):
    return make_history(FLIGHTS, WEATHER, request.param)


@pytest.mark.parametrize("rolling", ROLLING, ids=lambda rolling: rolling.name)
def test_behind_a_mean_are_as_many_flights_as_it_was_counted_from(known, rolling):
    row, found = known.row(rolling.view), source_events(known, rolling.name)
    if row is None:
        assert found is None
        return
    assert found.events == row[f"{rolling.name}_count"]
    assert len(found.last) == min(3, found.events)
    at = [pd.Timestamp(seen.known_at) for seen in found.last]
    assert at == sorted(at, reverse=True)
    assert all(one < known.request["predict_at"].iloc[0] for one in at)


def test_behind_all_means_together_are_as_many_flights_as_they_were_counted_from(
    known, record_property: Callable[[str, object], None]
):
    rows = {rolling.name: known.row(rolling.view) for rolling in ROLLING}
    counted = {name: row[f"{name}_count"] for name, row in rows.items() if row is not None}
    events = {name: source_events(known, name).events for name in counted}
    assert events == counted
    flight = name_of_row(known.request.iloc[0])
    told = f"outcomes behind the {len(events)} means of {flight}, as many as were counted"
    record_property(told, sum(events.values()))


def test_what_is_behind_an_aircraft_and_the_weather_was_known_before_t(known):
    for name in ("aircraft_age", "humid"):
        found = source_events(known, name)
        for seen in found.last if found else []:
            assert pd.Timestamp(seen.known_at) < known.request["predict_at"].iloc[0]


def test_the_weather_behind_a_feature_is_its_value(known):
    found = source_events(known, "humid")
    (seen,) = found.last
    assert seen.told == {"humid": pytest.approx(known.request["humid"].iloc[0])}


@pytest.mark.long
def test_the_age_of_an_aircraft_is_that_of_its_last_landing(
    known, record_property: Callable[[str, object], None]
):
    every = historical(known.requests, known.views, known.config)
    flown = every[every["aircraft_age"].notna()].head(5)
    assert len(flown)
    for _, row in flown.iterrows():
        one = make_history(FLIGHTS, WEATHER, name_of_row(row))
        seen = source_events(one, "aircraft_age").last
        landed = next(event for event in seen if event.of.endswith("landed"))
        at = minutes(pd.Series([pd.Timestamp(landed.known_at)]))[0]
        assert one.at - at == row["aircraft_age"]
    record_property("flights whose aircraft's age is that of its last landing", len(flown))


def test_the_schedule_is_behind_what_the_request_brings(known):
    assert [source_events(known, name) for name in REQUEST] == [None] * len(REQUEST)
    assert {view_of(name) for name in NUMERIC} == {*VIEWS, "schedule"}


def test_a_feature_that_is_none_is_an_error(known):
    with pytest.raises(ValueError, match=f"is not one of the {len(FEATURES)} features"):
        source_events(known, "phase_of_the_moon")


def test_a_flight_that_never_was_is_refused():
    with pytest.raises(RequestUnknown, match=r"no flight 2013-01-01/ZZ/1/EWR .*make explain"):
        make_history(FLIGHTS, WEATHER, "2013-01-01/ZZ/1/EWR")


AT = pd.Timestamp("2013-01-08 10:00Z")


@pytest.mark.parametrize(
    ("value", "logged", "said"),
    [
        (0.25, 0.5, "humid was 0.5 (nothing known), should have been 0.25 (as known at 2013-01-08"),
        (np.nan, 0.5, "humid was 0.5 (nothing known), should have been nan"),
        (0.25, np.nan, "humid was nan"),
        (0.25, 0.25, ""),
        (np.nan, np.nan, ""),
        (0.25, None, ""),
    ],
)
def test_a_difference_is_said_with_both_values_and_when_they_were_known(value, logged, said):
    found = _difference("humid", value, logged, AT, NEVER)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_what_was_withheld_as_stale_is_missing_and_nothing_else_is(known):
    served = _without_stale(known.request, {"weather": STALE, "aircraft": "missing"})
    assert np.isnan(served["humid"].iloc[0])
    others = [name for name in NUMERIC if view_of(name) not in ("weather",)]
    assert served[others].equals(known.request[others])


def told(**changes):
    feature = {
        "name": "humid",
        "view": "weather",
        "value": 63.5,
        "known_at": "2013-01-08 10:00Z",
        "age_minutes": 15,
        "logged": 63.5,
        "why": "",
        "counts": 0.012,
        "behind": None,
    }
    explanation = {
        "request_id": "r<1>",
        "row": 0,
        "name": "2013-01-08/UA/1/EWR",
        "predict_at": "2013-01-08 10:15Z",
        "served": "version 1",
        "ledger": "nothing served yet",
        "inputs": {"carrier": "UA"},
        "risk": 0.25,
        "logged_risk": 0.25,
        "label": "not matured",
        "features": [Feature(**feature | changes)],
        "differs": [changes["why"]] if "why" in changes else [],
    }
    return Explanation(**explanation)


def test_a_page_holds_what_a_terminal_shows_and_runs_nothing():
    shown, page = text(told()), explanation_report(told())
    for word in ("humid", "63.5", "+0.0120", "15 min", "every value is what was known at T"):
        assert word in shown
        assert word in page
    assert "r<1>" not in page
    assert "<script" not in page


def test_a_difference_stands_out():
    other = told(logged=None, why="humid was nan, should have been 63.5")
    assert "compared   humid was nan, should have been 63.5" in text(other)
    assert "\n! humid" in text(other)
    assert "<tr class=no>" in explanation_report(other)


def test_a_terminal_shows_what_counts_and_what_differs_and_one_line_for_the_rest():
    result = told()
    (feature,) = result.features
    still = feature.model_copy(update={"name": "still", "counts": 0.0})
    wrong = feature.model_copy(update={"name": "wrong", "counts": 0.0, "why": "wrong was 1"})
    shown = text(result.model_copy(update={"features": [feature, still, wrong, still]}))
    assert "humid" in shown
    assert "\n! wrong" in shown
    assert "still" not in shown
    assert "and 2 more features, each of which changes the risk by less than 5e-05" in shown
    assert max(map(len, shown.splitlines())) <= 120
