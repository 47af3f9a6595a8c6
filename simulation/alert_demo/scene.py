"""The scene of `make monitor-live`: running parts, faults to inject, and progress on screen."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import pipeline
from pipeline.features.online_store import Store
from pipeline.monitor.operations import slo
from pipeline.monitor.operations.alerts import RULES
from pipeline.rollout.traffic.servers import Servers
from pipeline.shared import loopback
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import AlertSilent
from pipeline.shared.files import write_json
from pipeline.shared.processes import Patience, Supervisor
from simulation.alert_demo.receiver import Sink
from simulation.faults import injection

if TYPE_CHECKING:
    from pipeline.shared.prometheus import Sample

_PATIENCE_SECONDS = 40.0
_REQUESTS_A_SECOND = 60
EXPORTER = "exporter"


@dataclass
class Scene:
    """The running parts: servers, feed, requests, receiver of alerts and exporter."""

    servers: Servers
    feed: "StoppableFeed"
    requests: Iterator[int]
    sink: Sink
    ports: dict[str, int]
    children: Supervisor
    exporter: list[str]
    states: dict[str, str] = field(default_factory=dict)
    requests_sent: int = 0
    began: float = field(default_factory=time.monotonic)
    last_report: "tuple[float, list[Sample]] | None" = None

    def say(self, words: str) -> None:
        """Print a line with the seconds since the beginning."""
        sys.stdout.write(f"  {time.monotonic() - self.began:5.1f} s  {words}\n")
        sys.stdout.flush()

    def step(self) -> None:
        """Send a few requests at the scene's pace; then report alerts and notifications."""
        until = time.monotonic()
        self.requests_sent += (sent := next(self.requests))
        self._report_alerts()
        time.sleep(max(0.0, until + sent / _REQUESTS_A_SECOND - time.monotonic()))

    def live_for(self, seconds: float) -> None:
        """Send requests for so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def until(self, happened: Callable[[], bool], otherwise: str) -> None:
        """Send requests until something has happened.

        Raises:
            AlertSilent: it does not happen in time.
        """
        patience = Patience(_PATIENCE_SECONDS)
        while not happened():
            if patience.over():
                raise AlertSilent(
                    f"{otherwise} within {_PATIENCE_SECONDS:g} s of {self.requests_sent:,} "
                    f"requests; active are: {self._active()}; see the rule in {RULES}"
                )
            self.step()
        self._say_notifications()

    def _say_notifications(self) -> None:
        for line in self.sink.new_notifications():
            self.say(line)

    def _active(self) -> str:
        return ", ".join(f"{name} {state}" for name, state in self.states.items()) or "none"

    def _report_alerts(self) -> None:
        found = active(self.ports["prometheus"])
        for name in sorted({*found, *self.states}):
            if (now := found.get(name)) != self.states.get(name):
                self.say(f"{name}: {now or 'over'}")
        self.states = found
        self._say_notifications()

    def report(self, when: str) -> None:
        """Print the service level indicators since the last report."""
        now = (time.monotonic(), self._samples())
        if self.last_report is not None:
            before, samples = self.last_report
            scrapes = slo.Scrapes(samples, now[1], now[0] - before)
            found = slo.indicators(scrapes, load(MonitorConfig).slo, load(ServeConfig))
            self.say(f"the service, {when}\n{slo.table(found)}")
        self.last_report = now

    def _samples(self) -> "list[Sample]":
        from pipeline.shared.prometheus import samples

        paths = {"proxy": "/stats/prometheus", "champion": "/metrics", "exporter": "/metrics"}
        pages = [loopback.get(self.ports[name], path) for name, path in paths.items()]
        return [sample for text in pages if text for sample in samples(text)]

    def inject(self, fault: str) -> Callable[[], None]:
        """Inject a fault; returns its repair."""
        if fault == "feed":
            self.feed.stopped = True
            return self.feed.catch_up
        if fault == "exporter":
            self.children.stop([EXPORTER])
            return self.start_exporter
        self._deploy(fault)
        return lambda: self._deploy("")

    def _deploy(self, fault: str) -> None:
        """Restart the champion's server with this fault, or none; meanwhile its spare serves."""
        wanted = self.servers.spec
        other = wanted.servers["champion"].model_copy(update={"wrapper": injection(fault).wrapper})
        servers = {**wanted.servers, "champion": other}
        changed = wanted.model_copy(update={"servers": servers})
        write_json(self.servers.folder / "wanted.json", changed.model_dump())

    def start_exporter(self) -> None:
        """Start the exporter of the monitoring job's signals."""
        folder, code = self.children.folder, str(Path(pipeline.__file__).parents[1])
        log = folder / f"{EXPORTER}.log"
        self.children.start(EXPORTER, self.exporter, log, folder, {"PYTHONPATH": code})


def active(port: int) -> dict[str, str]:
    """The alerts that are pending or firing in Prometheus; firing, if one of several is."""
    text = loopback.get(port, "/api/v1/alerts")
    found = json.loads(text)["data"]["alerts"] if text else []
    states = sorted((one["labels"]["alertname"], one["state"]) for one in found)
    return dict(reversed(states))


class StoppableFeed:
    """The feed of the online store; while it is stopped, rows wait and no view is complete."""

    def __init__(self, store: Store):
        """`store` receives all rows until the feed is stopped."""
        self._store, self._waiting = store, list[tuple[str, list[Any]]]()
        self.stopped = False

    def prepare(self, view: str, rows: pd.DataFrame) -> list[Any]:
        """Rows as the store takes them."""
        return self._store.prepare(view, rows)

    def write(self, view: str, rows: list[Any]) -> None:
        """Write rows, or let them wait."""
        if self.stopped:
            self._waiting.append((view, rows))
        else:
            self._store.write(view, rows)

    def complete(self, views: Any, until: pd.Timestamp) -> None:
        """Mark views complete until an instant, unless the feed is stopped."""
        if not self.stopped:
            self._store.complete(views, until)

    def catch_up(self) -> None:
        """Write the waiting rows in order, and restart the feed."""
        for view, rows in self._waiting:
            self._store.write(view, rows)
        self._waiting.clear()
        self.stopped = False
