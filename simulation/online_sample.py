"""A sample of the traffic over HTTP: through Envoy, by the champion, from the online store.

Servers stay up until another champion serves. Their logged features are compared with the offline
join of the same events: a difference is skew, and no training follows before it is repaired.
"""

import contextlib
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.features import windows
from pipeline.features.definitions import NAME
from pipeline.features.online_store import Store, open_store
from pipeline.monitor.predictions import ScoringModel, count_skew, served_predictions
from pipeline.records.arrivals import read_until
from pipeline.records.request_log import last_id, read_predictions
from pipeline.records.rollout_ledger import WHOLE, Side
from pipeline.registry.release_loader import load_release
from pipeline.retrain.replayed_predictions import ReplayedYear
from pipeline.rollout.state import ALL_CHAMPION
from pipeline.rollout.traffic import servers as arm_servers
from pipeline.rollout.traffic.routes import Route, arm_of
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import ServersFailed
from pipeline.shared.processes import Patience
from simulation import year as simulated
from simulation.traffic import advance, traffic_of
from simulation.users import Users

_SERVER_STATE = Path("state/retrain/kept")
_PROJECT = "loop"
"""A project of its own, so that a rollout finds its store and its servers unchanged."""
_LOGGED_SECONDS = 10.0


@dataclass
class OnlineSample:
    """The online path of the loop: servers start on demand, and stop before a rollout."""

    year: ReplayedYear
    share: float
    _until_over: contextlib.ExitStack | None = None
    _release: str = ""
    _users: Users | None = None
    _store: Store | None = None
    asked: int = 0
    failed: int = 0
    skew: dict[str, int] = field(default_factory=dict)

    @cached_property
    def source(self) -> simulated.Year:
        """The year's traffic, for rollouts too."""
        views = windows.views(*read_until(), load(FeaturesConfig))
        return simulated.Year(self.year.frame, views)

    def sample(self, chosen: np.ndarray) -> np.ndarray:
        """Choose the events to send over HTTP: a share, by a hash of their names."""
        part = round(self.share * WHOLE)
        route = Route({"challenger": part, "champion": WHOLE - part}, "sample")
        names = self.year.base.loc[chosen, NAME]
        found = chosen.copy()
        found[chosen] = [arm_of(name, route) == "challenger" for name in names]
        return found

    def ask(self, side: Side, chosen: np.ndarray) -> int:
        """Send a sample of the events that one release serves; returns the rows with skew.

        Raises:
            ServersFailed: servers do not start or respond, or predictions are missing in the log.
        """
        sample = self.sample(chosen)
        if not sample.any():
            return 0
        self._open(side)
        assert self._users is not None
        assert self._store is not None
        config = load(FeaturesConfig)
        log_url = load(ServeConfig).log_url.get_secret_value()
        frame = self.year.frame[sample].reset_index(drop=True)
        ahead, before = traffic_of(frame, self.source.views or {}, config), last_id(log_url)
        names, bodies = ahead.events["name"].tolist(), ahead.events["body"].tolist()
        replies = []
        for places in advance(ahead, self._store, config.grid_minutes):
            replies += self._users.ask([names[i] for i in places], [bodies[i] for i in places])
        failed = sum(reply.failed for reply in replies)
        self.asked, self.failed = self.asked + len(replies), self.failed + failed
        _wait_for(log_url, before, len(replies) - failed)
        answerer = ScoringModel(side.version, side.release, load_release(side.release).model)
        found = count_skew(frame, served_predictions(frame, answerer, log_url, before))
        for name, rows in found.items():
            self.skew[name] = self.skew.get(name, 0) + rows
        return sum(found.values())

    def _open(self, side: Side) -> None:
        if self._until_over is not None and self._release == side.release:
            return
        self.close()
        with contextlib.ExitStack() as until_over:
            enter = until_over.enter_context
            config, serve = load(FeaturesConfig), load(ServeConfig)
            self._store = enter(open_store(config, serve, project=_PROJECT, empty=True))
            arm_servers.start(_SERVER_STATE)
            route = Route(ALL_CHAMPION, _PROJECT)
            both = {"champion": side, "control": side}
            servers = enter(arm_servers.open_servers(both, route, _SERVER_STATE, _PROJECT))
            self._users = Users(servers.spec.callers, servers.spec.keys.caller)
            until_over.callback(self._users.close)
            self._until_over, self._release = until_over.pop_all(), side.release

    def close(self) -> None:
        """End the servers, if any run."""
        if self._until_over is not None:
            self._until_over.close()
        self._until_over = None


def _wait_for(log_url: str, before: int, wanted: int) -> None:
    patience = Patience(_LOGGED_SECONDS)
    while (found := len(read_predictions(log_url, before))) < wanted:
        if patience.over():
            raise ServersFailed(
                f"the request log holds {found} of {wanted} answers {_LOGGED_SECONDS:g} s after "
                "the last was given; see state/retrain/kept, then run the same again"
            )
        time.sleep(0.02)
