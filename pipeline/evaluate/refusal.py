"""The gate's refusal: each failed check in words, and the next step that helps."""

from pipeline.shared.contracts import COMPARISONS, EVALUATE, Check, Verdict
from pipeline.shared.errors import GateRefused
from pipeline.usecase.chosen import USECASE

SHOWN = 5


def gate_refusal(verdict: Verdict) -> GateRefused:
    """The refusal of a verdict that has not passed."""
    blocking = [check for check in verdict.checks if check.blocking]
    failed = [check for check in blocking if not check.passed]
    lines = "".join(f"\n  {_sentence(check)}" for check in failed[:SHOWN])
    change = "change the training"
    if all(_is_uncertain(check) for check in failed):
        change = f"more {USECASE.noun} or days to judge on are the next step"
    return GateRefused(
        f"challenger {verdict.challenger[:12]} fails {len(failed)} of {len(blocking)} blocking "
        f"checks:{lines}\n  all of them: {EVALUATE}/verdict.html; {change}, then `make evaluate`"
    )


def _sentence(check: Check) -> str:
    """A failed check with its two numbers; of a comparison, its point and its interval too."""
    if not _is_judged_by_bound(check):
        return f"{check.name}: found {check.found:.4g}, limit {check.limit:.4g} ({check.detail})"
    words = (
        f"{check.name}: log loss {check.detail}: the interval's upper bound, {check.found:+.3g}, "
        f"must be below {check.limit:g}"
    )
    if _is_uncertain(check):
        return f"{words}; the point is, so there are too few rows to be sure"
    return words


def _is_judged_by_bound(check: Check) -> bool:
    of = check.estimate
    return check.kind in COMPARISONS and of is not None and check.found == of.high


def _is_uncertain(check: Check) -> bool:
    """Whether a comparison was lost by the width of its interval alone."""
    of = check.estimate
    return of is not None and _is_judged_by_bound(check) and of.point < check.limit
