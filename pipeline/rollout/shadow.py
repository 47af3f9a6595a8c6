"""The shadow: the challenger gets a copy of every request, and no user gets its response.

The proxy mirrors a day of traffic, which shows at once if the challenger fails, is slow or predicts
something else. Its log loss takes weeks of labels: the days after the first are scored in a batch,
from the offline join that the mirrored day was compared with.
"""

import numpy as np
import pandas as pd

from pipeline.features.definitions import LABEL, NAME
from pipeline.features.windows import DAY_MINUTES, ZONE
from pipeline.rollout.analysis import shadow as analysis
from pipeline.rollout.analysis.decision import Decision
from pipeline.rollout.controller import (
    Controller,
    LiveTraffic,
    Transitions,
    challenger_risks,
    expected_risks,
    open_controller,
)
from pipeline.rollout.progress import when
from pipeline.rollout.state import (
    ALL_CHAMPION,
    NO_INJECTION,
    Injection,
    Rollout,
    begin,
    hold_rollout,
)
from pipeline.rollout.traffic import envoy
from pipeline.rollout.traffic.evidence import Evidence
from pipeline.rollout.traffic.live_traffic import Source, Traffic
from pipeline.rollout.traffic.routes import KNOWN_ARMS
from pipeline.shared.callers import SHADOW
from pipeline.shared.errors import NotPromoted, RolledBack
from pipeline.shared.scores import log_loss
from pipeline.usecase.chosen import USECASE

_MATURE = DAY_MINUTES + 10 * 60
"""A day's labels are complete at 10:00 of the next, UTC."""


def run_shadow(
    source: Source,
    injection: Injection = NO_INJECTION,
    force: bool = False,
    only_serving: bool = False,
) -> str:
    """Mirror the traffic to the challenger, compare at once, and judge its loss as labels mature.

    `only_serving` stops after the first day: for a refresh, whose loss the gate has just judged on
    newer days than a shadow could wait for.

    Raises:
        RolledBack: it fails where the champion does not, predicts otherwise than its model, or its
            log loss is significantly worse by more than the plan's margin.
        NotPromoted: four weeks show neither.
        RolloutRefused: another rollout is in progress, or this challenger was rolled back before.
    """
    with hold_rollout():
        rollout, known = begin("shadow", injection, force)
        arms = {"champion": rollout.champion, "challenger": rollout.challenger}
        days = 1 if only_serving else max(rollout.plan.shadow.looks)
        with open_controller(rollout, days, arms, known, source, mirrored=True) as controller:
            at = controller.traffic.ahead.at
            minute = int(at[0]) if len(at) else 0
            if not known:
                controller.transitions.make("shadow", minute, ALL_CHAMPION, mirrored=True)
            pairs = _mirror_day(controller)
            return _judge(controller, pairs, only_serving)


def _mirror_day(controller: Controller) -> pd.DataFrame:
    """Mirror the first day; returns each request with the champion's and challenger's response."""
    evidence = controller.reader.evidence
    first = evidence.traffic.at[0]
    for minute in controller.traffic.send():
        if minute - first >= DAY_MINUTES:
            break
    observed = controller.reader.observations()
    answers = evidence.predictions()
    theirs = _first_rows(answers[answers["arm"] == SHADOW])
    theirs = theirs[["request_id", "risk", "seconds", "release"]].add_prefix("challenger_")
    ours = _first_rows(answers[answers["arm"].isin(KNOWN_ARMS)])
    timed = ours[["request_id", "seconds"]].rename(columns={"seconds": "champion_seconds"})
    pairs = observed.drop(columns="seconds").merge(timed, "left", "request_id")
    pairs = pairs.merge(theirs, "left", left_on="request_id", right_on="challenger_request_id")
    pairs = pairs.rename(columns={"code": "champion_code", "risk": "champion_risk"})
    failed = envoy.failed_requests(controller.servers.spec.ports, SHADOW)
    return pairs.assign(challenger_code=copy_codes(pairs, failed))


def copy_codes(pairs: pd.DataFrame, failed: int) -> np.ndarray:
    """The HTTP code of each copy's response, which the proxy discards and only counts.

    A logged copy has 200. Of the others `failed` have 0, first those that the champion failed too;
    the rest is missing evidence, NaN, since a response may be lost on its way into the log.
    """
    logged = pairs["challenger_risk"].notna().to_numpy()
    lacking = np.flatnonzero(~logged)
    fine = pairs["champion_code"].to_numpy()[lacking] == 200
    codes = np.where(logged, 200.0, np.nan)
    codes[lacking[np.argsort(fine, kind="stable")][:failed]] = 0
    return codes


def _first_rows(answers: pd.DataFrame) -> pd.DataFrame:
    """One row a request: the first of a batch."""
    return answers[answers["row"] == 0].drop_duplicates("request_id")


def _judge(controller: Controller, pairs: pd.DataFrame, only_serving: bool) -> str:
    rollout, transitions = controller.rollout, controller.transitions
    evidence = controller.reader.evidence
    _require_logged(transitions, pairs)
    compared = analysis.compare_pairs(rollout.plan, pairs.dropna(subset=["challenger_code"]))
    controller.progress.say(_summary(compared))
    unlike = _count_mismatches(rollout, evidence, pairs)
    if compared.fails_more or unlike > rollout.plan.canary.breakers.parity_allowed:
        return _stop(transitions, controller.traffic, compared, unlike, pairs)
    if only_serving:
        return _conclude_serving(transitions, compared, pairs)
    days = daily_loss(rollout, evidence.traffic)
    decision = analysis.decide_shadow(rollout.plan, days, _is_refresh(rollout))
    return _conclude(transitions, int(evidence.traffic.at[0]), days, decision)


def _summary(compared: analysis.ShadowComparison) -> str:
    ours, theirs = compared.seconds or ([], [])
    medians = f"{1000 * ours[0]:.1f} and {1000 * theirs[0]:.1f} ms" if ours else "unknown"
    return (
        f"{compared.pairs:,} pairs, failed alone {compared.failed_alone[0]} and "
        f"{compared.failed_alone[1]}, medians {medians}, slower in {compared.slower_blocks[0]} and "
        f"{compared.slower_blocks[1]} blocks of time (p {compared.p_slower:.2g}), equal risks "
        f"{compared.equal if compared.equal is not None else 0:.1%}, mean difference "
        f"{compared.moved_mean or 0:.4f}, largest distance of the distributions "
        f"{compared.ks or 0:.3f} (challenger, champion)"
    )


def _count_mismatches(rollout: Rollout, evidence: Evidence, pairs: pd.DataFrame) -> int:
    """Count the challenger's rows that differ from its model's risks on the offline features."""
    traffic, answers = evidence.traffic, evidence.predictions()
    risk = evidence.expected_risks[rollout.challenger.release[:12]]
    if rollout.injection.of_the_model:
        risk = challenger_risks(rollout, traffic)
    right = pd.Series(risk, index=traffic.events["name"])
    mirrored = answers["request_id"].isin(set(pairs["request_id"]))
    rows = answers[(answers["arm"] == SHADOW) & mirrored].drop_duplicates(["request_id", "row"])
    apart = (rows["risk"] - rows[NAME].map(right)).abs()
    return int((apart > rollout.plan.canary.breakers.parity_tolerance).sum())


def _stop(
    transitions: Transitions,
    traffic: LiveTraffic,
    compared: analysis.ShadowComparison,
    unlike: int,
    pairs: pd.DataFrame,
) -> str:
    rollout = transitions.rollout
    transitions.make("shadow failed", int(pairs["minute"].max()), ALL_CHAMPION)
    fails = f"failed alone {compared.failed_alone[0]} of {compared.pairs:,} times, the champion "
    raise RolledBack(
        f"{rollout.name}: {rollout.challenger.label} on its first day: {fails}"
        f"{compared.failed_alone[1]} (p {compared.p_fails_more:.2g}, limit "
        f"{rollout.plan.shadow.errors_alpha:g}); {unlike} answers unlike the recomputed ones, "
        f"allowed {rollout.plan.canary.breakers.parity_allowed}; users saw {traffic.failures} "
        f"failures of {len(traffic.replies):,}; repair it, then `make shadow`"
    )


def _require_logged(transitions: Transitions, pairs: pd.DataFrame) -> None:
    """Hold a challenger with too many responses that are neither logged nor known to have failed.

    Raises:
        NotPromoted: there are more than the plan allows.
    """
    rollout = transitions.rollout
    rule = rollout.plan.canary.unlogged
    lost = int(pairs["challenger_code"].isna().sum())
    if lost <= max(rule.fewest, rule.share * len(pairs)):
        return
    transitions.make("shadow held", int(pairs["minute"].max()), ALL_CHAMPION)
    raise NotPromoted(
        f"{rollout.name}: {lost} of {len(pairs):,} answers of {rollout.challenger.label} did not "
        f"fail and are not in the servers' log, allowed are {rule.fewest}, or {rule.share:.0%}: "
        f"the evidence is missing; see {transitions.servers.folder}/challenger.log, "
        "then `make shadow`"
    )


def _conclude_serving(
    transitions: Transitions, compared: analysis.ShadowComparison, pairs: pd.DataFrame
) -> str:
    """Pass the challenger on a day's requests, without labels.

    Raises:
        NotPromoted: the day had too few requests.
    """
    rollout, minute = transitions.rollout, int(pairs["minute"].max())
    event = "shadow passed" if compared.enough else "shadow held"
    transitions.make(event, minute, ALL_CHAMPION, decision={"serving": compared.model_dump()})
    words = (
        f"{rollout.name}: {rollout.challenger.label} answered {compared.both_answered:,} of "
        f"{compared.pairs:,} mirrored requests as its model does, wanted are "
        f"{rollout.plan.shadow.min_pairs}; failed alone {compared.failed_alone[0]}"
    )
    if not compared.enough:
        raise NotPromoted(f"{words}; run `make shadow` on a busier day")
    return f"{words}; its loss was the gate's to judge: may go to `make canary`"


def daily_loss(rollout: Rollout, traffic: Traffic) -> pd.DataFrame:
    """For each day the number of rows and the challenger's excess mean log loss."""
    asked = traffic.events
    labels = asked[LABEL].to_numpy()
    ours = log_loss(labels, challenger_risks(rollout, traffic))
    theirs = log_loss(labels, expected_risks(rollout, traffic)[rollout.champion.release[:12]])
    date = asked[USECASE.events.instant].dt.tz_convert(ZONE).dt.strftime("%Y-%m-%d")
    worse = pd.DataFrame({"date": date, "worse_by": ours - theirs, "champion": theirs})
    found = worse.groupby("date")
    means = found[["worse_by", "champion"]].mean()
    return means.assign(rows=found.size()).reset_index()


def _is_refresh(rollout: Rollout) -> bool:
    """Whether the challenger has the champion's features; else a stricter margin applies."""
    return rollout.champion.features == rollout.challenger.features


def _conclude(transitions: Transitions, first: int, days: pd.DataFrame, decision: Decision) -> str:
    """Pass, hold or fail the challenger by the labels of the days from minute `first` on."""
    rollout, last = transitions.rollout, decision.metrics[0].seen
    minute = first // DAY_MINUTES * DAY_MINUTES + (last - 1) * DAY_MINUTES + _MATURE
    kept = rollout.save_evidence(days, decision)
    event = {"advance": "shadow passed", "rollback": "shadow failed"}.get(
        decision.outcome, "shadow held"
    )
    transitions.make(event, minute, ALL_CHAMPION, **kept)
    words = (
        f"{rollout.title}: {rollout.challenger.label}, {last} days with labels, "
        f"{int(days['rows'][:last].sum()):,} {USECASE.noun}: {'; '.join(decision.reasons)}"
    )
    if event == "shadow failed":
        raise RolledBack(
            f"{words}; it answered nobody -> {rollout.folder}/; `make champion` trains another"
        )
    if event == "shadow held":
        raise NotPromoted(f"{words}; a person looks -> {rollout.folder}/, or `make canary`")
    return f"{words}; {when(minute)}: may go to `make canary` -> {rollout.folder}/"
