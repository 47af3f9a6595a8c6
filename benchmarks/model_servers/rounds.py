"""Rounds of the peers: every way in turn, at each number of callers and in batches."""

import time
from collections import defaultdict
from typing import Any

import numpy as np

from benchmarks.closed_loop import Round, ask
from benchmarks.model_servers import risk_model
from benchmarks.model_servers.launch import SERVER, Running, pinned
from benchmarks.model_servers.ways import BATCH, OURS, Way

CALLERS, QUANTILES, SETTLED = (1, 8, 100), (50, 95, 99), 0.1


class Rounds:
    """Every path in turn, at each number of callers and in batches."""

    def __init__(
        self,
        ways: dict[str, Way],
        servers: dict[str, Running],
        runtime: tuple[str, np.ndarray],
        seconds: float,
    ):
        """`runtime` is a model and rows for the floor; `seconds`, how long a way has in a round."""
        self.ways, self.servers, self.seconds = ways, servers, seconds
        self.predict, self.rows = risk_model.load(runtime[0]), runtime[1]
        self.found: dict[str, dict[str, list[Round]]] = {name: defaultdict(list) for name in ways}
        self.floor: dict[int, list[float]] = {1: [], BATCH: []}

    def run(self, number: int) -> None:
        """One round; every second one in the opposite order."""
        order = list(self.ways)[:: 1 if number % 2 else -1]
        for callers in CALLERS:
            for name in order:
                self._ask(name, f"at_{callers}", self.ways[name].requests, callers)
        for name in order:
            self._ask(name, "batch", [self.ways[name].batch], 1)
        for size, rates in self.floor.items():
            rates.append(self._bare_runtime(size))

    def _ask(self, name: str, kind: str, requests: list[bytes], callers: int) -> None:
        time.sleep(SETTLED)  # what the last one logged is written
        port = self.servers[self.ways[name].server].port
        self.found[name][kind].append(ask(port, requests, callers, self.seconds))

    def _bare_runtime(self, size: int) -> float:
        """Rows a second of ONNX Runtime alone, in such calls, on the servers' processor."""
        rows, calls = self.rows[:size], 0
        with pinned(SERVER):
            until = (began := time.perf_counter()) + self.seconds
            while time.perf_counter() < until:
                self.predict(rows)
                calls += 1
            return calls * size / (time.perf_counter() - began)

    def rates(self, name: str, kind: str) -> np.ndarray:
        """Answers a second, by round."""
        return np.array([len(one.answered) for one in self.found[name][kind]]) / self.seconds

    def figures(self, name: str) -> dict[str, Any]:
        """What is recorded of a path."""
        found: dict[str, Any] = {f"at_{n}": self._figures(name, f"at_{n}") for n in CALLERS}
        found["rows_a_second"] = round(BATCH * float(np.median(self.rates(name, "batch"))))
        floor = BATCH * self.rates(name, "batch") / np.array(self.floor[BATCH])
        return found | {"share_of_the_runtime": round(float(np.median(floor)), 3)}

    def _figures(self, name: str, kind: str) -> dict[str, Any]:
        rounds = self.found[name][kind]
        every = 1000 * np.concatenate([one.answered for one in rounds])
        waits = np.percentile(every, QUANTILES) if len(every) else [None] * len(QUANTILES)
        return {
            "milliseconds": {
                f"p{q}": wait and round(float(wait), 3)
                for q, wait in zip(QUANTILES, waits, strict=True)
            },
            "requests_a_second": round(float(np.median(self.rates(name, kind)))),
            "requests": len(every),
            "errors": sum(one.errors for one in rounds),
            "client_busy": round(float(np.median([one.client_busy for one in rounds])), 2),
        }

    def ratios(self) -> dict[str, Any]:
        """How many times as many requests our paths answer as each other, by number of callers."""
        return {
            f"at_{n}": {
                name: {one: self._ratio(one, name, f"at_{n}") for one in OURS if one in self.ways}
                for name in self.ways
                if name not in OURS
            }
            for n in CALLERS
        }

    def _ratio(self, one: str, other: str, kind: str) -> dict[str, Any]:
        answered = self.rates(other, kind)
        ratios = self.rates(one, kind)[answered > 0] / answered[answered > 0]
        if not len(ratios):
            return {"median": None, "quartiles": [None, None]}
        low, middle, high = (round(float(q), 3) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
        return {"median": middle, "quartiles": [low, high]}

    def record(self) -> dict[str, Any]:
        """Every figure of the rounds."""
        return {
            "paths": {name: self.figures(name) for name in self.ways},
            "ratios": self.ratios(),
            "runtime_rows_a_second": {
                str(size): round(float(np.median(rates))) for size, rates in self.floor.items()
            },
        }
