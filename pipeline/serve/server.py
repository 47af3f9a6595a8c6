"""The online server: a release, the live store, HTTP on this machine, until it is told to end.

Nothing is opened before `serve` is called, so a process that has loaded the libraries may fork
children which each serve a release of their own.
"""

import contextlib
import gc
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pipeline.features.online_store import LIVE, Store, opened
from pipeline.features.windows import NEVER
from pipeline.serve.schema import instant_of
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.loopback import HOST

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipeline.serve.predictor import Predicts

_BACKLOG = 2048
_OTHER_FILES = 128
"""Descriptors beside those of connections: libraries, databases, the log."""
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the others from running: Python's 5 ms are ten predictions."""


def server(version: str = "champion", port: str | int | None = None) -> str:
    """Serve a registered version from the live online store, until SIGTERM or SIGINT.

    Raises:
        VersionUnknown: the registry has no such version.
        ArtifactTampered: something in it is another than was registered or exported.
        ReleaseRefused: its parts do not belong together, or it has other features than are served.
        EnvironmentUnfit: the port is taken.
    """
    from pipeline.registry.release_loader import export

    return serve(export(version), None if port is None else int(port))


def serve(
    digest: str,
    port: int | None = None,
    project: str = LIVE,
    log_url: str | None = None,
    wrap: "Callable[[Predicts], Predicts]" = lambda predictor: predictor,
    edge_key: str = "",
) -> str:
    """Serve the release with this digest until SIGTERM or SIGINT; what is None is as configured.

    `wrap` may put something before the predictor; whether it is ready is asked of what is behind.
    `edge_key` is the proxy's, whose headers are believed; without one, nobody's are.
    """
    from pipeline.records import request_log
    from pipeline.registry.release_loader import loaded, unready
    from pipeline.serve.app import create_app
    from pipeline.serve.metrics import Metrics
    from pipeline.serve.predictor import Predictor
    from pipeline.shared.callers import Trust

    sys.setswitchinterval(SWITCH_SECONDS)
    config, began = load(ServeConfig), time.monotonic()
    _allow_files(config.max_connections + _OTHER_FILES)
    release = loaded(digest)
    url = config.log_url.get_secret_value() if log_url is None else log_url
    with (
        _listening(config.port if port is None else port) as listener,
        opened(release.features, config, project=project) as store,
        request_log.open_log(url, config.log_queue) as log,
    ):
        reason = unready(release)
        predictor, metrics = wrap(Predictor(release, store)), Metrics()
        name = load(RegisterConfig).model_name
        app = create_app(predictor, log, config, metrics, lambda: reason, name, Trust(edge_key))
        at = "http://{}:{}".format(*listener.getsockname())
        state = f"not ready: {reason}" if reason else "ready"
        gc.collect()
        gc.freeze()  # a full collection meets some 200,000 objects of the libraries: 150 ms
        _say(f"{at} serves version {release.number} ({digest[:12]}), {state}; {_fresh(store)}")
        _until_told(app, listener, config)
    lost = f", {log.dropped:,} lost" if log.dropped else ""
    minutes = (time.monotonic() - began) / 60
    return f"version {release.number}: {log.written:,} answers logged{lost} in {minutes:.1f} min"


def _allow_files(wanted: int) -> None:
    """Let this process open so many: some systems begin with fewer, as macOS with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket of this machine's own, taken before anything slow begins."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            raise EnvironmentUnfit(
                f"{HOST}:{port} cannot be listened at ({error}); end what is there, or name "
                "another port: `make server PORT=8081`"
            ) from error
        yield listener


def _until_told(app: "FastAPI", listener: socket.socket, config: ServeConfig) -> None:
    """Answer until a signal, then end what was begun."""
    import uvicorn

    from pipeline.serve.connection import settings

    told = [signal.SIGTERM, signal.SIGINT]
    before = {name: signal.signal(name, lambda *_: None) for name in told}
    try:  # uvicorn takes the signals, and raises them again once it has ended
        uvicorn.Server(settings(app, config)).run(sockets=[listener])
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _fresh(store: Store) -> str:
    """Until when the online store is complete: what it lacks is answered without, and flagged."""
    until = min(store.watermarks().values())
    if until == NEVER:
        return "the online store is empty: `make materialize` fills it"
    return f"the online store is complete until {instant_of(until)}"


def _say(line: str) -> None:
    sys.stdout.write(f"server: {line}\n")
    sys.stdout.flush()
