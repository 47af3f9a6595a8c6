"""The gate: compares the challenger with baselines and champion, and writes the verdict."""

from typing import Literal

import numpy as np
import pandas as pd

from pipeline.evaluate.behaviour import behaviour
from pipeline.evaluate.refresh import (
    holds_refreshed_slice,
    is_refresh,
    not_worse,
    report_baselines,
    stays_near,
)
from pipeline.evaluate.refusal import gate_refusal
from pipeline.evaluate.verdict_report import verdict_report
from pipeline.features.definitions import LABEL, REQUEST_KEY
from pipeline.features.feature_table import ROWS, read
from pipeline.registry import champions, runs, versions
from pipeline.registry.model import Model, predictions_hash
from pipeline.registry.model import load as load_model
from pipeline.shared import clock
from pipeline.shared.config.evaluate import Bootstrap, EvaluateConfig, RefreshRule, SliceRule
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import (
    COMPARISONS,
    EVALUATE,
    INGEST,
    SLICES,
    TRAIN,
    Check,
    Kind,
    Manifest,
    Training,
    Verdict,
    at_least,
    at_most,
    decide,
    read_record,
)
from pipeline.shared.errors import TooLittleData
from pipeline.shared.files import file_hash, text_hash, write_json, write_parquet, write_text
from pipeline.shared.paired_difference import Difference, difference
from pipeline.shared.scores import log_loss, roc_auc
from pipeline.usecase.chosen import USECASE

NAIVE = "hour_rate"
"""The file of the naive baseline; checks call it by the use case's word."""
VETO_ON_SLICES = ["champion", USECASE.words.naive]
"""Losing a slice to the champion or the naive baseline is a veto; to the linear one a report."""


def beats(other: str, found: Difference) -> Check:
    """Overall the challenger must be significantly better: the interval's upper bound below 0."""
    return Check(
        kind=Kind.CHAMPION if other == versions.CHAMPION else Kind.BASELINE,
        name=f"beats {other}",
        passed=found.high < 0,
        blocking=True,
        found=found.high,
        limit=0.0,
        detail=found.of(USECASE.noun),
        estimate=found.estimate,
    )


def holds_slice(other: str, name: str, found: Difference, positives: int, rule: SliceRule) -> Check:
    """Veto a slice that is worse by more than the veto's point and significantly worse than 0."""
    small = positives < rule.min_positives or found.days < rule.min_days
    words = USECASE.words
    detail = f"{found.of(words.events)}, {positives:,} {words.positive}"
    detail += " (too few for a veto)" if small else ""
    return Check(
        kind=Kind.CHAMPION_SLICE if other == versions.CHAMPION else Kind.BASELINE_SLICE,
        name=f"{name} against {other}",
        passed=not (found.point > rule.veto_point and found.low > 0),
        blocking=not small and other in VETO_ON_SLICES,
        found=found.point,
        limit=rule.veto_point,
        detail=detail,
        estimate=found.estimate,
    )


def compare_models(
    frame: pd.DataFrame,
    challenger: np.ndarray,
    others: dict[str, np.ndarray],
    rule: SliceRule,
    bootstrap: Bootstrap,
    refresh: RefreshRule | None = None,
) -> list[Check]:
    """Compare the challenger's losses with each other model's: overall, then slice by slice.

    With `refresh`, the champion has the same recipe and need not be significantly beaten.
    """
    labels = frame[LABEL].to_numpy()
    day = (frame["month"] * 100 + frame["day"]).to_numpy()
    loss = log_loss(labels, challenger)
    masks = USECASE.slices(frame, rule)
    checks = []
    for other, risk in others.items():
        worse_by = loss - log_loss(labels, risk)
        eased = refresh if other == "champion" else None
        overall = difference(worse_by, day, bootstrap)
        checks += [beats(other, overall)] if eased is None else not_worse(overall, eased)
        for name, mask in masks.items():
            found, late = difference(worse_by[mask], day[mask], bootstrap), int(labels[mask].sum())
            if eased is None:
                checks.append(holds_slice(other, name, found, late, rule))
            else:
                checks.append(holds_refreshed_slice(name, found, late, rule, eased))
    return checks if refresh is None else report_baselines(checks)


def are_probabilities(risk: np.ndarray) -> Check:
    """Every risk must be a number from 0 to 1; otherwise nothing can be compared."""
    wrong = float((~((risk >= 0) & (risk <= 1))).mean())
    detail = f"share of {len(risk):,} risks that are no number from 0 to 1"
    return at_most(Kind.EVIDENCE, "risks are probabilities", wrong, 0.0, detail)


def evidence_checks(
    config: EvaluateConfig, training: Training, champion: versions.Version | None, days: int
) -> list[Check]:
    """Check that the evidence is fresh, long enough, and held out from both models.

    Where the candidate equals the champion nothing is compared, and fewer days are enough.
    """
    again = champion is not None and champion.digest == training.candidate
    least = config.refresh.min_days if again else config.min_days
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    last = pd.Timestamp(training.window.split("..")[1]).tz_localize("UTC")
    age = (clock.arrived_at(manifest.as_of) - last) / pd.Timedelta(days=1)
    detail = f"days with {USECASE.noun}, at least the limit"
    checks = [
        at_least(Kind.EVIDENCE, "days judged", days, least, detail),
        Check(
            kind=Kind.EVIDENCE,
            name="age of the training data",
            passed=age <= config.max_data_age_days,
            blocking=True,
            found=round(age, 2),
            limit=config.max_data_age_days,
            detail=f"days from {last:%Y-%m-%d} to the newest arrival, at most the limit",
        ),
        _is_held_out("challenger", training.candidate_window, config),
    ]
    if champion is not None:
        checks.append(_is_held_out("champion", champion.tag("window"), config))
    return checks


def _is_held_out(name: str, trained_on: str, config: EvaluateConfig) -> Check:
    last = pd.Timestamp(trained_on.split("..")[1])
    ahead = (pd.Timestamp(config.window.first) - last) / pd.Timedelta(days=1)
    detail = f"days after its last training day, {last:%Y-%m-%d}"
    return at_least(Kind.EVIDENCE, f"window is new to the {name}", ahead, 1.0, detail)


def run() -> str:
    """Judge data/train/ on the window; write verdict.json, verdict.html and every prediction."""
    config, registry = load(EvaluateConfig), load(RegisterConfig)
    training = read_record(Training, TRAIN / "training.json", "train")
    champion = champions.current(registry)
    if champion is not None and champion.digest == training.digest:
        champion = None  # it became champion by this verdict, which is computed again
    models = _models(training, registry, champion)
    frame = read(config.window)
    if frame[LABEL].nunique() < 2:
        raise TooLittleData(
            f"all {len(frame):,} {USECASE.noun} from {config.window.first} to {config.window.last} "
            f"have the same label ({frame[LABEL].iloc[0]}): widen the window in "
            "configs/evaluate.yaml"
        )
    live = models.pop("live")
    risks = {name: model.predict(frame) for name, model in models.items()}
    scored = {name: risk.astype("float32") for name, risk in risks.items()}
    write_parquet(EVALUATE / "predictions.parquet", frame[REQUEST_KEY].assign(**scored))
    challenger = risks.pop("challenger")
    days = len(frame[["month", "day"]].drop_duplicates())
    valid = are_probabilities(challenger)
    checks = [*evidence_checks(config, training, champion, days), valid]
    kind = _kind(training, champion)
    if champion is not None and champion.digest == training.candidate:
        del risks["champion"]  # a comparison with itself says nothing
    if valid.passed:
        eased = config.refresh if kind == "refresh" else None
        checks += compare_models(frame, challenger, risks, config.slices, config.bootstrap, eased)
        if training.digest != training.candidate:
            checks.append(stays_near(challenger, live.predict(frame), config.max_refit_distance))
        checks += behaviour(live, frame, config.behaviour)
    verdict = Verdict(
        challenger=training.digest,
        judged=training.candidate,
        champion=champion.digest if champion else None,
        kind=kind,
        window=f"{config.window.first}..{config.window.last}",
        rows=len(frame),
        days=days,
        config_hash=text_hash(config.model_dump_json()),
        features_hash=file_hash(ROWS),
        predictions_hash=predictions_hash(challenger),
        checks=checks,
        passed=decide(checks),
    )
    if valid.passed:
        _write_figures(verdict, frame, challenger)
    write_text(EVALUATE / "verdict.html", verdict_report(verdict))
    write_json(EVALUATE / "verdict.json", verdict.model_dump())
    runs.note_verdict(registry, verdict)
    return _summary(verdict)


def _kind(
    training: Training, champion: versions.Version | None
) -> Literal["first", "change", "refresh"]:
    if champion is None:
        return "first"
    return "refresh" if is_refresh(training, champion) else "change"


def _models(
    training: Training, registry: RegisterConfig, champion: versions.Version | None
) -> dict[str, Model]:
    models = {
        "live": load_model(TRAIN / "model.onnx", training.digest),
        "challenger": load_model(TRAIN / "candidate.onnx", training.candidate),
    }
    if champion is not None:
        models["champion"] = load_model(versions.fetch_model(registry, champion), champion.digest)
    for name, digest in training.baselines.items():
        called = USECASE.words.naive if name == NAIVE else name
        models[called] = load_model(TRAIN / f"{name}.onnx", digest)
    return models


def _write_figures(verdict: Verdict, frame: pd.DataFrame, risk: np.ndarray) -> None:
    labels = frame[LABEL].to_numpy()
    blocking = [check for check in verdict.checks if check.blocking]
    overall = [check for check in blocking if check.kind in COMPARISONS]
    metrics = {
        "checks": len(blocking),
        "worst_slice": round(max([c.found for c in blocking if c.kind in SLICES] or [0.0]), 6),
        **{check.name.replace(" ", "_"): round(check.found, 6) for check in overall},
        "log_loss": round(float(log_loss(labels, risk).mean()), 6),
        "roc_auc": round(roc_auc(labels, risk), 6),
        "mean_risk": round(float(risk.mean()), 6),
        "late_share": round(float(labels.mean()), 6),
    }
    write_json(EVALUATE / "metrics.json", metrics)
    write_json(EVALUATE / "roc.json", _roc(labels, risk))
    write_json(EVALUATE / "calibration.json", _calibration(labels, risk))


def _roc(labels: np.ndarray, risk: np.ndarray) -> list[dict[str, float]]:
    order = np.argsort(-risk, kind="stable")
    late = np.cumsum(labels[order]) / labels.sum()
    on_time = np.cumsum(1 - labels[order]) / (len(labels) - labels.sum())
    points = np.linspace(0, len(labels) - 1, 101).astype(int)
    return [
        {"on_time_flagged": round(float(on_time[i]), 6), "late_flagged": round(float(late[i]), 6)}
        for i in points
    ]


def _calibration(labels: np.ndarray, risk: np.ndarray) -> list[dict[str, float]]:
    tenths = np.array_split(np.argsort(risk, kind="stable"), 10)
    return [
        {
            "mean_risk": round(float(risk[rows].mean()), 6),
            "late_share": round(float(labels[rows].mean()), 6),
        }
        for rows in tenths
    ]


def _summary(verdict: Verdict) -> str:
    if not verdict.passed:
        raise gate_refusal(verdict)
    against = f"champion {verdict.champion[:12]}" if verdict.champion else "no champion yet"
    return (
        f"passed {sum(c.blocking for c in verdict.checks)} checks on {verdict.rows:,} "
        f"{USECASE.noun} of {verdict.days} days, {against} -> {EVALUATE}/verdict.html"
    )
