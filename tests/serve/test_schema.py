"""What may be asked, and that a server asks the store what training's path would have asked."""

from datetime import datetime

import pytest
from pydantic import ValidationError

from pipeline.features import windows
from pipeline.features.online_store import store_requests as training_requests
from pipeline.flights.request import Flight, PredictRequest, flight_id, request_rows
from pipeline.serve.schema import instant_of
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from tests.serve.fakes import FLIGHT

pytestmark = pytest.mark.answer("model-server")


def flight(**changes):
    return Flight.model_validate(FLIGHT | changes)


@pytest.fixture(scope="module")
def config():
    return load(FeaturesConfig)


@pytest.mark.parametrize("day", ["2013-01-15", "2013-03-10", "2013-03-31"])
def test_a_whole_day_is_asked_as_training_asks_it(published, config, day):
    """One of the days has 23 hours in New York."""
    everything = published["flights"]
    flights = everything[
        (everything["month"] == int(day[5:7])) & (everything["day"] == int(day[8:]))
    ]
    asked = windows.requests(flights, config)
    own = [
        Flight.model_validate(
            {
                "scheduled_departure": f"{row.sched_dep_utc:%Y-%m-%dT%H:%MZ}",
                "block_minutes": row.block_minutes,
                "tailnum": row.tailnum if isinstance(row.tailnum, str) else None,
                **{name: getattr(row, name) for name in ("carrier", "flight", "origin", "dest")},
                "distance": int(row.distance),
            }
        )
        for row in asked.itertuples()
    ]
    assert len(own) > 700
    assert request_rows(own, config.horizon_minutes) == training_requests(asked)
    dates = asked["year"].map("{:04}-".format) + asked["month"].map("{:02}-".format)
    names = dates + asked["day"].map("{:02}/".format) + asked["carrier"] + "/"
    names += asked["flight"].astype(str) + "/" + asked["origin"]
    assert [flight_id(one) for one in own] == names.tolist()


def test_a_flight_is_called_by_new_yorks_date():
    assert flight_id(flight()) == "2013-04-18/UA/1545/EWR"
    late = flight(scheduled_departure="2013-04-19T03:59:00Z")
    assert flight_id(late) == "2013-04-18/UA/1545/EWR"


def test_an_instant_means_the_same_in_every_zone():
    told = [flight(scheduled_departure=f"2013-04-18T{at}") for at in ("12:30Z", "08:30-04:00")]
    first, second = (request_rows([one], 120) for one in told)
    assert first == second
    assert instant_of(first["predict_at"][0]) == "2013-04-18T10:30Z"
    assert first["sched_hour"] == [8]


def test_an_aircraft_that_is_not_known_yet_is_no_key():
    assert request_rows([flight(tailnum=None), flight(tailnum="")], 120)["tailnum"] == ["", ""]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("carrier", "U"),
        ("carrier", "ua"),
        ("carrier", "UA\n"),
        ("flight", 0),
        ("flight", 10_000),
        ("flight", "1545"),
        ("flight", True),
        ("flight", 1545.5),
        ("origin", "BOS"),
        ("dest", "IA"),
        ("dest", None),
        ("tailnum", "N14228-TOO-LONG"),
        ("block_minutes", 9),
        ("block_minutes", 1_441),
        ("distance", 6_001),
        ("distance", float("nan")),
        ("scheduled_departure", "2013-04-18T08:30"),
        ("scheduled_departure", "2013-04-18T08:30:30Z"),
        ("scheduled_departure", "2013-02-29T08:30Z"),
        ("scheduled_departure", "2013-04-18T08:30+99:00"),
        ("scheduled_departure", "2012-04-18T08:30Z"),
        ("scheduled_departure", "0001-01-01T00:00+23:59"),
        ("scheduled_departure", "9999-12-31T23:59-23:59"),
        ("scheduled_departure", 1_366_288_200),
        ("scheduled_departure", datetime(2013, 4, 18)),
        ("late", 1),
    ],
)
def test_what_no_schedule_has_is_refused_by_name(field, value):
    with pytest.raises(ValidationError) as refusal:
        flight(**{field: value})
    assert refusal.value.errors()[0]["loc"] == (field,)


def test_a_whole_number_may_be_written_with_a_point_as_json_has_it():
    assert flight(flight=908.0).flight == 908


@pytest.mark.parametrize("field", [name for name in FLIGHT if name != "tailnum"])
def test_a_field_that_is_missing_is_named(field):
    with pytest.raises(ValidationError, match=rf"{field}\n  Field required"):
        Flight.model_validate({name: value for name, value in FLIGHT.items() if name != field})


def test_no_flight_at_all_is_no_question():
    with pytest.raises(ValidationError, match="at least 1"):
        PredictRequest.model_validate({"flights": []})
