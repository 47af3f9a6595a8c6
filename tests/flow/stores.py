"""Servers that stores can live on, each started on this machine and ended with its test."""

import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.model_servers import launch
from tests.patience import PATIENCE, until

BUCKET = "flights"


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    def answers() -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(answers, lambda: f"nothing answers at 127.0.0.1:{port}")


@contextmanager
def running(command: list[str], port: int, **options: object) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    try:
        wait_for(port)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis that keeps nothing on disk; its address."""
    port = free_port()
    settings = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with running(["redis-server", "--port", str(port), *settings], port):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL, which refuses to be run by root: root lends it another user. Its address."""
    port, data = free_port(), folder / "data"
    who = {"user": "nobody"} if os.geteuid() == 0 else {}
    if who:
        shutil.chown(folder, "nobody")
    subprocess.run(
        ["initdb", "-D", data, "-U", "flights", "-A", "trust"],
        check=True,
        capture_output=True,
        cwd=folder,
        **who,
    )
    settings = ["-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    command = ["postgres", "-D", str(data), "-p", str(port), *settings]
    with running(command, port, stderr=subprocess.DEVNULL, cwd=folder, **who):
        yield f"postgresql://flights@127.0.0.1:{port}/postgres"


@contextmanager
def s3() -> Iterator[str]:
    """An S3-compatible server with one bucket, all in memory; its address."""
    port = free_port()
    command = [str(launch.python("s3").with_name("moto_server")), "-H", "127.0.0.1"]
    with running([*command, "-p", str(port)], port, stderr=subprocess.DEVNULL):
        assert ask(port, "PUT", f"/{BUCKET}")[0] == 200
        yield f"http://127.0.0.1:{port}"


def ask(port: int, method: str, path: str) -> tuple[int, str]:
    """The status and the body of a request to a server of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def lent(folder: Path) -> Path:
    """A folder with what MLflow needs for S3 beside this environment, and nothing else."""
    packages = next(launch.python("s3").parent.parent.glob("lib/*/site-packages"))
    folder.mkdir()
    for name in ("boto3", "s3transfer"):
        (folder / name).symlink_to(packages / name)
    return folder
