"""What users got and who gave it: Envoy's line of each request beside the server's own log.

The edge knows the arm, the code and the time; the server knows the features and the risk. Both
carry the request's id. Each answer is held against one that is computed again, from the offline
join and the release's model: the same flight must get the same risk.
"""

import contextlib
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from pipeline.features.store import MISSING, STALE
from pipeline.rollout.traffic import DAY, Traffic
from pipeline.serve.log import SHADOW, answered
from pipeline.shared.errors import ServersFailed

ALWAYS_THERE = {"system", "origin", "carrier", "hour", "weather"}
"""Views that some flight has always just told about; an aircraft or a rare route may be unknown."""
HUNG_UP = "DC"
"""Envoy's flag of a request whose user left before there was an answer."""
BANDS = (0, 9, 13, 17, 21)
"""The hours at which a band of the day begins."""
_PATIENCE_SECONDS = 5.0


@dataclass
class Evidence:
    """The requests of a rollout so far; `observed` is what an analysis takes.

    `recomputed` holds, by release (its first 12 digits), the risk of each flight of `traffic`. Who
    hung up within the first `known_bytes` of the proxy's log was a controller that was killed, not
    a user: that is nobody's failure.
    """

    traffic: Traffic
    recomputed: dict[str, np.ndarray]
    access_log: Path
    log_url: str
    last_answer: int
    known_bytes: int = 0
    seen_bytes: int = 0
    _edge: list[dict[str, Any]] = field(default_factory=list)
    _answers: list[pd.DataFrame] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)
    _by_user: set[str] = field(default_factory=set)
    _by_shadow: set[str] = field(default_factory=set)
    _forgiven: set[str] = field(default_factory=set)

    def wait_for(self, request_ids: set[str], shadowed: bool = False) -> None:
        """Read on until both logs know these requests; what never comes is taken as not answered.

        Raises:
            ServersFailed: the proxy's own log lacks some.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            self._read()
            edge = self._codes.keys()
            fine = {i for i in request_ids if self._codes.get(i) == 200}
            known = self._by_user & self._by_shadow if shadowed else self._by_user
            if request_ids <= edge and fine <= known:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        if lost := request_ids - edge:
            raise ServersFailed(
                f"{self.access_log} lacks {len(lost)} of {len(request_ids)} requests; nothing is "
                "decided on half of the evidence: `make rollback`, then look at envoy.log beside it"
            )

    def incomplete(self, request_ids: set[str]) -> set[str]:
        """Those that the proxy's log lacks, or that were answered and the servers' log lacks."""
        fine = {i for i in request_ids if self._codes.get(i) == 200}
        return (request_ids - self._codes.keys()) | (fine - self._by_user)

    def forgive(self, request_ids: set[str]) -> None:
        """Leave requests out: what was logged of them died with who should have written it."""
        self._forgiven |= request_ids

    def _read(self) -> None:
        with self.access_log.open("rb") as stream:
            stream.seek(self.seen_bytes)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines(keepends=True):
            before, self.seen_bytes = self.seen_bytes, self.seen_bytes + len(line)
            with contextlib.suppress(orjson.JSONDecodeError):  # half a line of a proxy that died
                row = orjson.loads(line)
                self._codes[row["request_id"]] = row["code"] or 0
                hung_up = not row["code"] and HUNG_UP in (row["flags"] or "")
                if not (hung_up and before < self.known_bytes):
                    self._edge.append(row)
        new = answered(self.log_url, self.last_answer)
        if len(new):
            self.last_answer = int(new["id"].max())
            self._answers.append(new)
            is_shadow = new["arm"] == SHADOW
            self._by_user |= set(new.loc[~is_shadow, "request_id"])
            self._by_shadow |= set(new.loc[is_shadow, "request_id"])

    def observed(self) -> pd.DataFrame:
        """A row per request at the edge, in order, with what was answered and what it should be."""
        edge = pd.DataFrame([r for r in self._edge if r["request_id"] not in self._forgiven])
        if edge.empty:
            return edge
        edge = edge.assign(
            code=edge["code"].fillna(0).astype("int64"),
            seconds=edge["microseconds"].astype("float64") / 1e6,
            release=edge["release"].fillna(""),
        ).drop(columns=["microseconds", "flags"])
        answers = self.answers()
        mine = answers[answers["arm"] != SHADOW].drop_duplicates("request_id")
        frame = edge.merge(mine[["request_id", "risk", "flags"]], "left", "request_id")
        frame = frame.merge(self._flights, "left", left_on="flight", right_on="name")
        frame = frame[frame["place"].notna()].reset_index(drop=True)
        return self._judged(frame)

    def answers(self) -> pd.DataFrame:
        """What the servers logged, the shadow's answers too."""
        columns = ["request_id", "arm", "release", "risk", "flags", "seconds"]
        return pd.concat(self._answers) if self._answers else pd.DataFrame(columns=columns)

    @cached_property
    def _flights(self) -> pd.DataFrame:
        asked = self.traffic.asked
        band = np.searchsorted(BANDS, asked["sched_hour"].to_numpy(), "right") - 1
        starts = np.array(BANDS)[band]
        return pd.DataFrame(
            {
                "name": asked["name"],
                "place": np.arange(len(asked)),
                "minute": self.traffic.at,
                "origin": asked["origin"],
                "hour_band": [f"from {hour:02}h" for hour in starts],
            }
        )

    def _judged(self, frame: pd.DataFrame) -> pd.DataFrame:
        flags = [orjson.loads(f) if isinstance(f, str) and f else {} for f in frame["flags"]]
        missing = [any(v == MISSING and k in ALWAYS_THERE for k, v in f.items()) for f in flags]
        places = frame["place"].astype("int64").to_numpy()
        again = np.full(len(frame), np.nan)
        for release, risk in self.recomputed.items():
            chosen = (frame["release"] == release).to_numpy()
            again[chosen] = risk[places[chosen]]
        return frame.assign(
            missing=missing,
            stale=[STALE in f.values() for f in flags],
            parity=np.abs(frame["risk"].astype("float64") - again),
            day=(frame["minute"] - self.traffic.at.min()) // DAY,
        ).drop(columns=["flags", "name", "place"])


def with_steps(observed: pd.DataFrame, steps: list[tuple[float, int]]) -> pd.DataFrame:
    """The requests with the step in which each came; `steps` are (first minute, number)."""
    begun = np.array([minute for minute, _ in steps])
    number = np.array([number for _, number in steps])
    place = np.searchsorted(begun, observed["minute"].to_numpy(), "right") - 1
    return observed[place >= 0].assign(step=number[place[place >= 0]])
