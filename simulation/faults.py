"""Faults injected into a challenger's server on purpose, for demonstrations and drills.

The server itself knows nothing of them: its predictor is wrapped when it starts. Every result of
such a server is marked as injected, in the ledger too.
"""

import hashlib
import os
import random
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import (
    ALWAYS_THERE,
    FEATURES,
    LABEL,
    PROXY,
    ROLLING,
    STATES,
    matrix,
)
from pipeline.registry.release_loader import LoadedRelease
from pipeline.rollout.state import Injection
from pipeline.serve.predictor import PredictedRisks, Predictor, SupportsPredict, one_hot
from pipeline.shared.errors import ConfigError
from pipeline.usecase.chosen import USECASE

SLOW_SECONDS = 0.1
"""A slow server's delay per response: several times the normal one, on a busy machine too."""
FAILING_SHARE = 0.2
CRASH_AFTER = 30
"""Requests that a crashing server serves before it dies."""
BIAS = 0.25
"""A biased model's error in log odds."""
_STATES_THERE = [view for view in STATES if view in ALWAYS_THERE]
MISSING_VIEW = next(iter([*_STATES_THERE, *sorted(ALWAYS_THERE)]), "")
"""The view that a server has lost its connection to."""
LEAK_BYTES = 2_000_000
"""A leaking server's growth per response."""
LOG_LINES = 400
"""10 kB, which a chatty server writes into its log per response."""
_LEAKED: list[Any] = []
"""Objects that a leaking server never frees."""


class InjectedFailure(RuntimeError):
    """The error of a failing server."""


class Faulty:
    """A predictor with a fault; methods without an override work as usual."""

    def __init__(self, sound: SupportsPredict):
        """`sound` is the correct predictor."""
        self._sound, self._answered = sound, 0

    @property
    def release(self) -> LoadedRelease:
        """The release that answers."""
        return self._sound.release

    def online(self, requests: Mapping[str, Sequence[Any]]) -> PredictedRisks:
        """The risks of events, from the online store."""
        self._before()
        found = self._sound.online(requests)
        matrix = self._wrong_matrix(_matrix(found, requests))
        risk = self._wrong_risk(matrix, self._sound.vectors(matrix))
        return self._wrong_answers(replace(found, risk=risk))

    def vectors(self, matrix: np.ndarray) -> np.ndarray:
        """The risks of rows of FEATURES."""
        wrong = self._wrong_matrix(matrix)
        return self._wrong_risk(wrong, self._sound.vectors(wrong))

    def _before(self) -> None:
        """Run before each prediction."""

    def _wrong_matrix(self, matrix: np.ndarray) -> np.ndarray:
        return matrix

    def _wrong_risk(self, matrix: np.ndarray, risk: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return risk

    def _wrong_answers(self, answers: PredictedRisks) -> PredictedRisks:
        return answers


class _Slow(Faulty):
    def _before(self) -> None:
        time.sleep(SLOW_SECONDS)


class _Failing(Faulty):
    def _before(self) -> None:
        if random.random() < FAILING_SHARE:
            raise InjectedFailure(f"an injected failure, as {FAILING_SHARE:.0%} of answers have")


class _Crashing(Faulty):
    def _before(self) -> None:
        self._answered += 1
        if self._answered > CRASH_AFTER:
            os._exit(1)


class _Percent(Faulty):
    """Shares come in percent, as after a change of units in the features' code."""

    def _wrong_matrix(self, matrix: np.ndarray) -> np.ndarray:
        shares = [FEATURES.index(w.name) for w in ROLLING if w.value in (LABEL, PROXY)]
        wrong = matrix.copy()
        wrong[:, shares] *= 100
        return wrong


class _Biased(Faulty):
    def _wrong_risk(self, matrix: np.ndarray, risk: np.ndarray) -> np.ndarray:  # noqa: ARG002
        odds = risk / (1 - risk) * np.exp(BIAS)
        return np.asarray(odds / (1 + odds))


class _BadEvenings(Faulty):
    """A model that is bad on one slice predicts half the risk there."""

    def _wrong_risk(self, matrix: np.ndarray, risk: np.ndarray) -> np.ndarray:
        feature, begins = USECASE.require_story().evening
        return np.where(matrix[:, FEATURES.index(feature)] >= begins, risk / 2, risk)


class _Reversed(Faulty):
    """The rows of a batch come in another order than requested."""

    def _wrong_risk(self, matrix: np.ndarray, risk: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return risk[::-1]


class _MissingView(Faulty):
    def _wrong_answers(self, answers: PredictedRisks) -> PredictedRisks:
        return replace(
            answers, flags=[{**flags, MISSING_VIEW: "missing"} for flags in answers.flags]
        )


class _LeakingMemory(Faulty):
    def _before(self) -> None:
        _LEAKED.append(b"\1" * LEAK_BYTES)


class _LeakingFiles(Faulty):
    def _before(self) -> None:
        _LEAKED.append(os.open(os.devnull, os.O_RDONLY))


class _LeakingThreads(Faulty):
    def _before(self) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class _Busy(Faulty):
    """A thread computes all the time; it lets others run, so that no response waits for it."""

    def _before(self) -> None:
        if not self._answered:
            threading.Thread(target=_compute, daemon=True).start()
        self._answered += 1


class _Chatty(Faulty):
    def _before(self) -> None:
        sys.stderr.write("a line that nobody reads\n" * LOG_LINES)


FAULTS: dict[str, type[Faulty]] = {
    "slow": _Slow,
    "failing": _Failing,
    "crashing": _Crashing,
    "units": _Percent,
    "biased": _Biased,
    "slice": _BadEvenings,
    "missing": _MissingView,
    "reversed": _Reversed,
    "leak": _LeakingMemory,
    "files": _LeakingFiles,
    "threads": _LeakingThreads,
    "busy": _Busy,
    "chatty": _Chatty,
}
OF_THE_MODEL = {"biased", "slice"}
"""Faults that a model could have learned: the shadow takes them for the model's own, so only labels
reveal them; in a canary they are the server's, and contradict the model's file."""


def injection(fault: str) -> Injection:
    """The injection of a named fault into a challenger's server; "" is none.

    Raises:
        ConfigError: there is no such fault.
    """
    if not fault:
        return Injection()
    if fault not in FAULTS:
        raise ConfigError(
            f"{fault!r} is none of the {len(FAULTS)} faults that can be injected: "
            f"{', '.join(FAULTS)}; as in `make canary BAD=slow`"
        )
    wrapper = FAULTS[fault]
    if wrapper is _BadEvenings:
        USECASE.require_story()

    def risks(release: LoadedRelease, rows: pd.DataFrame) -> np.ndarray:
        return wrapper(Predictor(release, _NoStore())).vectors(matrix(rows, FEATURES))

    path = f"{wrapper.__module__}:{wrapper.__qualname__}"
    return Injection(fault, path, risks, fault in OF_THE_MODEL)


class _NoStore:
    def read(self, request: Any) -> Any:
        """Refuse: the features are in the request."""
        raise NotImplementedError(f"{len(request)} columns were asked of no store")


def _compute() -> None:
    content = bytes(10_000_000)
    while True:
        hashlib.sha256(content)  # lets other threads run meanwhile


def _matrix(found: PredictedRisks, requests: Mapping[str, Sequence[Any]]) -> np.ndarray:
    return np.column_stack([found.values, one_hot(requests)])
