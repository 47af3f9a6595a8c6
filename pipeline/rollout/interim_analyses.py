"""The interim analyses of a canary: when one is due, what it rests on, and its frozen reference."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.features.windows import DAY_MINUTES, NEVER, instant
from pipeline.records import analyses
from pipeline.records.rollout_ledger import WHOLE
from pipeline.registry.release_loader import load_release
from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.analysis.decision import Decision, Position, Start
from pipeline.rollout.controller import Controller
from pipeline.rollout.progress import when
from pipeline.rollout.state import Rollout
from pipeline.rollout.traffic.evidence import with_steps
from pipeline.shared.errors import ServersFailed

COLD, BASELINE, BLOCKS = 100, 200, 8
"""The champion's first COLD requests meet cold caches and are left out; the next BASELINE ones
freeze the limit of a slow response, as the median over BLOCKS of each block's slowest. A stall
slows all requests that wait together: a quantile over all of them once froze a limit seven times
too high, and a challenger that took ten times as long passed."""
_FIRST_ANALYSIS = 6
"""Requests of both arms before the first interim analysis."""
_ANALYSIS_MINUTES = 6 * 60
"""The longest pause between interim analyses, in the traffic's time, however few requests came."""


@dataclass
class Canary:
    """A canary in progress: its steps, each with the minute of its start, and its decisions."""

    controller: Controller
    start: Start
    steps: list[tuple[float, int]]
    decisions: list[tuple[int, dict[str, int], Decision]] = field(default_factory=list)
    analysed_at: int = NEVER
    analysed_requests: int = 0
    compared_requests: float = 0.0
    promoted: int | None = None
    """The minute of its promotion, if it resumes within its bake."""

    @property
    def rollout(self) -> Rollout:
        """The rollout, with its plan."""
        return self.controller.rollout

    @property
    def step(self) -> int:
        """The current step."""
        return self.steps[-1][1]

    @property
    def challenger_lives(self) -> bool:
        """Whether the challenger's server runs and has never died."""
        return self.controller.servers.starts("challenger") == 1

    def analysis_is_due(self, minute: int) -> bool:
        """Whether an interim analysis is due: enough new requests, enough time, or a dead server.

        Enough is a quarter more than before, up to the plan's number: gross faults show at once.
        """
        new, often = self._new(), self.rollout.plan.canary.look_every
        enough = new >= min(often, max(_FIRST_ANALYSIS, self.compared_requests / 4))
        waited = minute - self.analysed_at >= _ANALYSIS_MINUTES
        return enough or waited or not self.challenger_lives

    def _new(self) -> float:
        """The approximate number of requests of both arms since the last analysis."""
        both = 2 * self.rollout.plan.canary.steps[self.step].set_weight / 100
        return both * (len(self.controller.traffic.replies) - self.analysed_requests)

    def observations(self) -> pd.DataFrame:
        """The requests since the first step began, each with its step."""
        return with_steps(self.controller.reader.observations(), self.steps)

    def at(self, minute: int) -> Position:
        """The canary's position: step, days, and whether the challenger lives."""
        return Position(
            step=self.step,
            days=(minute - self.steps[0][0]) / DAY_MINUTES,
            days_at_step=(minute - self.steps[-1][0]) / DAY_MINUTES,
            alive=self.challenger_lives,
        )

    def analyse(self, minute: int) -> tuple[Decision, pd.DataFrame]:
        """Run an interim analysis; returns its decision and the requests it rests on."""
        observed = self.observations()
        decision = decide_canary(self.rollout.plan, self.start, observed, self.at(minute))
        self.compared_requests += self._new()
        self.analysed_at = minute
        self.analysed_requests = len(self.controller.traffic.replies)
        shares = shares_at(self.rollout, self.step)
        self.decisions.append((minute, shares, decision))
        self._append_to_analyses(minute, shares, decision)
        self.controller.progress.show(when(minute), shares, decision)
        return decision, observed

    def _append_to_analyses(self, minute: int, shares: dict[str, int], decision: Decision) -> None:
        """Append an interim analysis to the rollout's file, for readers beside the controller."""
        fields = decision.model_dump(mode="json", exclude={"slices"})
        at = instant(minute).to_pydatetime()
        analysis = analyses.Analysis(at=at, shares=shares, decision=fields)
        analyses.append(self.rollout.folder, analysis)


def shares_at(rollout: Rollout, step: int) -> dict[str, int]:
    """The shares at a step: the baseline ("control") gets as much as the challenger."""
    weight = rollout.plan.canary.steps[step].set_weight * WHOLE // 100
    return {"challenger": weight, "champion": WHOLE - 2 * weight, "control": weight}


def freeze_start(rollout: Rollout, observed: pd.DataFrame, logs: Path) -> Start:
    """Freeze the reference of a canary, from the champion's requests so far.

    Raises:
        ServersFailed: the champion itself fails, so nothing can be compared with it.
    """
    if failed := int((observed["code"] != 200).sum()):
        raise ServersFailed(
            f"{rollout.champion.label} failed {failed} of {len(observed)} requests before "
            f"the canary began, 0 are allowed; see {logs}/champion.log"
        )
    return Start(
        challenger=rollout.challenger.release[:12],
        control=rollout.champion.release[:12],
        slow_seconds=round(slow_limit(observed["seconds"].to_numpy()[COLD:]), 6),
        same_model=load_release(rollout.challenger.release).model.digest
        == load_release(rollout.champion.release).model.digest,
    )


def slow_limit(seconds: np.ndarray) -> float:
    """The seconds that about 3% of responses exceed, robust against a stall of some of them."""
    return float(np.median([block.max() for block in np.array_split(seconds, BLOCKS)]))
