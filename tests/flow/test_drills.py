"""Each drill injects its fault into the real pipeline, and its guard catches it."""

import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture
def drilled(request, beside):
    """What `python -m exercises.drill run` said of the drill that the test is marked with."""
    return beside[request.node.get_closest_marker("drill").args[0]].result().done


def _caught(done):
    assert done.code == 0, done.words
    found = re.search(r"^CAUGHT  after \d+ s: (.+)", done.words, re.MULTILINE | re.DOTALL)
    assert found, done.words
    return found[1]


@pytest.mark.nightly
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


@pytest.mark.nightly
@pytest.mark.drill("slice")
@pytest.mark.answer("model-validation")
def test_a_challenger_that_wins_on_the_whole_and_loses_a_slice_is_refused(drilled):
    assert "overall it beats the champion" in _caught(drilled)
    assert "GateRefused" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("unknown-target")
@pytest.mark.answer("ci-cd")
def test_a_workflow_that_calls_no_target_is_found_by_the_rules(drilled):
    assert "test_a_workflow_runs_nothing_but_make fails for .github/" in _caught(drilled)


@pytest.mark.nightly
@pytest.mark.drill("own-month")
@pytest.mark.answer("retraining")
def test_a_challenger_that_has_seen_the_month_it_is_judged_on_is_refused(drilled):
    assert "window is new to the challenger: found -30, limit 1" in _caught(drilled)


@pytest.mark.nightly
@pytest.mark.drill("wind-let-through")
@pytest.mark.answer("data-validation")
def test_a_wind_that_a_loosened_rule_lets_through_is_refused_before_training(drilled):
    assert "nothing was trained" in _caught(drilled)
    assert "FeatureRejected" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("pickle")
@pytest.mark.answer("model-security")
def test_a_pickle_in_the_models_place_is_refused_by_name_and_does_not_run(drilled):
    assert re.search(r"but a pickle, .*; its command did not run", _caught(drilled))
    assert "ArtifactTampered" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("secret")
@pytest.mark.answer("model-security")
def test_a_password_in_a_config_is_refused_and_not_repeated(drilled):
    assert "holds a URL with a password at tracking_url" in _caught(drilled)
    assert "ConfigError" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("mixed-release")
@pytest.mark.answer("release")
def test_a_model_that_was_trained_beside_the_graph_is_not_registered(drilled):
    assert "config: configs/train.yaml holds other values" in _caught(drilled)
    assert "ReleaseRefused" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("swapped-model")
@pytest.mark.answer("lineage")
def test_a_model_that_was_swapped_in_the_registry_is_told(drilled):
    assert "was registered" in _caught(drilled)
    assert "ArtifactTampered" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("lost-snapshot")
@pytest.mark.answer("three-artefacts")
def test_a_snapshot_that_the_remote_lost_is_named(drilled):
    assert "data/ingest/weather/2013-01.parquet (" in _caught(drilled)
    assert "DataUnavailable" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("forged-verdict")
@pytest.mark.answer("three-artefacts")
def test_a_forged_verdict_is_found_by_the_rebuild(drilled):
    assert "evaluate is the first stage that differs" in _caught(drilled)
    assert "NotReproduced" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("flipped-labels")
@pytest.mark.answer("delayed-labels")
def test_labels_of_a_carrier_that_were_flipped_for_a_week_are_refused_by_name(drilled):
    assert "UA in the week of 2013-02-11: 0.170 of 1,097 flights" in _caught(drilled)
    assert "LabelsRefused" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("labels-twice")
@pytest.mark.answer("delayed-labels")
def test_files_of_labels_that_come_twice_add_nothing(drilled):
    assert "28 files were known by their hash" in _caught(drilled)


@pytest.mark.nightly
@pytest.mark.drill("shuffled-labels")
@pytest.mark.answer("delayed-labels")
def test_labels_in_any_order_and_corrected_give_the_outcome_of_those_in_order(drilled):
    assert re.search(r"^[\d,]+ labels corrected in any order: 24,951 labels", _caught(drilled))


@pytest.mark.nightly
@pytest.mark.drill("stopped-labels")
@pytest.mark.answer("delayed-labels")
def test_an_outcome_without_labels_is_not_known_and_says_how_old_they_are(drilled):
    assert re.search(r"^not known: .*; labels_age_hours 240", _caught(drilled))


@pytest.mark.nightly
@pytest.mark.drill("contradicting-labels")
@pytest.mark.answer("delayed-labels")
def test_labels_at_odds_under_one_revision_are_set_aside_by_name(drilled):
    assert _caught(drilled).startswith("20 flights have no label until another revision: 2013-02-")


@pytest.mark.nightly
@pytest.mark.drill("log-percent")
@pytest.mark.answer("data-drift")
def test_a_log_in_percent_calls_somebody_for_values_that_cannot_be(drilled):
    assert re.search(
        r"^QualityFailures: impossible values: \d+, limit 0 \(.*system_late_24h", _caught(drilled)
    )


@pytest.mark.nightly
@pytest.mark.drill("lost-view")
@pytest.mark.answer("data-drift")
def test_a_month_without_its_weather_calls_somebody(drilled):
    assert _caught(drilled).startswith(
        "QualityFailures: missing weather: 1, limit 0.15 (100.0% of rows without"
    )


@pytest.mark.nightly
@pytest.mark.drill("drift-without-loss")
@pytest.mark.answer("data-drift")
def test_a_month_that_is_far_from_training_and_lost_nothing_calls_nobody(drilled):
    assert _caught(drilled).startswith("nobody is called; ticket: prediction_psi 0.")
    assert "page: none" in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("log-lagging")
@pytest.mark.answer("which-drift")
def test_answers_from_what_was_known_six_hours_before_are_skew_and_no_shift(drilled):
    assert re.search(r"^skew -> fix the feed: \w+ differs from what was known", _caught(drilled))
    assert "concept shift" not in drilled.words


@pytest.mark.nightly
@pytest.mark.drill("late-relation")
@pytest.mark.answer("which-drift")
def test_outcomes_of_another_relation_are_found_at_equal_inputs(drilled):
    moved = r"^both shifts -> retrain: .* by \+0\.\d+ \[\+0\.\d+, \S+\] at equal inputs"
    assert re.search(moved, _caught(drilled))


RETRAINING = {
    "poisoned-labels": "labels disagree",
    "lost-mornings": "coverage of origin and hour",
    "old-features": "age of features",
    "refit-apart": "refit stays near what was judged",
    "labels-stop": "the label feed is late",
    "rewritten-journal": "journal.db is not what was written there",
    "swallowed-gate": "is no",
    "month-twice": "is not after 2013-04",
}


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("slug", "told"),
    [pytest.param(*one, marks=pytest.mark.drill(one[0])) for one in RETRAINING.items()],
    ids=RETRAINING,
)
def test_what_breaks_retraining_is_caught(drilled, slug, told):
    assert told in _caught(drilled)
