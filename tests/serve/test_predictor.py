import numpy as np
import pytest

from pipeline.features.definitions import FEATURES, NUMERIC, VIEWS
from pipeline.features.windows import NEVER
from pipeline.flights.request import Flight, request_rows
from pipeline.registry.release_loader import warm_up_failure
from pipeline.serve.predictor import InvalidRisk, Predictor
from tests.serve.fakes import FLIGHT, Session, Store, loaded

pytestmark = pytest.mark.answer("model-server")

NAN = float("nan")
ASKED = request_rows(
    [Flight.model_validate(FLIGHT), Flight.model_validate(FLIGHT | {"origin": "JFK"})], 120
)


def test_flights_are_predicted_from_what_the_store_gives_and_their_own_columns():
    session = Session()
    answers = Predictor(loaded(session), Store()).online(ASKED)
    (seen,) = session.seen
    assert seen.dtype == np.float32
    assert seen.shape == (2, len(FEATURES))
    assert np.array_equal(seen[:, : len(NUMERIC)], answers.values)
    ones = [[name for name, x in zip(FEATURES, row, strict=True) if x == 1] for row in seen]
    assert [set(names) & set(FEATURES[len(NUMERIC) :]) for names in ones] == [
        {"origin_is_EWR", "carrier_is_UA"},
        {"origin_is_JFK", "carrier_is_UA"},
    ]
    assert answers.risk.tolist() == pytest.approx([0.051, 0.051])  # 8:30 is minute 510
    assert (answers.known_at == np.array(ASKED["predict_at"])[:, None] - 20).all()


def test_a_value_that_is_missing_or_stale_is_told_and_predicted_without():
    answers = Predictor(loaded(), Store(weather="stale", aircraft="missing")).online(ASKED)
    assert answers.flags == [{"weather": "stale", "aircraft": "missing"}] * 2
    assert (answers.known_at[:, VIEWS.index("weather")] == NEVER).all()


def test_a_model_of_fewer_features_takes_its_own_and_in_its_order():
    session = Session()
    names = ["distance", "sched_minute", "origin_is_EWR"]
    Predictor(loaded(session, names), Store()).online(ASKED)
    assert session.seen[0].tolist() == [[1400, 510, 1], [1400, 510, 0]]


@pytest.mark.parametrize("says", [NAN, 1.001, -0.001, float("inf")])
def test_what_is_no_probability_is_no_answer(says):
    predictor = Predictor(loaded(Session(says)), Store())
    with pytest.raises(InvalidRisk, match="2 of 2 risks are no probability"):
        predictor.online(ASKED)
    with pytest.raises(InvalidRisk):
        predictor.vectors(np.zeros((1, len(FEATURES)), dtype="float32"))


def test_a_model_that_answers_as_it_was_recorded_is_ready():
    assert warm_up_failure(loaded()) == ""


@pytest.mark.parametrize("says", [0.0601, NAN])
def test_a_model_that_answers_otherwise_is_not_ready_and_says_by_how_much(says):
    assert "from the recorded one, allowed is 1e-05" in warm_up_failure(loaded(Session(says)))


def test_a_release_without_a_recorded_prediction_is_not_ready():
    assert "version 7 was registered before releases recorded" in warm_up_failure(
        loaded(warm=False)
    )
