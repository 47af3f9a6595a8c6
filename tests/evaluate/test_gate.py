import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from pipeline import train
from pipeline.evaluate import gate as evaluate
from pipeline.evaluate.gate import (
    are_probabilities,
    beats,
    compare_models,
    evidence_checks,
    holds_slice,
)
from pipeline.evaluate.refusal import gate_refusal
from pipeline.features.feature_table import ROWS
from pipeline.registry import model as stored
from pipeline.registry import versions
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import EVALUATE, SLICES, TRAIN, Verdict, decide, read_record
from pipeline.shared.errors import (
    ArtifactTampered,
    ConfigError,
    GateRefused,
    RegistryRefused,
    TooLittleData,
)
from pipeline.shared.files import file_hash
from pipeline.shared.paired_difference import Difference
from tests.builders import feature_rows, training
from tests.shared import project

pytestmark = [pytest.mark.answer("model-validation"), pytest.mark.slow]

RULE = load(EvaluateConfig).slices.model_copy(update={"min_positives": 40})
BOOTSTRAP = load(EvaluateConfig).bootstrap


def found(point=0.0, low=-1.0, high=1.0):
    return Difference(point, low, high, 1_000, 30)


# The rules at their boundaries.


@pytest.mark.parametrize(("high", "passes"), [(-1e-9, True), (0.0, False), (float("nan"), False)])
def test_a_challenger_beats_another_if_the_upper_bound_is_below_zero(high, passes):
    check = beats("champion", found(-0.1, -0.2, high))
    assert (check.passed, check.blocking, check.limit) == (passes, True, 0.0)


@pytest.mark.parametrize(
    ("point", "low", "passes"),
    [
        (0.0051, 0.0001, False),
        (0.005, 0.0001, True),  # surely worse, and not by more than the limit
        (0.0051, 0.0, True),  # worse by more, and not surely
        (-0.1, -0.2, True),
    ],
)
def test_a_slice_is_lost_if_it_is_worse_by_more_than_the_limit_and_surely(point, low, passes):
    assert holds_slice("champion", "storm", found(point, low), 500, RULE).passed is passes


@pytest.mark.parametrize(
    ("other", "positives", "vetoes"),
    [
        ("champion", 40, True),
        ("champion", 39, False),
        ("hour_rate", 40, True),
        ("logistic", 40, False),
    ],
)
def test_a_lost_slice_vetoes_where_it_has_enough_late_flights(other, positives, vetoes):
    check = holds_slice(other, "storm", found(0.1, 0.05), positives, RULE)
    assert not check.passed
    assert check.blocking is vetoes
    assert decide([check, beats(other, found(-0.1, -0.2, -0.05))]) is not vetoes
    assert ("too few for a veto" in check.detail) is (positives < 40)


@pytest.mark.answer("devops-engineer")
def test_a_challenger_that_is_better_overall_and_worse_on_one_slice_is_refused(
    record_property: Callable[[str, object], None],
):
    rows = feature_rows(3_000)
    labels = rows["late"].to_numpy()
    champion = np.where(labels == 1, 0.6, 0.4)
    better = np.where(labels == 1, 0.8, 0.2)
    worse_at_jfk = np.where(rows["origin"] == "JFK", 0.5, better)
    checks = compare_models(rows, worse_at_jfk, {"champion": champion}, RULE, BOOTSTRAP)
    by_name = {check.name: check for check in checks}
    assert by_name["beats champion"].passed
    assert "origin JFK against champion" in {c.name for c in checks if not c.passed}
    assert not decide(checks)
    assert decide(compare_models(rows, better, {"champion": champion}, RULE, BOOTSTRAP))
    overall, slice_ = (
        by_name[f"{name} champion"].found for name in ("beats", "origin JFK against")
    )
    record_property("log loss against the champion, overall", overall)
    record_property("log loss against the champion at JFK, for which it is refused", slice_)


def test_the_differences_are_of_scikit_learns_log_loss():
    rows = feature_rows(600)
    risk, other = np.random.default_rng(0).random((2, 600))
    overall, *_, last = compare_models(rows, risk, {"champion": other}, RULE, BOOTSTRAP)
    gap = sklearn.metrics.log_loss(rows["late"], risk) - sklearn.metrics.log_loss(
        rows["late"], other
    )
    assert f"{gap:+.4f} [" in overall.detail
    known = rows["aircraft_known_at"].notna()
    gap = sklearn.metrics.log_loss(rows["late"][known], risk[known]) - sklearn.metrics.log_loss(
        rows["late"][known], other[known]
    )
    assert last.found == pytest.approx(gap)


def test_an_equal_challenger_does_not_beat_the_champion():
    rows = feature_rows(600)
    risk = np.random.default_rng(0).random(600)
    overall, *rest = compare_models(rows, risk, {"champion": risk}, RULE, BOOTSTRAP)
    assert not overall.passed
    assert all(check.passed for check in rest)


# Is the evidence fit to judge with?


def unfit(champion=None, days=31, **changes):
    config = load(EvaluateConfig)
    return [
        c.name for c in evidence_checks(config, training(**changes), champion, days) if not c.passed
    ]


def version(window):
    return versions.Version("1", "e" * 64, "run", {"window": window})


def test_fresh_evidence_that_nobody_learned_from_is_fit(started):
    assert unfit(version("2013-01-08..2013-02-28")) == []


def test_fewer_days_than_the_limit_are_not_enough(started):
    assert unfit(days=14) == []
    assert unfit(days=13) == ["days judged"]


def test_the_champion_with_newer_days_is_judged_on_a_few(started):
    champion, again = version("2013-01-08..2013-02-28"), {"candidate": "e" * 64}
    assert unfit(champion, days=5, **again) == []
    assert unfit(champion, days=4, **again) == ["days judged"]
    assert unfit(champion, days=5) == ["days judged"]


def test_a_window_that_the_challenger_learned_from_is_unfit(started):
    assert unfit(candidate_window="2013-01-08..2013-03-01") == ["window is new to the challenger"]


def test_a_window_that_the_champion_learned_from_is_unfit(started):
    assert unfit(version("2013-01-08..2013-03-01")) == ["window is new to the champion"]


def test_training_data_that_are_older_than_the_limit_are_unfit(started):
    project.configure("evaluate", max_data_age_days=32.5)  # 32 days and ten hours after February
    assert unfit() == []
    project.configure("evaluate", max_data_age_days=32.4)
    assert unfit() == ["age of the training data"]


# The stage.


def the_verdict():
    return read_record(Verdict, EVALUATE / "verdict.json", "evaluate")


def test_a_first_challenger_is_compared_with_its_baselines_and_passes(trained):
    closing = evaluate.run()
    verdict = the_verdict()
    assert verdict.passed
    assert verdict.champion is None
    names = {check.name for check in verdict.checks}
    assert {"beats hour_rate", "beats logistic", "storm against hour_rate"} <= names
    assert not [name for name in names if "champion" in name]
    assert "1,860 flights of 31 days, no champion yet" in closing


def test_the_metrics_are_those_of_scikit_learn_on_the_window(trained):
    evaluate.run()
    metrics = json.loads((EVALUATE / "metrics.json").read_text())
    rows = pd.read_parquet(ROWS).query("month == 3")
    risk = stored.load(TRAIN / "model.onnx", the_verdict().challenger).predict(rows)
    assert metrics["log_loss"] == pytest.approx(
        sklearn.metrics.log_loss(rows["late"], risk), abs=1e-6
    )
    assert metrics["roc_auc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(rows["late"], risk), abs=1e-6
    )


def test_judging_again_writes_the_same_bytes(trained):
    evaluate.run()
    before = {path.name: path.read_bytes() for path in EVALUATE.iterdir()}
    evaluate.run()
    assert {path.name: path.read_bytes() for path in EVALUATE.iterdir()} == before


def test_a_refused_challenger_is_told_by_its_checks_and_its_verdict_is_written(trained):
    project.configure("evaluate", **{"behaviour.stormy_evening_min": 0.99, "min_days": 32})
    with pytest.raises(GateRefused) as refused:
        evaluate.run()
    message = str(refused.value)
    assert "fails 2 of " in message
    assert "\n  days judged: found 31, limit 32 (" in message
    assert "\n  minimum: stormy evening: found 0." in message
    assert "`make evaluate`" in message
    assert not the_verdict().passed
    assert "refused" in (EVALUATE / "verdict.html").read_text()
    assert json.loads((EVALUATE / "metrics.json").read_text())["roc_auc"] > 0.8


def test_a_refusal_by_too_few_rows_has_point_interval_bound_and_the_next_step():
    few, worse = found(-0.0431, -0.1165, 0.0339), found(0.0221, 0.0126, 0.032)
    message = str(gate_refusal(verdict_of([beats("naive", few)])))
    assert "log loss -0.0431 [-0.1165, +0.0339] over 30 days, 1,000 flights" in message
    assert "upper bound, +0.0339, must be below 0; the point is, so there are too few" in message
    assert "more flights or days to judge on are the next step, then `make evaluate`" in message
    message = str(gate_refusal(verdict_of([beats("naive", few), beats("logistic", worse)])))
    assert "beats logistic: log loss +0.0221 [" in message
    assert message.count("too few rows") == 1
    assert "change the training" in message


def verdict_of(checks):
    return Verdict(
        challenger="a" * 64,
        judged="a" * 64,
        champion=None,
        kind="first",
        window="2013-04-01..2013-04-30",
        rows=1_000,
        days=30,
        config_hash="b" * 64,
        features_hash="c" * 64,
        predictions_hash="d" * 64,
        checks=checks,
        passed=decide(checks),
    )


def test_slices_that_are_all_too_small_are_reported_and_veto_nothing(trained):
    project.configure("evaluate", **{"slices.min_positives": 5_000})
    evaluate.run()
    slices = [check for check in the_verdict().checks if check.kind in SLICES]
    assert slices
    assert not any(check.blocking for check in slices)


def test_a_window_that_has_not_arrived_is_refused(trained):
    project.configure("evaluate", window={"first": "2013-03-01", "last": "2013-04-30"})
    with pytest.raises(TooLittleData, match="raise as_of"):
        evaluate.run()
    assert not (EVALUATE / "verdict.json").exists()


def test_a_case_with_a_mistyped_input_is_refused_before_a_verdict_is_written(trained):
    project.configure("evaluate", **{"behaviour.raises.wind_sped": 15})
    with pytest.raises(ConfigError, match="wind_sped"):
        evaluate.run()
    assert not (EVALUATE / "verdict.json").exists()


@pytest.mark.parametrize("name", ["model", "logistic", "hour_rate"])
def test_a_model_that_changed_after_its_training_is_not_judged(trained, name):
    path = TRAIN / f"{name}.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ArtifactTampered, match=f"{name}.onnx has SHA-256"):
        evaluate.run()


@pytest.mark.long
def test_a_second_challenger_is_compared_with_the_champion_too(registered):
    champion = the_verdict().challenger
    project.configure("train", **{"boosting.max_iter": 8})
    train.run()
    with pytest.raises(GateRefused, match=r"beats champion: log loss .* upper bound, \+0"):
        evaluate.run()
    verdict = the_verdict()
    assert verdict.challenger == file_hash(TRAIN / "model.onnx") != champion
    assert verdict.champion == champion
    names = {check.name for check in verdict.checks}
    assert {"window is new to the champion", "storm against champion"} <= names


@pytest.mark.long
def test_the_champion_with_newer_days_is_held_near_itself_and_goes_on_the_fast_track(registered):
    champion = the_verdict().challenger
    project.configure("train", refit_until="2013-03-07")
    train.run()
    project.configure("evaluate", **{"window.last": "2013-03-07"})
    evaluate.run()
    verdict = the_verdict()
    assert verdict.fast_track
    assert (verdict.judged, verdict.champion) == (champion, champion)
    assert verdict.challenger == file_hash(TRAIN / "model.onnx") != champion
    names = {check.name for check in verdict.checks}
    assert "refit stays near what was judged" in names
    assert {n for n in names if n.endswith("champion")} == {"window is new to the champion"}
    project.configure("evaluate", max_refit_distance=0.0001)
    with pytest.raises(GateRefused, match="refit stays near what was judged"):
        evaluate.run()


def test_the_champion_judged_again_is_not_compared_with_itself(registered):
    before = the_verdict()
    evaluate.run()
    assert the_verdict() == before


def registry():
    config = load(RegisterConfig)
    mlflow.set_tracking_uri(config.tracking_url.get_secret_value())
    return config, mlflow.MlflowClient(*[config.tracking_url.get_secret_value()] * 2)


def champions_file():
    config, _ = registry()
    champion = versions.version_of_alias(config, versions.CHAMPION)
    return versions.fetch_model(config, champion)


def test_a_champion_whose_file_is_gone_stops_the_gate(challenged):
    path = champions_file()
    assert path.is_relative_to(challenged)
    shutil.rmtree(path.parent)
    with pytest.raises(RegistryRefused, match=r"version 1, but .* no longer holds it: restore"):
        evaluate.run()


def test_a_champion_whose_version_was_deleted_stops_the_gate(challenged):
    config, client = registry()
    client.delete_model_version(config.model_name, "1")
    told = r"says that version 1 .* holds 1 version\(s\) \[2\]: .* or the version deleted"
    with pytest.raises(RegistryRefused, match=told):
        evaluate.run()


def test_a_champion_whose_alias_was_deleted_is_judged_against_by_the_ledger(challenged, capsys):
    config, client = registry()
    client.delete_registered_model_alias(config.model_name, versions.CHAMPION)
    champion = versions.get_version(config, "1").digest
    evaluate.run()
    assert the_verdict().champion == champion
    assert "champion in sqlite:///" in (said := capsys.readouterr().err)
    assert "is not set; the ledger counts" in said


def test_a_champion_whose_file_changed_in_the_store_stops_the_gate(challenged):
    path = champions_file()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ArtifactTampered, match=r"version 1 has SHA-256 .* was registered"):
        evaluate.run()


def test_a_registry_that_cannot_be_asked_is_not_taken_for_one_without_a_champion(registered):
    database = Path(load(RegisterConfig).tracking_url.get_secret_value().removeprefix("sqlite:///"))
    moved = database.with_name("broken.db")
    moved.write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    project.configure("register", tracking_url=f"sqlite:///{moved}")
    with pytest.raises(ArtifactTampered, match=r"broken.db is no registry of 5,016 bytes"):
        evaluate.run()
    assert the_verdict().champion is None


@pytest.mark.parametrize(
    ("risk", "wrong"),
    [([0.0, 0.5, 1.0], 0), ([0.5, float("nan"), 0.1], 1), ([0.5, 1.2, -0.1], 2)],
)
def test_risks_that_are_no_probabilities_are_refused(risk, wrong):
    check = are_probabilities(np.array(risk))
    assert check.blocking
    assert check.passed is (wrong == 0)
    assert check.found == pytest.approx(wrong / 3)


def test_a_slice_on_few_days_has_no_veto():
    few = Difference(0.1, 0.05, 0.2, rows=500, days=RULE.min_days - 1)
    enough = Difference(0.1, 0.05, 0.2, rows=500, days=RULE.min_days)
    assert not holds_slice("champion", "storm", few, 500, RULE).blocking
    assert holds_slice("champion", "storm", enough, 500, RULE).blocking
