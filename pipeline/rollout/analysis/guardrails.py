"""Guardrails: the evidence per metric over the requests of challenger and baseline."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.features.definitions import NAME
from pipeline.rollout.analysis.decision import (
    ArmSummary,
    MetricResult,
    SliceRates,
    Start,
    round_digits,
)
from pipeline.rollout.analysis.sequential_tests import (
    first_alarm,
    log_e_events,
    log_e_ratio,
    mean_interval,
    mean_process,
    p_anytime,
    ratio_interval,
    share_interval,
)
from pipeline.rollout.analysis.stalls import bad_events
from pipeline.rollout.traffic.resources import RESOURCE_COLUMNS
from pipeline.shared.config.rollout import CanaryPlan, Guardrail, Guardrails

COMPARED_ARMS = ("challenger", "control")
"""The compared arms, the baseline under its stored name; testers and other traffic are in none."""
RATES = tuple(Guardrails.model_fields)


@dataclass(frozen=True)
class Requests:
    """The compared requests in the order of their start, one an event, as arrays.

    `start` and `end` are instants in seconds (equal where the duration is unknown); for each rate
    `bad` marks the bad requests and `known` those it was measured for; `risk` is NaN without a
    prediction. A response that is not `is_logged` is missing evidence. `resources` are the server's
    use of the machine by the request's end, where it was read.
    """

    is_challenger: np.ndarray
    start: np.ndarray
    end: np.ndarray
    step: np.ndarray
    is_answered: np.ndarray
    is_logged: np.ndarray
    risk: np.ndarray
    parity: np.ndarray
    bad: dict[str, np.ndarray]
    known: dict[str, np.ndarray]
    groups: dict[str, np.ndarray]
    switched_names: int
    resources: dict[str, np.ndarray] = field(default_factory=dict)

    def per_arm(self, which: np.ndarray) -> tuple[int, int]:
        """Count the challenger's and the baseline's among some requests."""
        ours = int(np.count_nonzero(which & self.is_challenger))
        return ours, int(np.count_nonzero(which)) - ours


def compared_requests(observed: pd.DataFrame, start: Start, plan: CanaryPlan) -> Requests:
    """Select the requests to compare: of the two arms, the first of each event.

    A retry repeats the same event: counted twice, one bad one would be two events.
    """
    mine = observed[observed["arm"].isin(COMPARED_ARMS)].sort_values("at", kind="stable")
    rows = mine[~mine[NAME].duplicated()]
    switched = len(mine) and int(mine.groupby(NAME, sort=False)["arm"].nunique().gt(1).sum())
    is_challenger = (rows["arm"] == "challenger").to_numpy(dtype=bool)
    code = rows["code"].to_numpy(dtype="int64")
    answered = (code >= 200) & (code < 300)
    bad, known = _rates(rows, is_challenger, answered, start)
    began = rows["at"].to_numpy(dtype="float64")
    return Requests(
        is_challenger,
        began,
        began + np.nan_to_num(rows["seconds"].to_numpy(dtype="float64")),
        rows["step"].to_numpy(dtype="int64"),
        answered,
        _is_logged(rows),
        np.where(answered, rows["risk"].to_numpy(dtype="float64"), np.nan),
        rows["parity"].to_numpy(dtype="float64"),
        bad,
        known,
        {name: rows[name].to_numpy() for name in plan.slices},
        switched,
        {name: rows[name].to_numpy(dtype="float64") for name in RESOURCE_COLUMNS if name in rows},
    )


def _is_logged(rows: pd.DataFrame) -> np.ndarray:
    """Whether each request is in the servers' log; older evidence lacks the column."""
    if "logged" not in rows:
        return np.ones(len(rows), dtype=bool)
    return rows["logged"].to_numpy(dtype=bool)


def _rates(
    rows: pd.DataFrame, is_challenger: np.ndarray, answered: np.ndarray, start: Start
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Per guardrail, the bad requests and the measured ones."""
    seconds = rows["seconds"].to_numpy(dtype="float64")
    timed = ~np.isnan(seconds)
    expected = np.where(is_challenger, start.challenger, start.control)
    other = rows["release"].to_numpy(dtype=object) != expected
    flags, logged = {name: rows[name] for name in ("missing", "stale")}, answered & _is_logged(rows)
    bad = {
        "errors": ~answered,
        # A request without a measured time does not count as fast.
        "slow": ~(seconds <= start.slow_seconds),
        **{name: answered & flag.isin([True]).to_numpy() for name, flag in flags.items()},
        "fallback": answered & other,
    }
    known = {
        "errors": np.ones(len(rows), dtype=bool),
        "slow": timed,
        **{name: logged & flag.notna().to_numpy() for name, flag in flags.items()},
        "fallback": answered,
    }
    return bad, known


def rate(requests: Requests, name: str, rule: Guardrail, step: int, least: int) -> MetricResult:
    """A rate's evidence: whether more of the events are the challenger's than its share."""
    bad, known = requests.bad[name], requests.known[name]
    found = bad_events(
        bad,
        requests.start,
        requests.end,
        requests.is_challenger,
        rule.stall_seconds,
        rule.max_ratio,
    )
    log_e = log_e_events(found.is_challenger, rule.max_ratio / (1 + rule.max_ratio))
    counted, failed = requests.per_arm(known | bad), requests.per_arm(bad)
    low, high = share_interval(*found.counts(), rule.alpha)
    return _metric(
        requests,
        name,
        log_e,
        found.over - 1,
        rule.alpha,
        direction="more is worse",
        unit="share of the events that are the challenger's",
        challenger=ArmSummary(of=counted[0], bad=failed[0]),
        control=ArmSummary(of=counted[1], bad=failed[1]),
        events=found.counts(),
        estimate=round_digits(found.counts()[0] / len(log_e)) if len(log_e) else None,
        low=low,
        high=high,
        required=rule.required,
        seen=_smaller_arm(requests, known, step),
        least=least,
    )


def sample_ratio(requests: Requests, plan: CanaryPlan, step: int, least: int) -> MetricResult:
    """Whether both arms got equal parts of the requests; if not, more than the model differs."""
    rule, everyone = plan.sample_ratio, np.ones(len(requests.step), dtype=bool)
    ours = np.cumsum(requests.is_challenger)
    log_e = log_e_ratio(ours, np.cumsum(~requests.is_challenger), rule.concentration)
    counted = requests.per_arm(everyone)
    low, high = ratio_interval(*counted, rule.concentration, rule.alpha)
    return _metric(
        requests,
        "sample_ratio",
        log_e,
        np.arange(len(everyone)),
        rule.alpha,
        direction="both ways",
        unit="share of the requests that are the challenger's",
        challenger=ArmSummary(of=counted[0]),
        control=ArmSummary(of=counted[1]),
        estimate=round_digits(counted[0] / sum(counted)) if sum(counted) else None,
        low=low,
        high=high,
        required=True,
        seen=_smaller_arm(requests, everyone, step),
        least=least,
    )


def score(
    requests: Requests, plan: CanaryPlan, same_model: bool, step: int, least: int
) -> MetricResult:
    """The mean risks of both arms: evidence where the model is the same, else reported only."""
    rule = plan.score
    rows = np.flatnonzero(np.isfinite(requests.risk))
    risk, mine = requests.risk[rows], requests.is_challenger[rows]
    ours, theirs = risk[mine], risk[~mine]
    log_e = mean_process(risk, mine, rule.alpha, rule.sharpest_at, rule.min_requests)
    both = len(ours) > 0 and len(theirs) > 0
    ends = mean_interval(ours, theirs, rule.alpha, rule.sharpest_at) if both else None
    return _metric(
        requests,
        "score",
        log_e,
        rows,
        rule.alpha if same_model else 0.0,
        direction="both ways",
        unit="mean risk, challenger less control",
        challenger=ArmSummary(of=len(ours), mean=round_digits(ours.mean()) if len(ours) else None),
        control=ArmSummary(
            of=len(theirs), mean=round_digits(theirs.mean()) if len(theirs) else None
        ),
        estimate=round_digits(ours.mean() - theirs.mean()) if both else None,
        low=round_digits(ends[0]) if ends else None,
        high=round_digits(ends[1]) if ends else None,
        required=same_model,
        seen=_smaller_arm(requests, np.isfinite(requests.risk), step),
        least=least,
    )


def _smaller_arm(requests: Requests, known: np.ndarray, step: int) -> int:
    return min(requests.per_arm(known & (requests.step == step)))


def _metric(
    requests: Requests,
    name: str,
    log_e: np.ndarray,
    rows: np.ndarray,
    alpha: float,
    *,
    seen: int,
    least: int,
    **fields: object,
) -> MetricResult:
    """A metric with its p and its alarm; `rows` are the requests behind each value of `log_e`."""
    first = first_alarm(log_e, alpha) if alpha else None
    until = None if first is None else int(requests.is_challenger[: rows[first] + 1].sum())
    return MetricResult.model_validate(
        {
            "name": name,
            "p": round_digits(p_anytime(log_e)) if alpha else None,
            "alpha": alpha,
            "alarmed": first is not None,
            "alarmed_at": until,
            "seen": seen,
            "enough": seen >= least,
            **fields,
        }
    )


def slice_rates(requests: Requests) -> list[SliceRates]:
    """Bad requests of each arm in each slice of events: reported, never decisive."""
    found = []
    for column, groups in requests.groups.items():
        names, number = np.unique(groups.astype(str), return_inverse=True)
        cell, cells = 2 * number + ~requests.is_challenger, 2 * len(names)
        size = np.bincount(cell, minlength=cells)
        bad = {
            rate: np.bincount(cell[of], minlength=cells).tolist()
            for rate, of in requests.bad.items()
        }
        found += [
            SliceRates(
                name=f"{column} {name}",
                challenger=int(size[2 * i]),
                control=int(size[2 * i + 1]),
                bad={rate: (of[2 * i], of[2 * i + 1]) for rate, of in bad.items()},
            )
            for i, name in enumerate(names)
        ]
    return found
