"""The predictions that users got in the replay: each by the release that the ledger says served.

Only part of the traffic goes over HTTP. All predictions are computed from the same rows by the same
release, event by event; within a canary Envoy's own hash of the event's name picks the arm.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.features.definitions import KNOWN_AT, NAME, NUMERIC
from pipeline.monitor.predictions import RISK, days_of, events_of_window
from pipeline.records.rollout_ledger import WHOLE, Entry, Move, Side
from pipeline.registry.release_loader import load_release
from pipeline.rollout.traffic.routes import Route, arm_of
from pipeline.shared.config.sections import Window
from pipeline.usecase.chosen import USECASE

_SCHEDULE = [*USECASE.monitored.schedule, "predict_at"]


@dataclass
class ReplayedYear:
    """The events of a window ordered by T, with features as known at T, and their outcomes."""

    frame: pd.DataFrame
    day: np.ndarray
    base: pd.DataFrame
    _risk: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, window: Window) -> "ReplayedYear":
        """Load the year's events within a window; computed once, then cached in state/."""
        frame = events_of_window(window)
        base = frame[[*_SCHEDULE, *KNOWN_AT, *NUMERIC]].assign(
            **{NAME: frame["name"]}, request_id="batch/" + frame["name"], source="batch"
        )
        return cls(frame, days_of(frame["name"]), base)

    def risk(self, release: str) -> np.ndarray:
        """A release's risk for every event."""
        if release not in self._risk:
            self._risk[release] = load_release(release).model.predict(self.frame)
        return self._risk[release]

    def between(self, first: str, last: str) -> np.ndarray:
        """A mask of the events from the first to the last day, both included."""
        return np.asarray((self.day >= first) & (self.day <= last))

    def predict(self, side: Side, chosen: np.ndarray) -> pd.DataFrame:
        """One release's predictions for the chosen events."""
        return self.base[chosen].assign(
            version=side.version, release=side.release, risk=self.risk(side.release)[chosen]
        )

    def predictions(self, known: list[Entry], chosen: np.ndarray) -> pd.DataFrame:
        """The predictions served for the chosen events; none before the first release."""
        parts = []
        at = self.frame["predict_at"]
        for move, until in _periods(known):
            served = chosen & (at > pd.Timestamp(move.at)).to_numpy()
            if until is not None:
                served &= (at <= pd.Timestamp(until.at)).to_numpy()
            parts += [self.predict(side, part) for side, part in self._sides(move, served)]
        nobody = self.base[:0].assign(version="", release="", risk=0.0)
        whole = pd.concat([part for part in parts if len(part)] or [nobody])
        return whole.sort_values(["predict_at", NAME], ignore_index=True)

    def _sides(self, move: Move, served: np.ndarray) -> Iterator[tuple[Side, np.ndarray]]:
        """The sides that serve after a move, each with the mask of its events."""
        whole = [arm for arm, share in move.shares.items() if share == WHOLE]
        if whole or not served.any():
            yield _side(move, whole[0] if whole else "champion"), served
            return
        route = Route({str(arm): share for arm, share in move.shares.items()}, move.salt)
        arm = np.array([arm_of(name, route) for name in self.base.loc[served, NAME]])
        for name in ("champion", "control", "challenger"):
            part = served.copy()
            part[served] = arm == name
            yield _side(move, name), part


def _side(move: Move, arm: str) -> Side:
    side = move.challenger if arm == "challenger" else move.champion
    assert side is not None, f"{move.event} gives traffic to a challenger that it does not name"
    return side


def _periods(known: list[Entry]) -> Iterator[tuple[Move, Move | None]]:
    """Every move with the next one, which ends its period."""
    moves = [entry.move for entry in known]
    return zip(moves, [*moves[1:], None], strict=True)


def serves_all(known: list[Entry]) -> tuple[Side, str]:
    """The side that serves all traffic now, and the first whole day of it (local).

    During a rollout it is the side that served before.
    """
    side, since = known[0].move.champion, known[0].move.at
    for entry in known:
        whole = [arm for arm, share in entry.move.shares.items() if share == WHOLE]
        if whole and _side(entry.move, whole[0]).release != side.release:
            side, since = _side(entry.move, whole[0]), entry.move.at
    local = pd.Timestamp(since).tz_convert(USECASE.zone)
    return side, f"{local + pd.Timedelta(days=1):%Y-%m-%d}"


def month_of(rows: pd.DataFrame) -> pd.Series:
    """The month in each event's name."""
    return rows[NAME].str.slice(0, 7)


__all__ = ["RISK", "ReplayedYear", "month_of", "serves_all"]
