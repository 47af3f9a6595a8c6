"""The parts that `make monitor-live` starts, in order, and stops."""

import contextlib
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd
import yaml

from pipeline.features.online_store import Store, open_store
from pipeline.monitor.operations.alerts import RULES
from pipeline.monitor.operations.job_signals import SIGNALS, JobSignals, write_signals
from pipeline.records.rollout_ledger import Side
from pipeline.registry import versions
from pipeline.rollout.state import ALL_CHAMPION, midnight_from, require_servable, sides
from pipeline.rollout.traffic import servers as arm_servers
from pipeline.rollout.traffic.routes import Route
from pipeline.rollout.traffic.servers import Servers
from pipeline.shared import clock, loopback, yaml_files
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import ServersFailed
from pipeline.shared.files import write_json
from pipeline.shared.loopback import HOST
from pipeline.shared.processes import Patience, Supervisor
from pipeline.usecase.chosen import USECASE
from simulation.alert_demo.receiver import Sink
from simulation.alert_demo.scene import Scene, StoppableFeed
from simulation.traffic import ReplayedTraffic
from simulation.year import Year

FACTOR = 60
"""What windows are divided by: minutes become seconds."""
_SERVER_STATE = Path("state/monitor/kept")
_PROJECT = "monitor"
"""A project of its own, so that an interrupted rollout finds its store and its servers."""
CONFIG = Path("configs/monitor")
_DAYS, _READY_SECONDS = 8, 20.0


@contextlib.contextmanager
def scene(programs: dict[str, str]) -> Iterator[Scene]:
    """Open the scene with all parts ready; the block's end stops every child."""
    champion = sides()[0]
    require_servable(champion)
    first = midnight_from(clock.arrived_at(load(IngestConfig).as_of))
    with contextlib.ExitStack() as until_over:
        enter = until_over.enter_context
        arm_servers.start(_SERVER_STATE)  # it imports while the traffic is prepared
        until_over.callback(arm_servers.end, _SERVER_STATE)
        ahead = Year().traffic(first, _DAYS)
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="monitor-live-")))
        names = ["prometheus", "alertmanager", "exporter", "sink"]
        ports = dict(zip(names, arm_servers.free_ports(len(names)), strict=True))
        _write_signals(folder, champion, first)

        children, sink = enter(Supervisor(folder)), enter(Sink(HOST, ports["sink"]))
        servers, feed = enter(_open_servers(champion, folder))
        ports |= {"proxy": servers.spec.admin, "champion": servers.spec.servers["champion"].port}
        _targets(folder, servers, ports)
        for command in monitoring_commands(programs, folder, ports):
            name = Path(command[0]).name
            children.start(name, command, folder / f"{name}.log", cwd=folder)
        sent = enter(contextlib.closing(_send(ahead, feed, servers)))
        exporter = [sys.executable, "-m", "pipeline", "exporter", f"--port={ports['exporter']}"]
        ready = Scene(servers, feed, sent, sink, ports, children, exporter)
        ready.start_exporter()
        _wait(ready)
        yield ready


@contextlib.contextmanager
def _open_servers(champion: Side, folder: Path) -> Iterator[tuple[Servers, StoppableFeed]]:
    """The champion's servers behind the proxy, an online store and a log of their own."""
    config, serve = load(FeaturesConfig), load(ServeConfig)
    log = f"sqlite:///{folder}/log.db"
    both = {"champion": champion, "control": champion}
    with open_store(config, serve, project=_PROJECT, empty=True) as store:
        route = Route(ALL_CHAMPION, _PROJECT)
        with arm_servers.open_servers(both, route, _SERVER_STATE, _PROJECT, log) as servers:
            yield servers, StoppableFeed(store)


def _send(
    ahead: ReplayedTraffic, feed: StoppableFeed, servers: Servers
) -> Generator[int, None, None]:
    """Send the requests as simulated time passes; yields the number of each batch."""
    grid, spec = load(FeaturesConfig).grid_minutes, servers.spec
    for _, _, number in ahead.send(spec.callers, spec.keys.caller, cast(Store, feed), grid):
        yield number
    raise ServersFailed(
        f"the traffic of {_DAYS} days, {len(ahead.at):,} {USECASE.noun}, ended before the scene; "
        "see the pace in simulation/alert_demo/scene.py"
    )


def _write_signals(folder: Path, champion: Side, first: pd.Timestamp) -> None:
    """Write the signals of the last monitoring job, or the champion's age if there was none."""
    path = folder / SIGNALS
    path.parent.mkdir(parents=True)
    if SIGNALS.is_file():
        shutil.copy(SIGNALS, path)
        return
    version = versions.get_version(load(RegisterConfig), champion.version)
    last = pd.Timestamp(version.tag("window").split("..")[1], tz="UTC") + pd.Timedelta(days=1)
    age = (first - last) / pd.Timedelta(days=1)
    known = {"version": champion.version, "release": champion.release, "model_age_days": age}
    write_signals(JobSignals.model_validate({"at": first.to_pydatetime(), **known}), path)


def monitoring_commands(
    programs: dict[str, str], folder: Path, ports: dict[str, int]
) -> Iterator[list[str]]:
    """The commands of Prometheus and Alertmanager, on shortened copies of their configs."""
    _write_configs(folder, ports)
    yield [
        programs["prometheus"],
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address={HOST}:{ports['prometheus']}",
        "--log.level=warn",
    ]
    yield [
        programs["alertmanager"],
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={HOST}:{ports['alertmanager']}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


def _write_configs(folder: Path, ports: dict[str, int]) -> None:
    """The project's configs with short windows and intervals, and addresses of this scene."""
    rules = in_seconds(RULES.read_text(encoding="utf-8"))
    (folder / "alerts.yml").write_text(rules, encoding="utf-8")
    config = yaml_files.parse((CONFIG / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    at = [{"targets": [f"{HOST}:{ports['alertmanager']}"]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": at}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    routes = yaml_files.parse((CONFIG / "alertmanager.yml").read_text(encoding="utf-8"))
    _notify_at_once(routes["route"])
    for receiver in routes["receivers"]:
        url = f"http://{HOST}:{ports['sink']}/{receiver['name']}"
        receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routes), encoding="utf-8")


def in_seconds(rules: str) -> str:
    """The rules with each window and each `for` in seconds for minutes; no limit changes."""
    return re.sub(r"(\[|\bfor: )(\d+)m\b", r"\1\2s", rules)


def _notify_at_once(route: dict[str, Any]) -> None:
    """Alerts are delivered within a second."""
    route |= {"group_wait": "1s", "group_interval": "1s"}
    for inner in route.get("routes", []):
        _notify_at_once(inner)


def _targets(folder: Path, servers: Servers, ports: dict[str, int]) -> None:
    """Write Prometheus's targets, in the files that it watches."""
    served_at = [server.port for server in servers.spec.servers.values()]
    jobs = {"proxy": [ports["proxy"]], "server": served_at, "monitor": [ports["exporter"]]}
    for job, numbers in jobs.items():
        targets = [{"targets": [f"{HOST}:{number}" for number in numbers]}]
        write_json(folder / f"targets-{job}.json", targets)


def _wait(scene: Scene) -> None:
    """Wait until Prometheus reads all targets.

    Raises:
        ServersFailed: it does not in time.
    """
    read, expected = 0, len(scene.servers.spec.servers) + 2
    patience = Patience(_READY_SECONDS)
    while not patience.over():
        text = loopback.get(scene.ports["prometheus"], "/api/v1/query?query=up==1")
        read = len(json.loads(text)["data"]["result"]) if text else 0
        if read == expected:
            scene.began = time.monotonic()
            scene.report("")
            return
        time.sleep(0.1)
    raise ServersFailed(
        f"Prometheus reads {read} of {expected} targets after {_READY_SECONDS:g} s; see "
        f"its log in {scene.children.folder}, then run `make monitor-live` again"
    )
