"""An alert as it happens: real servers, real traffic, a real Prometheus, and a fault among them.

Hours become minutes: every window and every `for` is divided by one number, no limit is changed.
The fault is injected, its alert has to fire; it is repaired, the alert has to end.
"""

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import yaml

from pipeline.features.store import Store, opened
from pipeline.monitor import rules, slo
from pipeline.monitor.alerts import configured
from pipeline.monitor.children import Child, ended_by_signals, page, program
from pipeline.monitor.exporter import HOST
from pipeline.monitor.signals import SIGNALS, Signals, write
from pipeline.monitor.sink import Sink
from pipeline.rollout import live as serving_live
from pipeline.rollout.envoy import Route
from pipeline.rollout.live import Live
from pipeline.rollout.rollout import ALL_CHAMPION, alone, midnight_from, require_answers, sides
from pipeline.rollout.traffic import Traffic, Users, lived, traffic
from pipeline.shared import clock, tracking
from pipeline.shared.config import (
    FeaturesConfig,
    IngestConfig,
    MonitorConfig,
    RegisterConfig,
    ServeConfig,
    load,
)
from pipeline.shared.errors import AlertSilent, ConfigError, ServersFailed
from pipeline.shared.files import write_json
from pipeline.shared.ledger import Side

if TYPE_CHECKING:
    from pipeline.serve.metrics import Sample

FAULTS = {
    "failing": "ErrorBudgetBurnsFast",
    "slow": "SlowAnswers",
    "missing": "MissingFeatures",
    "feed": "StaleFeatures",
    "exporter": "SignalsMissing",
}
"""What can be injected, and the alert that it has to fire."""
FACTOR = 60
"""What windows are divided by: an hour becomes a minute."""
KEPT = Path("state/monitor/kept")
PROJECT = "monitor"
"""Of its own, so that a rollout that was interrupted finds its store and its servers."""
CONFIG = Path("configs/monitor")
_DAYS, _SOUND_SECONDS, _PATIENCE_SECONDS, _READY_SECONDS = 8, 8.0, 40.0, 20.0
_REQUESTS_A_SECOND = 60


def monitor_live(fault: str = "failing") -> str:
    """Inject a fault among real servers, and watch its alert fire and end in a real Prometheus.

    Raises:
        AlertSilent: it did not fire, or did not end after the repair.
        ConfigError: no such fault is known.
        EnvironmentUnfit: Prometheus or Alertmanager is not installed.
        RolloutRefused: a rollout is going on.
    """
    if fault not in FAULTS:
        raise ConfigError(
            f"{fault!r} is none of the {len(FAULTS)} faults that can be injected: "
            f"{', '.join(FAULTS)}; as in `make monitor-live FAULT=slow`"
        )
    programs = {name: program(name) for name in ("prometheus", "alertmanager")}
    with alone(), ended_by_signals(), _scene(programs) as scene:
        return _played(scene, fault)


def _played(scene: "Scene", fault: str) -> str:
    """Sound, broken, repaired; how long each change took to show."""
    name = FAULTS[fault]
    scene.say(f"every window and `for` of {rules.RULES} is divided by {FACTOR}, no limit changed")
    scene.live_for(_SOUND_SECONDS)
    scene.report("sound")
    if firing := sorted(scene.states):
        scene.say(f"before any fault: {', '.join(firing)}")
    scene.until(lambda: name not in scene.states, f"{name} was active before any fault, and stayed")
    scene.say(f"fault injected: {fault}")
    began = time.monotonic()
    mend = scene.broken(fault)
    scene.until(lambda: scene.states.get(name) == "firing", f"{name} did not fire")
    fired = time.monotonic() - began
    scene.until(lambda: scene.sink.told(name, "firing"), f"nobody was told of {name}")
    scene.report("with the fault")
    scene.say("repaired")
    began = time.monotonic()
    mend()
    scene.until(lambda: name not in scene.states, f"{name} did not end")
    ended = time.monotonic() - began
    scene.until(lambda: scene.sink.told(name, "resolved"), f"nobody was told that {name} ended")
    return (
        f"{fault}: {name} fired {fired:.0f} s after the fault and ended {ended:.0f} s after the "
        f"repair, {FACTOR} times faster than in service; {scene.sink.receiver(name)} was told of "
        f"both; {scene.asked:,} requests"
    )


@dataclass
class Scene:
    """Everything that runs: what is asked, what is watched, and what can be broken."""

    live: Live
    feed: "Feed"
    users: Users
    requests: Iterator[int]
    sink: Sink
    ports: dict[str, int]
    exporter: Callable[[], Child]
    showing: Child
    states: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    began: float = field(default_factory=time.monotonic)
    looked: "tuple[float, list[Sample]] | None" = None

    def say(self, words: str) -> None:
        """A line, with the seconds since the beginning."""
        sys.stdout.write(f"  {time.monotonic() - self.began:5.1f} s  {words}\n")
        sys.stdout.flush()

    def step(self) -> None:
        """A few requests at the scene's pace; then look at the alerts, and at who was told."""
        until = time.monotonic()
        self.asked += (sent := next(self.requests))
        for line in self.sink.news():
            self.say(line)
        self._look()
        time.sleep(max(0.0, until + sent / _REQUESTS_A_SECOND - time.monotonic()))

    def live_for(self, seconds: float) -> None:
        """Let time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def until(self, happened: Callable[[], bool], otherwise: str) -> None:
        """Let time pass until something has happened.

        Raises:
            AlertSilent: it does not in time.
        """
        end = time.monotonic() + _PATIENCE_SECONDS
        while not happened():
            if time.monotonic() > end:
                raise AlertSilent(
                    f"{otherwise} within {_PATIENCE_SECONDS:g} s of {self.asked:,} requests; "
                    f"active are: {self._active()}; see the rule in {rules.RULES}"
                )
            self.step()

    def _active(self) -> str:
        return ", ".join(f"{name} {state}" for name, state in self.states.items()) or "none"

    def _look(self) -> None:
        found = active(self.ports["prometheus"])
        for name in sorted({*found, *self.states}):
            if (now := found.get(name)) != self.states.get(name):
                self.say(f"{name}: {now or 'over'}")
        self.states = found

    def report(self, when: str) -> None:
        """The indicators since the last report."""
        now = (time.monotonic(), self._samples())
        if self.looked is not None:
            before, samples = self.looked
            looked = slo.Looked(samples, now[1], now[0] - before)
            found = slo.indicators(looked, load(MonitorConfig).slo, load(ServeConfig))
            self.say(f"the service, {when}\n{slo.table(found)}")
        self.looked = now

    def _samples(self) -> "list[Sample]":
        from pipeline.serve.metrics import samples

        paths = {"proxy": "/stats/prometheus", "champion": "/metrics", "exporter": "/metrics"}
        pages = [page(f"http://{HOST}:{self.ports[name]}{path}") for name, path in paths.items()]
        return [sample for text in pages if text for sample in samples(text)]

    def broken(self, fault: str) -> Callable[[], None]:
        """Inject a fault; what repairs it."""
        if fault == "feed":
            self.feed.stopped = True
            return self.feed.caught_up
        if fault == "exporter":
            self.showing.kill()
            return self._show_again
        self._deploy(fault)
        return lambda: self._deploy("")

    def _deploy(self, fault: str) -> None:
        """The champion's server with this fault, or none; meanwhile the proxy asks the control."""
        wanted = self.live.wanted
        other = wanted.servers["champion"].model_copy(update={"fault": fault})
        servers = {**wanted.servers, "champion": other}
        changed = wanted.model_copy(update={"servers": servers})
        write_json(self.live.folder / "wanted.json", changed.model_dump())

    def _show_again(self) -> None:
        self.showing = self.exporter()


def active(port: int) -> dict[str, str]:
    """The alerts that Prometheus holds to be pending or firing; firing, if one of many is."""
    told = page(f"http://{HOST}:{port}/api/v1/alerts")
    found = json.loads(told)["data"]["alerts"] if told else []
    states = sorted((one["labels"]["alertname"], one["state"]) for one in found)
    return dict(reversed(states))


class Feed:
    """The way into the online store; while it is stopped, rows wait and no view is complete."""

    def __init__(self, store: Store):
        """`store` takes everything until it is stopped."""
        self._store, self._waiting = store, list[tuple[str, list[Any]]]()
        self.stopped = False

    def prepared(self, view: str, rows: pd.DataFrame) -> list[Any]:
        """Rows as the store takes them."""
        return self._store.prepared(view, rows)

    def write(self, view: str, rows: list[Any]) -> None:
        """Take rows, or let them wait."""
        if self.stopped:
            self._waiting.append((view, rows))
        else:
            self._store.write(view, rows)

    def complete(self, views: Any, until: pd.Timestamp) -> None:
        """Say that everything until an instant is there, if it is."""
        if not self.stopped:
            self._store.complete(views, until)

    def caught_up(self) -> None:
        """Write what has waited, in its order, and go on."""
        for view, rows in self._waiting:
            self._store.write(view, rows)
        self._waiting.clear()
        self.stopped = False


@contextlib.contextmanager
def _scene(programs: dict[str, str]) -> Iterator[Scene]:
    """Everything that runs, ready; all ended with the block, who asks first."""
    champion = sides()[0]
    require_answers(champion)
    first = midnight_from(clock.arrived_at(load(IngestConfig).as_of))
    with contextlib.ExitStack() as until_over:
        enter = until_over.enter_context
        serving_live.begin(KEPT)  # it loads what servers need while the traffic is made ready
        until_over.callback(serving_live.end, KEPT)
        ahead = traffic(first, _DAYS)
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="monitor-live-")))
        names = ["prometheus", "alertmanager", "exporter", "sink"]
        ports = dict(zip(names, serving_live.free_ports(len(names)), strict=True))
        _known(folder, champion, first)

        def exporter() -> Child:
            words = ["-m", "pipeline", "exporter", f"--port={ports['exporter']}"]
            return enter(Child([sys.executable, *words], folder))

        showing, sink = exporter(), enter(Sink(HOST, ports["sink"]))
        live, feed = enter(_serving(champion, folder))
        ports |= {"proxy": live.wanted.admin, "champion": live.wanted.servers["champion"].port}
        _targets(folder, live, ports)
        for command in _watchers(programs, folder, ports):
            enter(Child(command, folder))
        users = Users(live.wanted.users)
        until_over.callback(users.close)
        sent = _sent(ahead, feed, users)
        scene = Scene(live, feed, users, sent, sink, ports, exporter, showing)
        _wait(scene)
        yield scene


@contextlib.contextmanager
def _serving(champion: Side, folder: Path) -> Iterator[tuple[Live, Feed]]:
    """The champion's servers behind the proxy, an online store and a log of their own."""
    config, serve = load(FeaturesConfig), load(ServeConfig)
    log = f"sqlite:///{folder}/log.db"
    both = {"champion": champion, "control": champion}
    with opened(config, serve, project=PROJECT, empty=True) as store:
        route = Route(ALL_CHAMPION, PROJECT)
        with serving_live.serving(both, route, KEPT, PROJECT, log) as live:
            yield live, Feed(store)


def _sent(ahead: Traffic, feed: Feed, users: Users) -> Iterator[int]:
    """Let the replay's time pass, and ask for its flights; how many, each time."""
    names, bodies = ahead.asked["name"].tolist(), ahead.asked["body"].tolist()
    grid = load(FeaturesConfig).grid_minutes
    for places in lived(ahead, cast(Store, feed), grid):
        users.ask([names[i] for i in places], [bodies[i] for i in places])
        yield len(places)
    raise ServersFailed(
        f"the traffic of {_DAYS} days, {len(names):,} requests, ended before the scene; see the "
        "pace in pipeline/monitor/live.py"
    )


def _known(folder: Path, champion: Side, first: pd.Timestamp) -> None:
    """What the monitoring job last told; without it, what is known of the champion anyway."""
    path = folder / SIGNALS
    path.parent.mkdir(parents=True)
    if SIGNALS.is_file():
        shutil.copy(SIGNALS, path)
        return
    version = tracking.named(load(RegisterConfig), champion.version)
    last = pd.Timestamp(version.tag("window").split("..")[1], tz="UTC") + pd.Timedelta(days=1)
    age = (first - last) / pd.Timedelta(days=1)
    told = {"version": champion.version, "release": champion.release, "model_age_days": age}
    write(Signals.model_validate({"at": first.to_pydatetime(), **told}), path)


def _watchers(programs: dict[str, str], folder: Path, ports: dict[str, int]) -> Iterator[list[str]]:
    """How Prometheus and Alertmanager are started, on shortened copies of their configs."""
    found = rules.shortened(configured(), FACTOR)
    (folder / "alerts.yml").write_text(rules.rules(found, seconds=1), encoding="utf-8")
    config = yaml.safe_load((CONFIG / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    at = [{"targets": [f"{HOST}:{ports['alertmanager']}"]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": at}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    yield [
        programs["prometheus"],
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address={HOST}:{ports['prometheus']}",
        "--log.level=warn",
    ]
    routes = yaml.safe_load((CONFIG / "alertmanager.yml").read_text(encoding="utf-8"))
    _hurried(routes["route"])
    for receiver in routes["receivers"]:
        told = f"http://{HOST}:{ports['sink']}/{receiver['name']}"
        receiver["webhook_configs"] = [{"url": told, "send_resolved": True}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routes), encoding="utf-8")
    yield [
        programs["alertmanager"],
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={HOST}:{ports['alertmanager']}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


def _hurried(route: dict[str, Any]) -> None:
    """Whoever is told, is told within a second."""
    route |= {"group_wait": "1s", "group_interval": "1s"}
    for inner in route.get("routes", []):
        _hurried(inner)


def _targets(folder: Path, live: Live, ports: dict[str, int]) -> None:
    """Tell Prometheus whom to read, in the files that it watches."""
    servers = [server.port for server in live.wanted.servers.values()]
    jobs = {"proxy": [ports["proxy"]], "server": servers, "monitor": [ports["exporter"]]}
    for job, numbers in jobs.items():
        told = [{"targets": [f"{HOST}:{number}" for number in numbers]}]
        write_json(folder / f"targets-{job}.json", told)


def _wait(scene: Scene) -> None:
    """Until Prometheus reads everybody.

    Raises:
        ServersFailed: it does not.
    """
    read, wanted = 0, len(scene.live.wanted.servers) + 2
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
        told = page(f"http://{HOST}:{scene.ports['prometheus']}/api/v1/query?query=up==1")
        read = len(json.loads(told)["data"]["result"]) if told else 0
        if read == wanted:
            scene.began = time.monotonic()
            scene.report("")
            return
        time.sleep(0.1)
    raise ServersFailed(
        f"Prometheus reads {read} of {wanted} targets after {_READY_SECONDS:g} s; see "
        f"its own words in {scene.showing.log.parent}, and run `make monitor-live` again"
    )
