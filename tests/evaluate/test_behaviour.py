from collections.abc import Callable

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from pipeline.evaluate.behaviour import behaviour
from pipeline.features.definitions import FEATURES, MONOTONE, matrix
from pipeline.models import onnx_export
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import ConfigError
from tests.builders import feature_rows

pytestmark = pytest.mark.answer("behavioural-tests")

ROWS = feature_rows(1_560)
PERVERSE = "aircraft_arr_delay"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the stage fits: on a busy machine a second thread only spins."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def rule():
    shipped = load(EvaluateConfig).behaviour
    calm = shipped.calm_morning | {PERVERSE: 0}
    return shipped.model_copy(update={"rows": 400, "calm_morning": calm})


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Fit an estimator, store it as train does, and load it back."""

    def model(estimator, names=FEATURES, labels=None):
        inputs = matrix(ROWS, names)
        fitted = estimator.fit(inputs, ROWS["late"] if labels is None else labels)
        path = tmp_path_factory.mktemp("model") / "model.onnx"
        return onnx_export.save(fitted, names, inputs, path, 1e-5)[0]

    return model


def failed(checks):
    return [check.name for check in checks if not check.passed]


def trees(**settings):
    return HistGradientBoostingClassifier(max_iter=40, min_samples_leaf=30, **settings)


@pytest.fixture(scope="module")
def sound(stored):
    return stored(trees(monotonic_cst=[MONOTONE.get(name, 0) for name in FEATURES]))


def test_a_sound_model_passes_every_check_and_every_check_may_refuse(sound, rule):
    checks = behaviour(sound, ROWS, rule)
    assert failed(checks) == []
    assert len(checks) == 3 + len(rule.raises) + len(rule.lowers)
    assert all(check.blocking for check in checks)


def test_a_model_that_is_fed_flight_numbers_fails_invariance(
    stored, rule, record_property: Callable[[str, object], None]
):
    late = ROWS["flight"] % 100 < 50
    model = stored(DecisionTreeClassifier(), ["flight"], late)
    invariance, *_ = behaviour(model, ROWS, rule)
    assert not invariance.passed
    assert invariance.found > 0.9
    record_property(
        "largest change of a risk by a flight's number, where it was learned", invariance.found
    )


def test_a_model_that_learned_the_opposite_fails_in_that_direction(
    stored, rule, record_property: Callable[[str, object], None]
):
    delay = ROWS[PERVERSE]
    labels = np.where(delay.isna(), ROWS["late"], delay < delay.median())
    free = behaviour(stored(trees(), labels=labels), ROWS, rule)
    (wrong,) = [check for check in free if check.name == f"direction: {PERVERSE} +60"]
    assert not wrong.passed
    assert wrong.found > 0.1
    bound = trees(monotonic_cst=[MONOTONE.get(name, 0) for name in FEATURES])
    held = behaviour(stored(bound, labels=labels), ROWS, rule)
    assert not [name for name in failed(held) if name.startswith("direction")]
    record_property("share of moves the wrong way, where a model learned the opposite", wrong.found)


def test_what_may_raise_nobodys_risk_is_judged_the_other_way_round(stored, rule):
    labels = ROWS["visib"] > 0.5
    rows = ROWS.assign(visib=ROWS["visib"] - 2)
    checks = behaviour(stored(trees(), labels=labels), rows, rule)
    (wrong,) = [check for check in checks if check.name == "direction: visib +3"]
    assert wrong.found > 0.3
    assert "rises" in wrong.detail


@pytest.mark.parametrize(
    ("share", "fails"),
    [
        (0.1, ["minimum: stormy evening"]),
        (0.4, ["minimum: calm morning", "minimum: stormy evening"]),
        (0.7, ["minimum: calm morning"]),
    ],
)
def test_a_model_that_always_says_the_same_fails_minimum_functionality(stored, rule, share, fails):
    labels = np.arange(len(ROWS)) < share * len(ROWS)
    constant = stored(DecisionTreeClassifier(min_samples_split=len(ROWS) + 1), labels=labels)
    assert constant.predict(ROWS) == pytest.approx(share)
    assert failed(behaviour(constant, ROWS, rule)) == fails


def test_a_model_is_judged_on_at_most_so_many_flights_and_the_same_each_time(sound, rule):
    few = rule.model_copy(update={"rows": 50})
    first, second = behaviour(sound, ROWS, few), behaviour(sound, ROWS, few)
    assert "of 50 risks" in first[0].detail
    assert first == second


@pytest.mark.parametrize("case", ["raises", "lowers", "calm_morning", "stormy_evening"])
def test_a_case_that_sets_an_unknown_input_is_refused_by_name(sound, rule, case):
    typo = rule.model_copy(update={case: getattr(rule, case) | {"wind_sped": 1.0}})
    with pytest.raises(ConfigError, match=rf"behaviour\.{case} names 1 .*\['wind_sped'\]"):
        behaviour(sound, ROWS, typo)
