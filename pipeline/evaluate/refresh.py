"""The gate's rules for a refresh: the champion's recipe on newer days.

Two weeks of days can rarely show that a model beats one of four weeks ago, and an old model costs
more than a refresh that changes nothing. So a refresh must not be worse in the mean, nor
significantly worse by more than a margin. The refit that goes live learns from the evaluation days
too: it is another model than the evaluated one and must stay near it.
"""

import numpy as np

from pipeline.registry.versions import Version
from pipeline.shared.config.evaluate import RefreshRule, SliceRule
from pipeline.shared.contracts import Check, Kind, Training, at_most
from pipeline.shared.paired_difference import Difference
from pipeline.usecase.chosen import USECASE

NOT_WORSE, NOT_MUCH_WORSE = "not worse than champion", "surely not much worse than champion"
"""The mean difference of log loss and its upper bound, as the verdict names the two."""


def is_refresh(training: Training, champion: Version) -> bool:
    """Whether the challenger differs from the champion only in the training days."""
    same_recipe = champion.tags.get("recipe") == training.recipe
    return same_recipe and champion.tags.get("feature_service") == training.feature_service


def not_worse(found: Difference, rule: RefreshRule) -> list[Check]:
    """Overall against the champion: not worse in the mean; the upper bound within a margin."""
    limits = {
        NOT_WORSE: (found.point, rule.max_point),
        NOT_MUCH_WORSE: (found.high, rule.max_high),
    }
    words = found.of(USECASE.noun)
    return [
        at_most(Kind.CHAMPION, name, value, limit, words, found.estimate)
        for name, (value, limit) in limits.items()
    ]


def holds_refreshed_slice(
    name: str, found: Difference, positives: int, small: SliceRule, rule: RefreshRule
) -> Check:
    """On a slice against the champion: not significantly worse by more than the margin."""
    few = positives < small.min_positives or found.days < small.min_days
    words = USECASE.words
    detail = f"{found.of(words.events)}, {positives:,} {words.positive}"
    detail += " (too few for a veto)" if few else ""
    return Check(
        kind=Kind.CHAMPION_SLICE,
        name=f"{name} against champion",
        passed=found.low <= rule.max_slice_low,
        blocking=not few,
        found=found.low,
        limit=rule.max_slice_low,
        detail=detail,
        estimate=found.estimate,
    )


def report_baselines(checks: list[Check]) -> list[Check]:
    """Make comparisons with the baselines non-blocking: for a refresh they are only reported.

    A baseline that beats a refresh mostly beats the champion as well: refusing would keep the worse
    of the two. A person should know that the linear model is better now.
    """
    baselines = (Kind.BASELINE, Kind.BASELINE_SLICE)
    return [
        check.model_copy(update={"blocking": False}) if check.kind in baselines else check
        for check in checks
    ]


def stays_near(judged: np.ndarray, live: np.ndarray, limit: float) -> Check:
    """The refit against the evaluated model, on evaluation days that only the refit knows."""
    distance = float(np.abs(live - judged).mean())
    detail = f"mean distance of {len(live):,} risks from those of the judged model, at most"
    name = "refit stays near what was judged"
    return at_most(Kind.REFIT, name, round(distance, 6), limit, detail)
