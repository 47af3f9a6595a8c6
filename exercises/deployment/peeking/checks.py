"""The checks of the limits of interim analyses."""

import numpy as np
from scipy.stats import norm

from exercises.workbench.checking import check, expect, holds

LOOKS = (7, 14, 21, 28)


def _false_decisions(limits: list[float], looks: tuple[int, ...]) -> float:
    """The share of shadows of equal models that some look decides, by simulation."""
    rng = np.random.default_rng(28)
    paths = np.cumsum(rng.standard_normal((40_000, looks[-1])), axis=1)
    p = norm.sf(paths[:, np.array(looks) - 1] / np.sqrt(np.array(looks)))
    return float((p < np.array(limits)).any(axis=1).mean())


@check(2)
def test_one_look_has_all_of_alpha(subject):
    """Nothing is saved for a second one."""
    expect(subject.limits((28,), 0.05), [0.05], tolerance=1e-6)


@check(3)
def test_an_early_look_spends_next_to_nothing(subject):
    """After a week of four: as O'Brien and Fleming have it."""
    seen = subject.limits(LOOKS, 0.05)
    everything = "a look that spends all of alpha leaves none for the others"
    why = everything if seen[0] > 0.03 else "too much for a fourth of the data"
    holds(seen[0] < 0.002, "a first limit below 0.002", f"{seen[0]:.4f}", why)


@check(4)
def test_all_looks_together_spend_alpha(subject):
    """Of 40,000 shadows of equal models, some 5 in 100 are decided, not one in eight."""
    seen = _false_decisions(subject.limits(LOOKS, 0.05), LOOKS)
    why = "each look is a chance to be wrong, and they add up"
    holds(0.045 < seen < 0.055, "0.05 of the shadows", f"{seen:.3f}", why)


@check(2)
def test_the_last_look_keeps_most_of_alpha(subject):
    """The one with all the data."""
    seen = subject.limits(LOOKS, 0.05)
    holds(0.035 < seen[-1] < 0.05, "a last limit near 0.043", f"{seen[-1]:.4f}")


@check(2, hidden=True)
def test_other_plans_spend_their_alpha_too(subject):
    """Two looks at other days, and another alpha."""
    seen = _false_decisions(subject.limits((5, 28), 0.025), (5, 28))
    holds(0.021 < seen < 0.029, "0.025 of the shadows", f"{seen:.4f}")
