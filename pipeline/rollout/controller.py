"""The controller of a rollout: it sees traffic and evidence, and makes the transitions decided on.

Traffic is the year's next events. About every simulated hour there is an interim analysis; its
decision is written to the ledger with the evidence, and only then does anything change.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.online_store import open_store
from pipeline.records import rollout_ledger
from pipeline.records.request_log import last_id
from pipeline.records.rollout_ledger import Entry, Side
from pipeline.registry import champions
from pipeline.registry.release_loader import load_release
from pipeline.rollout.progress import Progress, weights, when
from pipeline.rollout.state import ALL_CHAMPION, Rollout, hold_traffic
from pipeline.rollout.traffic import envoy
from pipeline.rollout.traffic import servers as arm_servers
from pipeline.rollout.traffic.evidence import Evidence
from pipeline.rollout.traffic.live_traffic import Reply, Source, Traffic
from pipeline.rollout.traffic.resources import READINGS
from pipeline.rollout.traffic.servers import PROJECT, Servers
from pipeline.rollout.traffic.supervisor import SERVER_STATE
from pipeline.shared.callers import SHADOW
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import RolloutRefused, ServersFailed
from pipeline.shared.processes import Patience

_COPIES_SECONDS = 5.0
_BUSY_SECONDS = 2.0


@dataclass
class LiveTraffic:
    """The traffic that passes: users' requests through the proxy, and their replies so far."""

    ahead: Traffic
    requests: Iterator[tuple[int, list[Reply], int]]
    servers: Servers
    mirrored: bool = False
    replies: list[Reply] = field(default_factory=list)
    events_sent: int = 0
    """One request may hold several events."""
    unread: set[str] = field(default_factory=set)
    """Requests whose log lines were not read yet."""

    def send(self) -> Iterator[int]:
        """Send the traffic; yields the simulated minute after each batch."""
        for minute, answers, events in self.requests:
            self.replies += answers
            self.events_sent += events
            self.unread |= {reply.request_id for reply in answers if reply.request_id}
            if self.mirrored:
                self._until_copied()
            if any(reply.code == 0 for reply in answers):
                # The proxy is gone: a simulated day would pass before it is back.
                self.servers.wait_until_ready()
            yield minute

    def _until_copied(self) -> None:
        """Wait for the mirrored copies: in a replay a minute lasts a millisecond.

        A copy served after the store has moved on reads other features than its original.
        """
        patience = Patience(_COPIES_SECONDS)
        while envoy.in_flight(self.servers.spec.ports, SHADOW) and not patience.over():
            time.sleep(0.002)

    @property
    def failures(self) -> int:
        """The number of users' requests without a prediction."""
        return sum(reply.failed for reply in self.replies)


@dataclass
class EvidenceReader:
    """The evidence that is read: complete up to the last request, unless its log's writer died."""

    evidence: Evidence
    traffic: LiveTraffic
    servers: Servers
    proxy_pid: int

    def observations(self) -> pd.DataFrame:
        """The observations of all requests sent so far, one row each.

        Raises:
            ServersFailed: logs are incomplete though neither proxy nor supervisor died.
        """
        try:
            self.evidence.wait_for(self.traffic.unread, self.traffic.mirrored)
        except ServersFailed:
            if not self._exclude_lost():
                raise
        else:
            self._exclude_lost()
        self.proxy_pid = self.servers.pid("envoy")
        self.traffic.unread.clear()
        return self.evidence.observations()

    def _exclude_lost(self) -> bool:
        """Exclude requests whose log lines died with a killed proxy or supervisor, of every arm.

        False if there are none, or if the proxy is still the same process.
        """
        lacking = self.evidence.incomplete(self.traffic.unread)
        if not lacking or self.servers.wait_for_proxy() == self.proxy_pid:
            return False
        self.evidence.exclude(lacking)
        return True


@dataclass
class Transitions:
    """The transitions that are made: each is written to the ledger, then applied to the traffic."""

    rollout: Rollout
    servers: Servers
    progress: Progress
    ledger_length: int

    def make(
        self,
        event: str,
        minute: int,
        shares: dict[str, int],
        mirrored: bool = False,
        busy: str = "",
        **details: Any,
    ) -> float:
        """Write a transition to the ledger, then apply it; returns the seconds the proxy took.

        With `busy`, an arm, the change waits until that arm has requests in flight.

        Raises:
            RolloutRefused: another command has ended the rollout meanwhile.
        """
        with hold_traffic() as mine:
            self.require_going_on(mine)
            entry = self.rollout.move(event, minute, shares, mirrored=mirrored, **details)
            self.ledger_length = entry.number
            patience = Patience(_BUSY_SECONDS)
            while busy and not patience.over():
                if envoy.in_flight(self.servers.spec.ports, busy):
                    break
            took = self.servers.route(self.rollout.route(shares, mirrored))
            if event in ("promoted", "rolled back"):
                champions.update_alias(load(RegisterConfig))
        self.progress.say(f"{when(minute)}  {event}: {weights(shares)} ({1000 * took:.0f} ms)")
        return took

    def require_going_on(self, mine: bool = True) -> None:
        """Require that no other command has written a transition since this rollout's last one.

        Raises:
            RolloutRefused: another command has, or is about to.
        """
        known = rollout_ledger.entries()
        if mine and len(known) == self.ledger_length:
            return
        last = known[-1].move if known else None
        state = f"{last.rollout} was {last.event} by {last.by}" if last else "the ledger is empty"
        raise RolloutRefused(
            f"{state} (entry {len(known)}) while {self.rollout.name} stood at entry "
            f"{self.ledger_length}; 1 transition more is refused; see `make rollout`, then begin "
            "another"
        )


@dataclass(frozen=True)
class Controller:
    """One rollout under way: see, decide, write down, act. The decision is the analysis's."""

    rollout: Rollout
    servers: Servers
    traffic: LiveTraffic
    reader: EvidenceReader
    transitions: Transitions
    progress: Progress


@contextlib.contextmanager
def open_controller(
    rollout: Rollout,
    days: int,
    arms: dict[str, Side],
    known: list[Entry],
    source: Source,
    mirrored: bool = False,
) -> Iterator[Controller]:
    """Open servers, proxy, store and traffic for so many days; the block's end stops them all.

    A rollout that resumes after an interruption does not send its known requests again.
    """
    config, serve = load(FeaturesConfig), load(ServeConfig)
    if not known:
        arm_servers.start()
    route = rollout.route(ALL_CHAMPION)
    if known:
        last = known[-1].move
        route = rollout.route({str(k): v for k, v in last.shares.items()}, last.mirrored)
    ahead, access = source.traffic(rollout.first, days), SERVER_STATE / envoy.ACCESS
    log_url = serve.log_url.get_secret_value()
    evidence = Evidence(
        ahead,
        expected_risks(rollout, ahead),
        access,
        log_url,
        0 if known else last_id(log_url),
        access.stat().st_size if known and access.is_file() else 0,
        readings=SERVER_STATE / READINGS,
    )
    with contextlib.ExitStack() as until_over:
        enter = until_over.enter_context
        store = enter(open_store(config, serve, project=PROJECT, empty=not known))
        wrappers = {"challenger": rollout.injection.wrapper}
        servers = enter(arm_servers.open_servers(arms, route, wrappers=wrappers))
        progress = enter(Progress(rollout.name))
        left = ahead.since(_events_sent(evidence)) if known else ahead
        caller = servers.spec.callers, servers.spec.keys.caller
        requests = enter(contextlib.closing(left.send(*caller, store, config.grid_minutes)))
        traffic = LiveTraffic(left, requests, servers, mirrored)
        reader = EvidenceReader(evidence, traffic, servers, servers.pid("envoy"))
        transitions = Transitions(rollout, servers, progress, rollout.ledger_length)
        yield Controller(rollout, servers, traffic, reader, transitions, progress)


def _events_sent(evidence: Evidence) -> int:
    """The number of events sent before the interruption."""
    evidence.wait_for(set())
    observed = evidence.observations()
    return int((evidence.traffic.at <= observed["minute"].max()).sum()) if len(observed) else 0


def expected_risks(rollout: Rollout, traffic: Traffic) -> dict[str, np.ndarray]:
    """The risk of each event by each side's release, from the offline join: the correct values."""
    found = {}
    for side in {rollout.champion.release, rollout.challenger.release}:
        found[side[:12]] = load_release(side).model.predict(traffic.events)
    return found


def challenger_risks(rollout: Rollout, traffic: Traffic) -> np.ndarray:
    """The risks that the challenger's server gives to events, with an injected fault if any."""
    return rollout.injection.risks(load_release(rollout.challenger.release), traffic.events)
