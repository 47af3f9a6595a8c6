"""A verdict's checks, made by the gate's own functions from differences of a fixed seed."""

import json

import numpy as np

from pipeline.evaluate.gate import are_probabilities, beats, holds_slice
from pipeline.flights.slices import FlightSlices
from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.contracts import Check, decide
from pipeline.shared.paired_difference import difference

RULE = FlightSlices(
    hour_bands=[0, 9, 17],
    named_carriers=["UA", "HA"],
    storm_share=0.5,
    min_positives=50,
    min_days=5,
    veto_point=0.01,
)
BOOTSTRAP = Bootstrap(draws=1000, seed=0, confidence=0.95)


def _difference(mean: float, days: int, flights: int, seed: int):
    rng = np.random.default_rng(seed)
    daily = np.repeat(rng.normal(mean, 0.01, days), flights)
    noise = rng.normal(0, 0.1, days * flights)
    return difference(daily + noise, np.repeat(np.arange(days), flights), BOOTSTRAP)


def checks() -> list[Check]:
    """Better overall, worse on evenings, far worse on a carrier with hardly a late flight."""
    return [
        are_probabilities(np.full(28_000, 0.2)),
        beats("champion", _difference(-0.009, 30, 900, 1)),
        beats("hour_rate", _difference(-0.05, 30, 900, 2)),
        holds_slice("champion", "hour 17-23", _difference(0.021, 30, 250, 3), 1_900, RULE),
        holds_slice("champion", "carrier HA", _difference(0.06, 30, 1, 4), 4, RULE),
        holds_slice("champion", "origin JFK", _difference(0.006, 30, 300, 5), 2_100, RULE),
        holds_slice("logistic", "storm", _difference(0.03, 8, 300, 6), 900, RULE),
    ]


def passed() -> bool:
    """The gate's own decision."""
    return decide(checks())


def files() -> dict[str, str]:
    """The checks as a person gets them: without what the gate says of each."""
    shown = [one.model_dump(mode="json", exclude={"passed"}) for one in checks()]
    return {"evidence/verdict.json": json.dumps(shown, indent=1) + "\n"}
