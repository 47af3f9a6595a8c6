"""Everything that `make monitor-live` starts, in its order, and ends."""

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
from pipeline.monitor.operations.signals import SIGNALS, Signals, write
from pipeline.records.rollout_ledger import Side
from pipeline.registry import versions
from pipeline.rollout.state import ALL_CHAMPION, midnight_from, require_answers, sides
from pipeline.rollout.traffic import servers as serving_live
from pipeline.rollout.traffic.routes import Route
from pipeline.rollout.traffic.servers import Live
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
from simulation.alert_demo.receiver import Sink
from simulation.alert_demo.scene import Feed, Scene
from simulation.traffic import Traffic
from simulation.year import Year

FACTOR = 60
"""What windows are divided by: minutes become seconds."""
KEPT = Path("state/monitor/kept")
PROJECT = "monitor"
"""Of its own, so that a rollout that was interrupted finds its store and its servers."""
CONFIG = Path("configs/monitor")
_DAYS, _READY_SECONDS = 8, 20.0


@contextlib.contextmanager
def scene(programs: dict[str, str]) -> Iterator[Scene]:
    """Everything that runs, ready; all ended with the block, who asks first."""
    champion = sides()[0]
    require_answers(champion)
    first = midnight_from(clock.arrived_at(load(IngestConfig).as_of))
    with contextlib.ExitStack() as until_over:
        enter = until_over.enter_context
        serving_live.begin(KEPT)  # it loads what servers need while the traffic is made ready
        until_over.callback(serving_live.end, KEPT)
        ahead = Year().traffic(first, _DAYS)
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="monitor-live-")))
        names = ["prometheus", "alertmanager", "exporter", "sink"]
        ports = dict(zip(names, serving_live.free_ports(len(names)), strict=True))
        _known(folder, champion, first)

        children, sink = enter(Supervisor(folder)), enter(Sink(HOST, ports["sink"]))
        live, feed = enter(_serving(champion, folder))
        ports |= {"proxy": live.wanted.admin, "champion": live.wanted.servers["champion"].port}
        _targets(folder, live, ports)
        for command in watchers(programs, folder, ports):
            name = Path(command[0]).name
            children.start(name, command, folder / f"{name}.log", cwd=folder)
        sent = enter(contextlib.closing(_sent(ahead, feed, live)))
        exporter = [sys.executable, "-m", "pipeline", "exporter", f"--port={ports['exporter']}"]
        ready = Scene(live, feed, sent, sink, ports, children, exporter)
        ready.show()
        _wait(ready)
        yield ready


@contextlib.contextmanager
def _serving(champion: Side, folder: Path) -> Iterator[tuple[Live, Feed]]:
    """The champion's servers behind the proxy, an online store and a log of their own."""
    config, serve = load(FeaturesConfig), load(ServeConfig)
    log = f"sqlite:///{folder}/log.db"
    both = {"champion": champion, "control": champion}
    with open_store(config, serve, project=PROJECT, empty=True) as store:
        route = Route(ALL_CHAMPION, PROJECT)
        with serving_live.serving(both, route, KEPT, PROJECT, log) as live:
            yield live, Feed(store)


def _sent(ahead: Traffic, feed: Feed, live: Live) -> Generator[int, None, None]:
    """Let the simulated time pass, and ask for its flights; how many, each time."""
    caller, grid = (live.wanted.callers, live.wanted.keys.caller), load(FeaturesConfig).grid_minutes
    for _, _, flights in ahead.send(*caller, cast(Store, feed), grid):
        yield flights
    raise ServersFailed(
        f"the traffic of {_DAYS} days, {len(ahead.at):,} flights, ended before the scene; see the "
        "pace in simulation/alert_demo/scene.py"
    )


def _known(folder: Path, champion: Side, first: pd.Timestamp) -> None:
    """What the monitoring job last told; without it, what is known of the champion anyway."""
    path = folder / SIGNALS
    path.parent.mkdir(parents=True)
    if SIGNALS.is_file():
        shutil.copy(SIGNALS, path)
        return
    version = versions.get_version(load(RegisterConfig), champion.version)
    last = pd.Timestamp(version.tag("window").split("..")[1], tz="UTC") + pd.Timedelta(days=1)
    age = (first - last) / pd.Timedelta(days=1)
    told = {"version": champion.version, "release": champion.release, "model_age_days": age}
    write(Signals.model_validate({"at": first.to_pydatetime(), **told}), path)


def watchers(programs: dict[str, str], folder: Path, ports: dict[str, int]) -> Iterator[list[str]]:
    """How Prometheus and Alertmanager are started, on shortened copies of their configs."""
    _shortened(folder, ports)
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


def _shortened(folder: Path, ports: dict[str, int]) -> None:
    """The project's configs with short windows and intervals, and addresses of this scene."""
    rules = in_seconds(RULES.read_text(encoding="utf-8"))
    (folder / "alerts.yml").write_text(rules, encoding="utf-8")
    config = yaml_files.parse((CONFIG / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    at = [{"targets": [f"{HOST}:{ports['alertmanager']}"]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": at}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    routes = yaml_files.parse((CONFIG / "alertmanager.yml").read_text(encoding="utf-8"))
    _hurried(routes["route"])
    for receiver in routes["receivers"]:
        told = f"http://{HOST}:{ports['sink']}/{receiver['name']}"
        receiver["webhook_configs"] = [{"url": told, "send_resolved": True}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routes), encoding="utf-8")


def in_seconds(rules: str) -> str:
    """The rules with each window and each `for` in seconds for minutes; no limit changes."""
    return re.sub(r"(\[|\bfor: )(\d+)m\b", r"\1\2s", rules)


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
    patience = Patience(_READY_SECONDS)
    while not patience.over():
        told = loopback.get(scene.ports["prometheus"], "/api/v1/query?query=up==1")
        read = len(json.loads(told)["data"]["result"]) if told else 0
        if read == wanted:
            scene.began = time.monotonic()
            scene.report("")
            return
        time.sleep(0.1)
    raise ServersFailed(
        f"Prometheus reads {read} of {wanted} targets after {_READY_SECONDS:g} s; see "
        f"its own words in {scene.children.folder}, and run `make monitor-live` again"
    )
