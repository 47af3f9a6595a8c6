"""How large is the server's image, how long does it take to build, and until it is ready?

Buildah builds `make image` on a base of Debian's own packages, cut off from every network, and runs
it with the champion's release mounted. Its store is a folder of its own, without overlays: that way
it works where cgroups and overlays are not to be had, and every layer is copied.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.__main__ import run_command
from pipeline.registry.release_loader import RELEASES, export
from pipeline.shared import loopback, requirements
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.files import write_json
from pipeline.shared.processes import Patience

FOUND = Path("benchmarks/image.json")
BASE = "localhost/debian-python:3.11"
ROUNDS, START_SECONDS, END_SECONDS = 5, 600.0, 30.0
UNITS = {"": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True)
class Engine:
    """Buildah with a store in a folder of its own."""

    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """The variables by which Buildah finds its store, and isolates by chroot alone."""
        config = str(self.folder / "storage.conf")
        own = {"CONTAINERS_STORAGE_CONF": config, "STORAGE_DRIVER": "vfs"}
        return {**own, "BUILDAH_ISOLATION": "chroot"}

    def run(self, *words: str) -> str:
        """Run Buildah to its end; what it printed."""
        environment = {**os.environ, **self.settings}
        command = ["buildah", *words]
        return subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()

    def image(self, name: str) -> dict[str, Any]:
        """What an image is told to run, by which account, and how its health is checked."""
        found = json.loads(self.run("inspect", "--type", "image", name))
        return dict(found["Docker"]["config"])

    def size(self, name: str) -> float:
        """An image's bytes."""
        amount, unit = json.loads(self.run("images", "--json", name))[0]["size"].split()
        return float(amount) * UNITS[unit]


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """An engine whose images and containers go with the block."""
    folder.mkdir()
    places = f'graphroot = "{folder}/store"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{places}', encoding="utf-8")
    made = Engine(folder)
    try:
        yield made
    finally:
        made.run("rm", "--all")
        made.run("rmi", "--all", "--force")
        shutil.rmtree(folder, ignore_errors=True)


def make_base(made: Engine) -> None:
    """Make BASE of Debian's packages: the smallest system, and its Python 3.11."""
    root = made.folder / "root.tar"
    system = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3", "bookworm"]
    subprocess.run([*system, str(root)], check=True)
    container = made.run("from", "scratch")
    made.run("add", "--quiet", container, str(root), "/")
    made.run("commit", "--quiet", "--rm", container, BASE)
    root.unlink()


def readable(releases: Path, to: Path) -> Path:
    """A copy of the exported releases that the container's account may read and nobody write."""
    shutil.copytree(releases, to)
    for path in [to, *to.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o444)
    return to


@dataclass(frozen=True)
class Server:
    """A running container of the image: its name, its port, and the seconds until it was ready."""

    container: str
    port: int
    ready: float


@contextlib.contextmanager
def serving(made: Engine, name: str, releases: Path, digest: str) -> Iterator[Server]:
    """Run an image's own command on a mounted release, on this machine's loopback only."""
    container, port = made.run("from", "--pull-never", name), free_port()
    mounted = f"{releases.resolve()}:/app/state/serve/releases:ro"
    options = ["--volume", mounted, "--env", f"PIPELINE_HOST={loopback.HOST}"]
    words = [*made.image(name)["Entrypoint"], f"--version={digest}", f"--port={port}"]
    command = ["buildah", "run", *options, container, "--", *words]
    environment, began = {**os.environ, **made.settings}, time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            patience = Patience(START_SECONDS)
            while loopback.get(port, "/v2/health/ready") is None:
                if process.poll() is not None or patience.over():
                    said.seek(0)
                    raise EnvironmentUnfit(
                        f"{name} is not ready ({process.poll()}): {said.read()[-600:]!r}; "
                        "`make image` builds it again"
                    )
                time.sleep(0.02)
            yield Server(container, port, time.monotonic() - began)
        finally:
            end(process)
            made.run("rm", container)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a container's processes, by force where they take too long."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind((loopback.HOST, 0))
        return int(found.getsockname()[1])


def main() -> None:
    """Measure, and write what was found beside this file."""
    digest, lock = export("champion"), Path("configs/serve/requirements.lock")
    with tempfile.TemporaryDirectory() as name, engine(Path(name) / "images") as made:
        began = time.monotonic()
        make_base(made)
        shutil.rmtree("state/image", ignore_errors=True)
        based = time.monotonic()
        command = ["make", "image", f"FROM={BASE}", "TOOL=buildah"]
        done = subprocess.run(
            command, env={**os.environ, **made.settings}, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            sys.exit(done.returncode)
        built, tag = time.monotonic(), done.stdout.rpartition(" built by ")[0].split()[-1]
        releases, ready = readable(RELEASES, Path(name) / "releases"), []
        for _ in range(ROUNDS):
            with serving(made, tag, releases, digest) as server:
                ready.append(server.ready)
        found = {
            "image_mb": round(made.size(tag) / 1e6),
            "base_mb": round(made.size(BASE) / 1e6),
            "base_seconds": round(based - began),
            "build_seconds": round(built - based),
            "ready_seconds": round(median(ready), 1),
        }
    packages = len(list(requirements.entries(lock.read_text(encoding="utf-8"))))
    write_json(FOUND, {**found, "packages": packages, "rounds": ROUNDS})
    sys.stdout.write(f"image: {found}\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
