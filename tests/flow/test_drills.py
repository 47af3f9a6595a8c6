"""Each drill injects its fault into the real pipeline, and its guard catches it."""

import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
def drilled(request, beside):
    """What `python -m exercises.drill run` said of the drill that the test is marked with."""
    return beside[request.node.get_closest_marker("drill").args[0]].result().done


def _caught(done):
    assert done.code == 0, done.words
    found = re.search(r"^CAUGHT  after \d+ s: (.+)", done.words, re.MULTILINE | re.DOTALL)
    assert found, done.words
    return found[1]


@pytest.mark.drill("wind")
@pytest.mark.answer("data-validation")
def test_a_wind_of_1048_mph_is_set_aside_and_reaches_no_feature(drilled):
    assert re.search(r"1048 mph arrived and was set aside .* is \d\d mph", _caught(drilled))


@pytest.mark.drill("duplicated-month")
@pytest.mark.answer("ci-cd")
def test_a_month_that_is_published_twice_is_refused(drilled):
    assert "validate refused 2013-02" in _caught(drilled)
    assert "DataRejected" in drilled.words


@pytest.mark.drill("date-join")
@pytest.mark.answer("point-in-time")
def test_a_join_on_the_date_is_found_to_leak(drilled):
    assert "no feature table was written" in _caught(drilled)
    assert "LeakFound" in drilled.words


@pytest.mark.drill("slice")
@pytest.mark.answer("model-validation")
def test_a_challenger_that_wins_on_the_whole_and_loses_a_slice_is_refused(drilled):
    assert "overall it beats the champion" in _caught(drilled)
    assert "GateRefused" in drilled.words


@pytest.mark.drill("unknown-target")
@pytest.mark.answer("ci-cd")
def test_a_workflow_that_calls_no_target_is_found_by_the_rules(drilled):
    assert "test_a_workflow_runs_nothing_but_make fails for .github/" in _caught(drilled)


@pytest.mark.drill("own-month")
@pytest.mark.answer("retraining")
def test_a_challenger_that_has_seen_the_month_it_is_judged_on_is_refused(drilled):
    assert "window is new to the challenger: found -30, limit 1" in _caught(drilled)


@pytest.mark.drill("wind-let-through")
@pytest.mark.answer("data-validation")
def test_a_wind_that_a_loosened_rule_lets_through_is_refused_before_training(drilled):
    assert "nothing was trained" in _caught(drilled)
    assert "FeatureRejected" in drilled.words


@pytest.mark.drill("pickle")
@pytest.mark.answer("model-security")
def test_a_pickle_in_the_models_place_is_refused_by_name_and_does_not_run(drilled):
    assert re.search(r"but a pickle, .*; its command did not run", _caught(drilled))
    assert "ArtifactTampered" in drilled.words


@pytest.mark.drill("secret")
@pytest.mark.answer("model-security")
def test_a_password_in_a_config_is_refused_and_not_repeated(drilled):
    assert "holds a URL with a password at tracking_url" in _caught(drilled)
    assert "ConfigError" in drilled.words
