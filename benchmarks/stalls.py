"""Stalls of real servers, drawn anew: how often each way to count slow requests stops equal arms.

The slow requests of recorded canaries of the champion against itself (`make measure
M=real-canaries`) are cut into blocks of BLOCK_MS, blocks are drawn with replacement, and in each
both arms change places by a coin: so the arms are equal, and what is slow together stays together.
"""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.rollout.analysis.sequential_tests import first_alarm, log_e_events
from pipeline.rollout.analysis.stalls import bad_events
from pipeline.shared.config.rollout import CanaryPlan

BLOCK_MS = 5_000
RUNS = 2_000
WAYS = {
    "each request": None,
    "in flight together": 0.0,
    **{f"{s:g} s": s for s in (0.1, 0.5, 1, 2)},
}
"""What is one event: a request, or all that began so soon after the first or before its end."""


def stalled(recorded: pd.DataFrame, plan: CanaryPlan) -> dict[str, Any]:
    """The share of drawn canaries that the guardrail of slow requests stops, by way of counting.

    `recorded` has a row per slow request: canary, began_ms, waited_ms, is_challenger.
    """
    blocks, per_canary = cut(recorded)
    chance = np.random.default_rng(0)
    found = {}
    for length, times in (("a replay's length", 1), ("ten times as long", 10)):
        stopped = dict.fromkeys(WAYS, 0)
        for _ in range(RUNS):
            began, waited, ours = drawn(blocks, per_canary * times, chance)
            for name, seconds in WAYS.items():
                stopped[name] += alarms(began, waited, ours, seconds, plan.guardrails.slow.alpha)
        found[length] = {name: round(count / RUNS, 4) for name, count in stopped.items()}
    return {
        "canaries": int(recorded["canary"].nunique()),
        "slow_requests": len(recorded),
        "runs": RUNS,
        "alpha": plan.guardrails.slow.alpha,
        "stopped": found,
        "next_has_the_same_sign": {name: repeats(recorded, s) for name, s in WAYS.items()},
    }


def cut(recorded: pd.DataFrame) -> tuple[list[np.ndarray], int]:
    """Blocks of (began, waited, is_challenger), empty ones too, and how many a canary has."""
    blocks = []
    for _, rows in recorded.groupby("canary"):
        number = rows["began_ms"] // BLOCK_MS
        by_block = {n: of.to_numpy() for n, of in rows.drop(columns="canary").groupby(number)}
        nothing = np.empty((0, 3), dtype="int32")
        blocks += [by_block.get(n, nothing) for n in range(number.min(), number.max() + 1)]
    return blocks, round(len(blocks) / recorded["canary"].nunique())


def drawn(
    blocks: list[np.ndarray], many: int, chance: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """So many blocks after one another: seconds of beginning and waiting, and whose each is."""
    parts = []
    for place, pick in enumerate(chance.integers(0, len(blocks), many)):
        block = blocks[pick].copy()
        block[:, 0] = block[:, 0] % BLOCK_MS + place * BLOCK_MS
        block[:, 2] ^= chance.integers(0, 2)
        parts.append(block)
    rows = np.concatenate(parts)
    return rows[:, 0] / 1000, rows[:, 1] / 1000, rows[:, 2].astype(bool)


def alarms(
    began: np.ndarray, waited: np.ndarray, ours: np.ndarray, seconds: float | None, alpha: float
) -> bool:
    """Whether the guardrail stops this canary."""
    log_e = log_e_events(signs(began, waited, ours, seconds) > 0)
    return first_alarm(log_e, alpha) is not None


def signs(
    began: np.ndarray, waited: np.ndarray, ours: np.ndarray, seconds: float | None
) -> np.ndarray:
    """1 for each event of the challenger's, -1 for each of the control's."""
    if seconds is None:
        return np.where(ours, 1, -1)
    last = np.append(began, np.inf)  # a request after all: every event is over
    everyone = np.append(ours, False)
    bad = np.append(np.ones(len(began), dtype=bool), False)
    found = bad_events(bad, last, last + np.append(waited, 0), everyone, seconds)
    return np.where(found.is_challenger, 1, -1)


def repeats(recorded: pd.DataFrame, seconds: float | None) -> dict[str, float]:
    """How often an event has the sign of the one before it: a half, if they share no cause."""
    same, pairs = 0, 0
    for _, rows in recorded.groupby("canary"):
        began, waited = rows["began_ms"].to_numpy() / 1000, rows["waited_ms"].to_numpy() / 1000
        found = signs(began, waited, rows["is_challenger"].to_numpy(dtype=bool), seconds)
        same, pairs = same + int((found[1:] == found[:-1]).sum()), pairs + max(len(found) - 1, 0)
    share = same / pairs
    return {
        "pairs": pairs,
        "share": round(share, 4),
        "error": round(float(np.sqrt(share * (1 - share) / pairs)), 4),
    }
