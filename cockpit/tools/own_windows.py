"""Windows that are programs: MLflow, Evidently and Prometheus, on a folder's own state.

Each listens on this machine only, and ends with the cockpit. They are the tools themselves, and
MLflow's can change tags and aliases; who serves is in the ledger, which it cannot change.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cockpit.ports import free_port, listen
from cockpit.reading import Missing, read_config
from pipeline.monitor.operations.alerts import RULES
from pipeline.monitor.operations.job_signals import PREFIX
from pipeline.shared import dvc, loopback, yaml_files
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import ArtifactMissing, EnvironmentUnfit
from pipeline.shared.loopback import HOST
from pipeline.shared.processes import Patience, Supervisor
from pipeline.shared.programs import installing

WORKSPACE = Path("state/monitor/evidently")
"""Evidently's workspace, to which `make monitor` adds each month."""
_ROOT = Path(__file__).parents[2]
_READY_SECONDS = 60.0
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes for what nobody asks here
    "DO_NOT_TRACK": "true",
}


@dataclass(frozen=True)
class Part:
    """A program of a window: its command, and the path that answers once it is ready."""

    name: str
    command: list[str]
    port: int
    ready: str = "/"


@dataclass
class Windows:
    """The windows that are open, by tool and folder; `open_windows` creates it."""

    scratch: Path
    children: Supervisor
    running: dict[tuple[str, Path], str] = field(default_factory=dict)
    pids: list[int] = field(default_factory=list)

    def open(self, tool: str, folder: Path, port: int = 0) -> str:
        """Open a tool's window on a folder, or find it open; returns its address.

        Raises:
            ArtifactMissing: the tool has nothing to show there yet.
            EnvironmentUnfit: a program is not installed, the port is taken, or it does not start.
        """
        if (tool, folder) in self.running:
            return self.running[tool, folder]
        parts = PARTS[tool](folder, port or free_port(), self.scratch)
        listen(parts[-1].port, tool).close()  # what answers there must be the tool's own
        for part in parts:
            name = f"{len(self.pids)}-{part.name}"
            log = self.scratch / f"{name}.log"
            environment = _environment(folder)
            child = self.children.start(name, part.command, log, folder, environment)
            self.pids.append(child.pid)
            _wait(part, child.poll, log)
        self.running[tool, folder] = address = f"http://{HOST}:{parts[-1].port}/"
        return address

    def open_first(self, tool: str, folders: list[tuple[Path, str]], port: int) -> tuple[str, str]:
        """Open a tool's window on the first folder that has something for it to show.

        Returns its address and the folder's name.

        Raises:
            ArtifactMissing: none has.
            EnvironmentUnfit: as `open`.
        """
        *others, (last, name) = folders
        for folder, title in others:
            with contextlib.suppress(ArtifactMissing):
                return self.open(tool, folder, port), title
        return self.open(tool, last, port), name

    def end(self) -> None:
        """End every program with its own children."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)


def _environment(folder: Path) -> dict[str, str]:
    """This process's, without what tools would send; `pipeline` comes from the folder if it can."""
    return dvc.isolated_environment() | _QUIET | {"PWD": str(folder), "PYTHONPATH": str(_ROOT)}


@contextmanager
def open_windows() -> Iterator[Windows]:
    """Open no window yet; in the end all are closed."""
    with tempfile.TemporaryDirectory(prefix="cockpit-") as name:
        scratch = Path(name)
        with Supervisor(scratch / "children") as children:
            windows = Windows(scratch, children)
            try:
                yield windows
            finally:
                windows.end()


def _wait(part: Part, poll: Callable[[], int | None], log: Path) -> None:
    patience = Patience(_READY_SECONDS)
    while loopback.get(part.port, part.ready) is None:
        if poll() is not None or patience.over():
            said = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise EnvironmentUnfit(
                f"{part.name} did not open on {HOST}:{part.port} within {_READY_SECONDS:g} s; it "
                f"said: {said[0][:200]}; `make setup` installs it anew"
            )
        time.sleep(0.05)


def _program(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).with_name(name))


def _mlflow(folder: Path, port: int, _: Path) -> list[Part]:
    """MLflow's server on the registry of a folder."""
    config = read_config(folder, RegisterConfig)
    if isinstance(config, Missing):
        raise ArtifactMissing(f"{config.what}: {config.why}; see `{config.command}`")
    if config.database is None:
        raise EnvironmentUnfit(
            f"the registry is a server, {config.tracking_url}; see it in a browser at its address"
        )
    path = folder / config.database
    if not path.is_file():
        raise ArtifactMissing(f"{path} is not there yet; `make champion` registers a model")
    options = [f"--host={HOST}", f"--port={port}", "--workers=1"]
    store = f"--backend-store-uri=sqlite:///{path.absolute()}"
    return [Part("mlflow", [_program("mlflow"), "ui", store, *options], port, "/health")]


def _evidently(folder: Path, port: int, _: Path) -> list[Part]:
    """Evidently's service on the workspace of a folder."""
    path = folder / WORKSPACE
    if not path.is_dir():
        raise ArtifactMissing(f"{path} is not there yet; `make monitor` adds a month to it")
    options = ["--workspace", str(path), "--host", HOST, "--port", str(port)]
    return [Part("evidently", [_program("evidently"), "ui", *options], port)]


def _prometheus(folder: Path, port: int, scratch: Path) -> list[Part]:
    """A Prometheus with the rules on the monitoring job, and an exporter of its last signals.

    Rules on servers are left out: none run for it, and each would say that they are down.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise EnvironmentUnfit(
            f"there is no prometheus here, which this window is; {installing(['prometheus'])}, or "
            "see the dashboard without it: `make ui TOOL=dashboard`"
        )
    if not (folder / "data/monitor/signals.json").is_file():
        raise ArtifactMissing("data/monitor/signals.json is not there yet; run `make monitor`")
    signals, config = free_port(), scratch / "prometheus.yml"
    rules = scratch / "alerts.yml"
    rules.write_text(yaml.safe_dump(monitoring_rules(folder / RULES)), encoding="utf-8")
    config.write_text(yaml.safe_dump(_scrape(rules, signals)), encoding="utf-8")
    exporter = [sys.executable, "-m", "pipeline", "exporter", f"--port={signals}"]
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={scratch}/prometheus",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    ]
    return [
        Part("exporter", exporter, signals, "/metrics"),
        Part("prometheus", [program, *options], port, "/-/ready"),
    ]


def monitoring_rules(path: Path) -> dict[str, object]:
    """The groups of the project's alerts, with the rules on the monitoring job's signals alone."""
    groups = yaml_files.parse(path.read_text(encoding="utf-8"))["groups"]
    kept = [
        {**group, "rules": [rule for rule in group["rules"] if PREFIX in rule["expr"]]}
        for group in groups
    ]
    return {"groups": [group for group in kept if group["rules"]]}


def _scrape(rules: Path, port: int) -> dict[str, object]:
    """The configuration of this Prometheus, which reads the exporter alone."""
    targets = {"targets": [f"{HOST}:{port}"]}
    return {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "monitor", "static_configs": [targets]}],
    }


PARTS: dict[str, Callable[[Path, int, Path], list[Part]]] = {
    "mlflow": _mlflow,
    "evidently": _evidently,
    "prometheus": _prometheus,
}
"""By tool, its programs in the order in which they start; the last one is the window."""
