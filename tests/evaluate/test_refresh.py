import numpy as np
import pytest

from pipeline.evaluate.gate import compare_models
from pipeline.evaluate.refresh import (
    NOT_MUCH_WORSE,
    NOT_WORSE,
    holds_refreshed_slice,
    is_refresh,
    not_worse,
    stays_near,
)
from pipeline.registry.versions import Version
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import Kind, decide
from pipeline.shared.paired_difference import Difference
from tests.builders import feature_rows, training

pytestmark = pytest.mark.answer("model-validation")

GATE = load(EvaluateConfig)
RULE = GATE.refresh
SLICES = GATE.slices.model_copy(update={"min_positives": 40})


def found(point=0.0, low=-1.0, high=1.0, days=14):
    return Difference(point, low, high, 1_000, days)


def version(**tags):
    known = {"recipe": "9" * 64, "feature_service": "flight_delay-0123456789ab"}
    return Version("1", "a" * 64, "run", known | tags)


@pytest.mark.parametrize(
    ("tags", "refresh"),
    [
        ({}, True),
        ({"recipe": "8" * 64}, False),  # another parameter
        ({"feature_service": "flight_delay-other"}, False),  # another meaning of a feature
        ({"recipe": ""}, False),  # registered before recipes were recorded
    ],
)
def test_a_refresh_is_the_champions_recipe_and_features_on_other_days(tags, refresh):
    assert is_refresh(training(), version(**tags)) is refresh


@pytest.mark.parametrize(
    ("point", "high", "passes"),
    [
        (0.0, 0.005, [True, True]),  # no worse in the mean, and surely not much worse
        (1e-9, 0.004, [False, True]),  # worse in the mean
        (-0.001, 0.0051, [True, False]),  # perhaps much worse
        (float("nan"), float("nan"), [False, False]),
    ],
)
def test_a_refresh_may_not_be_worse_in_the_mean_nor_perhaps_by_much(point, high, passes):
    assert [check.passed for check in not_worse(found(point, -1, high), RULE)] == passes


@pytest.mark.parametrize(("low", "passes"), [(0.005, True), (0.0051, False), (-0.1, True)])
def test_a_slice_vetoes_a_refresh_only_where_it_is_surely_worse_by_the_margin(low, passes):
    check = holds_refreshed_slice("storm", found(0.02, low, 0.1), 500, SLICES, RULE)
    assert (check.passed, check.blocking) == (passes, True)


@pytest.mark.parametrize(("positives", "days"), [(39, 14), (500, 6)])
def test_a_small_slice_is_reported_without_a_veto(positives, days):
    check = holds_refreshed_slice("storm", found(0.1, 0.05, 0.2, days), positives, SLICES, RULE)
    assert not check.passed
    assert not check.blocking
    assert "too few for a veto" in check.detail


@pytest.mark.parametrize(("apart", "passes"), [(0.0799, True), (0.0801, False)])
def test_what_goes_live_stays_near_what_was_judged(apart, passes):
    judged = np.linspace(0.1, 0.6, 500)
    check = stays_near(judged, judged + apart, GATE.max_refit_distance)
    assert check.passed is passes
    assert check.found == pytest.approx(apart, abs=1e-6)


def test_for_a_refresh_baselines_are_reported_and_veto_nothing():
    rows = feature_rows(3_000)
    labels = rows["late"].to_numpy()
    ours, champion = np.where(labels == 1, 0.6, 0.4), np.where(labels == 1, 0.55, 0.45)
    others = {"champion": champion, "hour_rate": np.where(labels == 1, 0.9, 0.1)}
    change = compare_models(rows, ours, others, SLICES, GATE.bootstrap)
    refresh = compare_models(rows, ours, others, SLICES, GATE.bootstrap, RULE)
    assert not decide(change)
    assert decide(refresh)
    assert [c.name for c in refresh if c.name == "beats hour_rate" and not c.passed]
    baselines = (Kind.BASELINE, Kind.BASELINE_SLICE)
    assert {c.blocking for c in refresh if c.kind in baselines} == {False}
    assert [c.name for c in refresh if c.kind is Kind.CHAMPION] == [NOT_WORSE, NOT_MUCH_WORSE]


def test_a_refresh_that_changes_nothing_passes_where_a_change_would_not():
    rows = feature_rows(1_200)
    risk = np.random.default_rng(0).random(1_200)
    same = {"champion": risk}
    assert not decide(compare_models(rows, risk, same, SLICES, GATE.bootstrap))
    assert decide(compare_models(rows, risk, same, SLICES, GATE.bootstrap, RULE))


def test_a_refresh_that_lost_a_slice_is_refused():
    rows = feature_rows(3_000)
    labels = rows["late"].to_numpy()
    champion, better = np.where(labels == 1, 0.6, 0.4), np.where(labels == 1, 0.8, 0.2)
    worse_at_jfk = np.where(rows["origin"] == "JFK", 0.5, better)
    checks = compare_models(
        rows, worse_at_jfk, {"champion": champion}, SLICES, GATE.bootstrap, RULE
    )
    failed = [c.name for c in checks if c.blocking and not c.passed]
    assert "origin JFK against champion" in failed
