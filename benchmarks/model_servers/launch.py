"""The programs of the peers: how each is started, on which processor, and how it ends."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from benchmarks.closed_loop import once
from benchmarks.model_servers.risk_model import FILE, PORT
from benchmarks.serving import free
from exercises.scratch import ROOT
from pipeline.shared.errors import EnvironmentUnfit, ServersFailed
from pipeline.shared.processes import Patience

FOLDER = Path(__file__).resolve().parent
LOCKS, ENVIRONMENTS = ROOT / "benchmarks" / "environments", ROOT / "state" / "peers"
APART = ("bentoml", "litserve", "mlserver")
"""Servers with an environment of their own; the others are in requirements.lock."""
CLIENT, SERVER = 0, -1
"""Which of this process's processors the client has, and which each server."""
START_SECONDS, END_SECONDS = 300.0, 20.0
_PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINS = len(_PROCESSORS) > 1
"""Whether client and server can have a processor each."""


@contextlib.contextmanager
def own_state(name: str) -> Iterator[Path]:
    """A folder with a filled online store and an empty request log, which our servers then use."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as made:
        folder = Path(made).resolve()
        os.environ["PIPELINE_ONLINE_URL"] = f"sqlite:///{folder}/online.db"
        os.environ["PIPELINE_LOG_URL"] = f"sqlite:///{folder}/log.db"
        command = [sys.executable, "-m", "pipeline", "materialize"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield folder


@dataclass(frozen=True)
class Program:
    """A server's command, in which {port} stands for the port, and what it is told besides."""

    name: str
    command: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    write: Callable[[int], None] = lambda port: None  # noqa: ARG005  its files, where it reads some


def python(name: str) -> Path:
    """The Python of a peer's own environment."""
    return ENVIRONMENTS / name / "venv" / "bin" / "python"


def require(names: tuple[str, ...]) -> None:
    """Refuse to measure without a peer.

    Raises:
        EnvironmentUnfit: an environment is not installed.
    """
    if missing := [name for name in names if not python(name).exists()]:
        raise EnvironmentUnfit(
            f"{len(missing)} of {len(names)} environments are not installed in {ENVIRONMENTS}: "
            f"{', '.join(missing)}; `make peers` installs them"
        )


def programs(digest: str, model: Path, folder: Path) -> dict[str, Program]:
    """Every server, for a release of ours and for its model's file; `folder` takes their files."""
    here = str(Path(sys.executable).parent)
    peer = {FILE: str(model), "PYTHONPATH": str(FOLDER)}
    serve = [str(FOLDER / "serve.py")]
    local = ["--host", "127.0.0.1", "--port", "{port}"]
    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    bento = [str(python("bentoml")), "-m", "bentoml", "serve", "bentoml_service:Risk"]
    return {
        "bare": Program("bare", [sys.executable, *serve, "bare_asgi"], peer),
        "ours": Program(
            "ours",
            [sys.executable, *serve, "ours"],
            {"PEER_RELEASE": digest, "PYTHONPATH": str(ROOT)},
        ),
        "mlflow": Program(
            "mlflow",
            [*mlflow, "--model-uri", str(model.parent), "--workers", "1", *local],
            {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}"},
        ),
        "kserve": Program("kserve", [sys.executable, *serve, "kserve_model"], peer),
        "bentoml": Program(
            "bentoml",
            [*bento, "--working-dir", str(FOLDER), *local],
            {**peer, "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"},
        ),
        "litserve": Program("litserve", [str(python("litserve")), *serve, "litserve_api"], peer),
        "mlserver": Program(
            "mlserver",
            [str(python("mlserver").with_name("mlserver")), "start", str(folder / "mlserver")],
            peer,
            lambda port: _mlserver_files(folder / "mlserver", port),
        ),
    }


def _mlserver_files(folder: Path, port: int) -> None:
    """What MLServer reads: one process, and each of its three listeners on this machine only."""
    folder.mkdir(exist_ok=True)
    settings = {"host": "127.0.0.1", "http_port": port, "parallel_workers": 0}
    settings |= {"grpc_port": free(), "metrics_port": free(), "metrics_dir": str(folder)}
    model = {"name": "risk", "implementation": "mlserver_runtime.Risk"}
    for name, content in {"settings.json": settings, "model-settings.json": model}.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


@contextlib.contextmanager
def pinned(place: int) -> Iterator[None]:
    """Keep this thread, and what it starts, on one processor, where the system can do that."""
    if not PINS:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_PROCESSORS[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Running:
    """A server that answers: its port, its first process, the seconds to its first answer."""

    port: int
    process: psutil.Process
    seconds: float

    def memory_mb(self) -> float:
        """The memory of all its processes; what they share counts once, where the system tells."""
        found = 0
        for one in [self.process, *self.process.children(recursive=True)]:
            told = one.memory_full_info()
            found += getattr(told, "pss", told.rss)
        return round(found / 1e6, 1)

    def processes(self) -> int:
        """How many processes it has."""
        return 1 + len(self.process.children(recursive=True))


@contextlib.contextmanager
def running(program: Program, request: bytes) -> Iterator[Running]:
    """Start a server and wait for its first answer; it ends with the block, its children too.

    Raises:
        ServersFailed: it ended, or never answered.
    """
    port = free()
    program.write(port)
    command = [word.replace("{port}", str(port)) for word in program.command]
    settings = {**os.environ, **program.settings, PORT: str(port)}
    with tempfile.TemporaryFile() as said:
        with pinned(SERVER):
            began = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=ROOT, env=settings, stdout=said, stderr=said, start_new_session=True
            )
        try:
            while why := _refusal(port, request):
                _require_alive(program.name, process, time.perf_counter() - began, said, why)
                time.sleep(0.01)
            yield Running(port, psutil.Process(process.pid), time.perf_counter() - began)
        finally:
            _end(process)


def _refusal(port: int, request: bytes) -> str:
    """Why a server does not answer; "" once it does."""
    try:
        once(port, request)
    except OSError as why:  # not there yet, or not ready
        return str(why) or type(why).__name__
    return ""


def _require_alive(
    name: str,
    process: "subprocess.Popen[bytes]",
    seconds: float,
    said: IO[bytes],
    why: str,
) -> None:
    code = process.poll()
    if code is None and seconds < START_SECONDS:
        return
    said.seek(0)
    last = said.read()[-2000:].decode(errors="replace")
    how = f"does not answer after {seconds:.0f} s ({why})" if code is None else f"ended with {code}"
    raise ServersFailed(f"{name} {how}, of {START_SECONDS:.0f} s; `make peers` renews it:\n{last}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a server and all its processes: SIGTERM, and SIGKILL for those that stay."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [psutil.Process(process.pid)]
        family += family[0].children(recursive=True)
        for signalled in ("terminate", "kill"):
            for one in family if signalled == "kill" else family[:1]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(one, signalled)()
            patience = Patience(END_SECONDS)
            while any(map(_runs, family)) and not patience.over():
                process.poll()
                time.sleep(0.02)
    process.wait()


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def versions() -> dict[str, str]:
    """The version of each peer, from its lock."""
    locks = {name: LOCKS / f"{name}.lock" for name in APART}
    locks |= dict.fromkeys(
        ("mlflow", "kserve", "uvicorn", "onnxruntime"), ROOT / "requirements.lock"
    )
    found = {
        name: re.search(rf"^{name}==([^\s;]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        for name, path in locks.items()
    }
    return {name: match[1] for name, match in found.items() if match}
