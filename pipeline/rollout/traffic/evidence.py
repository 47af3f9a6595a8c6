"""The evidence of a rollout: Envoy's access log joined with the servers' request log.

The edge knows the arm, the code and the time; the server knows the features and the risk. Both
carry the request's id. Each served risk is compared with a recomputed one, from the offline join
and the release's model: the same event must get the same risk.

A response without a row in the servers' log is missing evidence: it is counted, neither as an
invalid risk nor as a failure.
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pandas as pd

from pipeline.features.definitions import ALWAYS_THERE, NAME
from pipeline.features.online_store import MISSING, STALE
from pipeline.features.windows import DAY_MINUTES
from pipeline.records.request_log import read_predictions
from pipeline.rollout.traffic.live_traffic import Traffic
from pipeline.rollout.traffic.resources import join, parse_readings
from pipeline.rollout.traffic.routes import KNOWN_ARMS
from pipeline.shared.callers import SHADOW
from pipeline.shared.errors import ServersFailed
from pipeline.shared.processes import Patience
from pipeline.usecase.chosen import USECASE

HUNG_UP = "DC"
"""Envoy's flag of a request whose user disconnected before the response."""
BANDS = (0, 9, 13, 17, 21)
"""The hours at which the bands of the day begin."""
_GROUP = next(iter(USECASE.monitored.categories), "sched_hour")
"""The category that divides requests into reported slices, beside the bands of the day."""
_PATIENCE_SECONDS = 5.0


class Row(NamedTuple):
    """One row of a request in the servers' log."""

    name: str | None
    risk: float
    flags: str


@dataclass
class Evidence:
    """The requests of a rollout so far; `observations()` is the input of an analysis.

    `expected_risks` holds, by release (its first 12 digits), the risk of each event of `traffic`.
    A disconnect within the first `known_bytes` of the proxy's log came from a killed controller,
    not from a user, and counts as no failure.
    """

    traffic: Traffic
    expected_risks: dict[str, np.ndarray]
    access_log: Path
    log_url: str
    last_answer: int
    known_bytes: int = 0
    read_bytes: int = 0
    readings: Path | None = None
    _edge: list[dict[str, Any]] = field(default_factory=list)
    _frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    _answers: list[pd.DataFrame] = field(default_factory=list)
    _rows: dict[tuple[str, str], dict[int, Row]] = field(default_factory=dict)
    _logged: set[str] = field(default_factory=set)
    _codes: dict[str, int] = field(default_factory=dict)
    _by_shadow: set[str] = field(default_factory=set)
    _excluded: set[str] = field(default_factory=set)
    _readings_table: pd.DataFrame = field(default_factory=lambda: parse_readings(b""))
    _readings_bytes: int = 0

    def wait_for(self, request_ids: set[str], mirrored: bool = False) -> None:
        """Read until both logs hold these requests, or patience ends: predictions may be lost.

        Raises:
            ServersFailed: the proxy's own log lacks some.
        """
        patience = Patience(_PATIENCE_SECONDS)
        while True:
            self._read()
            edge = self._codes.keys()
            fine = {i for i in request_ids if self._codes.get(i) == 200}
            known = self._logged & self._by_shadow if mirrored else self._logged
            if request_ids <= edge and fine <= known:
                return
            if patience.over():
                break
            time.sleep(0.01)
        if lost := request_ids - edge:
            raise ServersFailed(
                f"{self.access_log} lacks {len(lost)} of {len(request_ids)} requests; nothing is "
                "decided on half of the evidence: `make rollback`, then look at envoy.log beside it"
            )

    def incomplete(self, request_ids: set[str]) -> set[str]:
        """The requests that the proxy's log lacks, or that succeeded and the servers' log lacks."""
        fine = {i for i in request_ids if self._codes.get(i) == 200}
        return (request_ids - self._codes.keys()) | (fine - self._logged)

    def exclude(self, request_ids: set[str]) -> None:
        """Exclude requests whose log lines died with the process that should have written them."""
        self._excluded |= request_ids

    def _read(self) -> None:
        with self.access_log.open("rb") as stream:
            stream.seek(self.read_bytes)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines(keepends=True):
            before, self.read_bytes = self.read_bytes, self.read_bytes + len(line)
            with contextlib.suppress(orjson.JSONDecodeError):  # half a line of a proxy that died
                row = orjson.loads(line)
                row["code"] = self._codes[row["request_id"]] = row["code"] or 0
                hung_up = not row["code"] and HUNG_UP in (row["flags"] or "")
                if not (hung_up and before < self.known_bytes):
                    self._edge.append(row | {"number": before})
        self._read_readings()
        new = read_predictions(self.log_url, self.last_answer)
        if len(new):
            self.last_answer = int(new["id"].max())
            new = new[new["arm"].isin([*KNOWN_ARMS, SHADOW])]  # strangers may be any number
        if len(new):
            self._answers.append(new)
            self._by_shadow |= set(new.loc[new["arm"] == SHADOW, "request_id"])
            self._take(new[new["arm"].isin(KNOWN_ARMS)])

    def _read_readings(self) -> None:
        """Add the supervisor's new readings; an incomplete line waits until it is complete."""
        if self.readings is None or not self.readings.is_file():
            return
        with self.readings.open("rb") as stream:
            stream.seek(self._readings_bytes)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        if whole:
            self._readings_bytes += len(whole)
            parts = [part for part in (self._readings_table, parse_readings(whole)) if len(part)]
            self._readings_table = pd.concat(parts) if parts else self._readings_table

    def _take(self, mine: pd.DataFrame) -> None:
        """Index the rows of known callers; of two for one row the first counts."""
        columns = ["request_id", "release", "row", NAME, "risk", "flags"]
        for one, release, row, *told in mine[columns].itertuples(index=False, name=None):
            self._rows.setdefault((one, release[:12]), {}).setdefault(row, Row(*told))
        self._logged |= set(mine["request_id"])

    def observations(self) -> pd.DataFrame:
        """A row per request at the edge, in order, with its prediction and the recomputed one.

        Each request is joined once, when its prediction is known: analyses and requests are many.
        """
        complete = [row["code"] != 200 or bool(self._rows_of(row)) for row in self._edge]
        if any(complete):
            ready = [row for row, whole in zip(self._edge, complete, strict=True) if whole]
            self._edge = [row for row, whole in zip(self._edge, complete, strict=True) if not whole]
            self._frame = pd.concat([self._frame, self._judge(ready)])
        frame = pd.concat([self._frame, self._judge(self._edge)]) if self._edge else self._frame
        if self._excluded:
            frame = frame[~frame["request_id"].isin(self._excluded)]
        return frame.sort_index().reset_index(drop=True)

    def predictions(self) -> pd.DataFrame:
        """The predictions in the servers' log, the shadow's included."""
        columns = ["request_id", "arm", "release", "risk", "flags", "seconds"]
        return pd.concat(self._answers) if self._answers else pd.DataFrame(columns=columns)

    @cached_property
    def _events(self) -> pd.DataFrame:
        """Place, minute and slices of each event, by name."""
        asked = self.traffic.events
        band = np.searchsorted(BANDS, asked["sched_hour"].to_numpy(), "right") - 1
        return pd.DataFrame(
            {
                "place": np.arange(len(asked)),
                "minute": self.traffic.at,
                _GROUP: asked[_GROUP].to_numpy(),
                "hour_band": [f"from {hour:02}h" for hour in np.array(BANDS)[band]],
            },
            index=pd.Index(asked["name"], name=NAME),
        )

    def _rows_of(self, line: Mapping[str, Any]) -> list[Row]:
        """The rows of a request, in order, as logged by the release that served it."""
        found = self._rows.get((line["request_id"], line["release"] or ""), {})
        return [found[row] for row in sorted(found)]

    def _judge(self, edge: list[dict[str, Any]]) -> pd.DataFrame:
        """The requests for a known event, joined; a batch is represented by its worst row."""
        frame = pd.DataFrame(edge).set_index("number")
        rows = [self._rows_of(line) for line in edge]
        flags = [[orjson.loads(r.flags) for r in of if r.flags] for of in rows]
        lacks = [[k for f in of for k, v in f.items() if v == MISSING] for of in flags]
        frame = frame.assign(
            code=frame["code"].astype("int64"),
            at=frame["at"].astype("float64"),
            seconds=frame["microseconds"].astype("float64") / 1e6,
            release=frame["release"].fillna(""),
            logged=[bool(of) for of in rows],
            risk=[_batch_risk([r.risk for r in of]) for of in rows],
            missing=[any(view in ALWAYS_THERE for view in of) for of in lacks],
            stale=[any(STALE in f.values() for f in of) for of in flags],
            parity=[self._parity(line, of) for line, of in zip(edge, rows, strict=True)],
        ).drop(columns=["microseconds", "flags"])
        known = frame[NAME].isin(self._events.index)
        found = frame[known].join(self._events, NAME).drop(columns="place")
        day = (found["minute"] - self.traffic.at.min()) // DAY_MINUTES
        return found.assign(day=day, **self._resources(found))

    def _parity(self, line: Mapping[str, Any], rows: list[Row]) -> float:
        """The largest difference between a request's risks and its release's recomputed ones.

        Infinite if the first row is another event than the caller named; NaN if nothing can be
        compared.
        """
        right = self.expected_risks.get(line["release"] or "")
        if right is None or not rows:
            return np.nan
        if rows[0].name != line[NAME]:
            return np.inf
        places = [self._place.get(row.name, -1) for row in rows]
        apart = [abs(r.risk - right[at]) for r, at in zip(rows, places, strict=True) if at >= 0]
        return float(max(apart, default=np.nan))

    @cached_property
    def _place(self) -> dict[str | None, int]:
        return {name: place for place, name in enumerate(self.traffic.events["name"])}

    def _resources(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Each request's server's use of the machine by its end, if the supervisor reads it."""
        return {} if self.readings is None else join(frame, self._readings_table)


def _batch_risk(risks: list[float]) -> float:
    """The first risk, unless one of them is no probability; NaN without any."""
    return next((r for r in risks if not 0 <= r <= 1), risks[0]) if risks else np.nan


def with_steps(observed: pd.DataFrame, steps: list[tuple[float, int]]) -> pd.DataFrame:
    """The requests with their steps; `steps` are (first minute, number)."""
    begun = np.array([minute for minute, _ in steps])
    number = np.array([number for _, number in steps])
    place = np.searchsorted(begun, observed["minute"].to_numpy(), "right") - 1
    return observed[place >= 0].assign(step=number[place[place >= 0]])
