"""A checkout's service as its callers see it: started by its own command, asked over HTTP."""

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exercises.briefs.statement import Statement
from exercises.workbench.checking import Unmet, Words
from pipeline.shared import loopback

READY_SECONDS, END_SECONDS, COMMAND_SECONDS = 60.0, 15.0, 600.0
"""How long a start, an end and another command of a checkout may take."""
_JSON = {"content-type": "application/json"}
_LAST = 300


@dataclass(frozen=True)
class Service:
    """A running service: its checkout, what that states, its process and its port."""

    folder: Path
    statement: Statement
    process: "subprocess.Popen[bytes]"
    port: int
    output: Path

    def ask(self, body: Any, path: str = "/predict") -> tuple[int, Any]:
        """The status and the answer to a POST; None for an answer that is not JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            done, answer = loopback.request(self.port, path, content, _JSON, 10.0)
        except (OSError, http.client.HTTPException) as error:
            said = Words(f"{type(error).__name__}: {error}")
            raise Unmet(Words(f"an answer to POST {path}"), said, self.said()) from error
        try:
            return done.status, json.loads(answer)
        except ValueError:
            return done.status, None

    def answer(self, body: Any) -> dict[str, Any]:
        """The answer to a request that has to be answered.

        Raises:
            Unmet: the status is not 200, or the answer is no object.
        """
        status, found = self.ask(body)
        if status != 200 or not isinstance(found, dict):
            raise Unmet(Words("200 and an object"), (status, found))
        return found

    def said(self) -> str:
        """The last words of the service."""
        words = self.output.read_text(encoding="utf-8", errors="replace").strip()
        return f"it said: {words[-_LAST:]}" if words else "it said nothing"

    def end(self) -> int | None:
        """Ask it to end by SIGTERM; its exit code, None if it did not end in time."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(END_SECONDS)
        return None


def run(folder: Path, command: str) -> tuple[int, str]:
    """Run a command of a checkout to its end; its exit code and what it said."""
    try:
        done = subprocess.run(
            shlex.split(command),
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return -1, f"{type(error).__name__}: {error}"
    return done.returncode, done.stdout.decode(errors="replace").strip()[-_LAST:]


@contextmanager
def serving(folder: Path, statement: Statement) -> Iterator[Service]:
    """Start a checkout's service and wait until it is ready; it ends with the block.

    Raises:
        Unmet: it cannot be started, ends by itself, or is not ready in time.
    """
    port = _free_port()
    command = statement.serve.replace("{port}", str(port))
    with tempfile.NamedTemporaryFile(prefix="brief-") as output:
        try:
            process = subprocess.Popen(
                shlex.split(command),
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise Unmet(Words(f"`{command}` starts"), Words(str(error))) from error
        service = Service(folder, statement, process, port, Path(output.name))
        try:
            _wait(service)
            yield service
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(service: Service) -> None:
    until = time.monotonic() + READY_SECONDS
    wanted = Words(f"GET /health answers 200 within {READY_SECONDS:.0f} s")
    while loopback.get(service.port, "/health") is None:
        if service.process.poll() is not None:
            raise Unmet(
                wanted, Words(f"it ended with {service.process.returncode}"), service.said()
            )
        if time.monotonic() > until:
            raise Unmet(wanted, Words("no 200"), service.said())
        time.sleep(0.1)


def _environment(folder: Path) -> dict[str, str]:
    """This environment, with the programs of the checkout's own .venv first."""
    own = folder / ".venv/bin"
    path = f"{own}{os.pathsep}{os.environ['PATH']}" if own.is_dir() else os.environ["PATH"]
    return {**os.environ, "PATH": path}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((loopback.HOST, 0))
        return int(found.getsockname()[1])
