"""Behavioural tests: a model must pass cases with a known answer, whatever its accuracy.

Invariance: identifiers are names and must not move the risk. Direction: what makes an event worse
never lowers it. Minimum functionality: a calm morning is nearly safe, a stormy
evening is not. All tests run on the stored model, the one that would be served.
"""

import numpy as np
import pandas as pd

from pipeline.features.definitions import NUMERIC
from pipeline.registry.model import Model
from pipeline.shared.config.evaluate import Behaviour
from pipeline.shared.contracts import Check, Kind, at_least, at_most
from pipeline.shared.errors import ConfigError
from pipeline.usecase.chosen import USECASE

_IDENTIFIERS = USECASE.identifiers
"""Columns that only identify an event and must not matter."""


def behaviour(model: Model, frame: pd.DataFrame, rule: Behaviour) -> list[Check]:
    """Run every behavioural check on a sample of real events.

    Raises:
        ConfigError: a case sets an unknown input, so it would test nothing.
    """
    _require_known(rule)
    sample = frame.sample(min(rule.rows, len(frame)), random_state=rule.seed)
    risk = model.predict(sample)
    moved = {name: (by, 1) for name, by in rule.raises.items()}
    moved |= {name: (by, -1) for name, by in rule.lowers.items()}
    return [
        _invariance(model, sample, risk, rule),
        *(_direction(model, sample, risk, name, *how, rule) for name, how in moved.items()),
        *([_calm(model, sample, rule)] if rule.calm_morning else []),
        *([_storm(model, sample, rule)] if rule.stormy_evening else []),
    ]


def _require_known(rule: Behaviour) -> None:
    for case in ("raises", "lowers", "calm_morning", "stormy_evening"):
        if unknown := sorted(set(getattr(rule, case)) - set(NUMERIC)):
            raise ConfigError(
                f"configs/evaluate.yaml behaviour.{case} names {len(unknown)} unknown input(s) "
                f"{unknown}; the {len(NUMERIC)} known ones are NUMERIC in "
                "pipeline/features/definitions.py"
            )


def _invariance(model: Model, sample: pd.DataFrame, risk: np.ndarray, rule: Behaviour) -> Check:
    order = np.random.default_rng(rule.seed).permutation(len(sample))
    shuffled = sample.assign(**{name: sample[name].to_numpy()[order] for name in _IDENTIFIERS})
    moved = float(np.abs(model.predict(shuffled) - risk).max())
    return at_most(
        Kind.BEHAVIOUR,
        f"invariance: {USECASE.words.codes}",
        moved,
        rule.tolerance,
        f"largest move of {len(sample):,} risks when the codes are shuffled",
    )


def _direction(
    model: Model,
    sample: pd.DataFrame,
    risk: np.ndarray,
    name: str,
    by: float,
    sign: int,
    rule: Behaviour,
) -> Check:
    moved = model.predict(sample.assign(**{name: sample[name] + by})) - risk
    wrong = float((sign * moved < -rule.tolerance).mean())
    return at_most(
        Kind.BEHAVIOUR,
        f"direction: {name} {by:+g}",
        wrong,
        0.0,
        f"share of {len(sample):,} {USECASE.noun} whose risk "
        f"{'falls' if sign > 0 else 'rises'}; mean move {moved.mean():+.4f}",
    )


def _calm(model: Model, sample: pd.DataFrame, rule: Behaviour) -> Check:
    found = float(model.predict(sample.assign(**rule.calm_morning)).mean())
    name, detail = "minimum: calm morning", "mean risk, at most the limit"
    return at_most(Kind.BEHAVIOUR, name, found, rule.calm_morning_max, detail)


def _storm(model: Model, sample: pd.DataFrame, rule: Behaviour) -> Check:
    found = float(model.predict(sample.assign(**rule.stormy_evening)).mean())
    name, detail = "minimum: stormy evening", "mean risk, at least the limit"
    return at_least(Kind.BEHAVIOUR, name, found, rule.stormy_evening_min, detail)
