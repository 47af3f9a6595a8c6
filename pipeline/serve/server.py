"""The online server: one release over the live store, by HTTP on this machine, until a signal.

Nothing is opened before `serve` runs, so a process that has loaded the libraries can fork children
that each serve a release of their own.
"""

import contextlib
import gc
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pipeline.features.online_store import LIVE, Store
from pipeline.features.request_reader import RequestReader, open_reader
from pipeline.features.windows import NEVER
from pipeline.serve.schema import instant_of
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.loopback import HOST
from pipeline.shared.processes import handle_signals

if TYPE_CHECKING:
    from pipeline.serve.middleware import Middleware
    from pipeline.serve.predictor import SupportsPredict

_BACKLOG = 2048
_OTHER_FILES = 128
"""File descriptors for libraries, databases and the log, beside those of connections."""
SWITCH_SECONDS = 0.0005
"""The interpreter's thread switch interval: Python's default, 5 ms, is ten predictions."""


def serve_http(version: str = "champion", port: str | int | None = None) -> str:
    """Serve a registered version from the live online store, until SIGTERM or SIGINT.

    Raises:
        VersionUnknown: the registry has no such version.
        ArtifactTampered: a file of it differs from the one registered or exported.
        ReleaseRefused: its parts do not belong together, or its features are not the served ones.
        EnvironmentUnfit: the port is taken.
        ServersFailed: one of several workers does not start.
    """
    from pipeline.registry.release_loader import export
    from pipeline.serve import workers

    config, digest = load(ServeConfig), export(version)
    at = config.port if port is None else int(port)
    if config.workers > 1:
        return workers.serve_by_workers(digest, at, config.host, config.workers)
    return serve(digest, at, host=config.host)


def serve(
    digest: str,
    port: int | None = None,
    project: str = LIVE,
    log_url: str | None = None,
    wrap: "Callable[[SupportsPredict], SupportsPredict]" = lambda predictor: predictor,
    edge_key: str = "",
    host: str = HOST,
    own_port: int | None = None,
) -> str:
    """Serve the release with this digest until SIGTERM or SIGINT; None takes the config's value.

    `wrap` may decorate the predictor; readiness is that of the undecorated one. `edge_key` is the
    key of the proxy whose headers are believed; without one, no header is. With a port of its own
    as well, a server shares the first one with others, and has its metrics at its own.
    """
    from pipeline.records.request_log_writer import open_log
    from pipeline.registry.release_loader import load_release, warm_up_failure
    from pipeline.serve.app import create_app
    from pipeline.serve.metrics import Metrics
    from pipeline.serve.predictor import Predictor
    from pipeline.shared.callers import Trust

    sys.setswitchinterval(SWITCH_SECONDS)
    config, began = load(ServeConfig), time.monotonic()
    _allow_files(config.max_connections + _OTHER_FILES)
    release = load_release(digest)
    url = config.log_url.get_secret_value() if log_url is None else log_url
    with (
        _listeners(config.port if port is None else port, host, own_port) as listeners,
        open_reader(release.features, config, project) as store,
        open_log(url, config.log_queue) as log,
    ):
        reason = warm_up_failure(release)
        predictor, metrics = wrap(Predictor(release, store)), Metrics()
        name = load(RegisterConfig).model_name
        app = create_app(
            predictor, log, config, metrics, lambda: reason, name, Trust(edge_key), own_port
        )
        at = "http://{}:{}".format(*listeners[0].getsockname())
        state = f"not ready: {reason}" if reason else "ready"
        gc.collect()
        gc.freeze()  # a full collection meets some 200,000 objects of the libraries: 150 ms
        _say(f"{at} serves version {release.number} ({digest[:12]}), {state}; {_freshness(store)}")
        _run_until_signal(app, listeners, config)
    lost = f", {log.dropped:,} lost" if log.dropped else ""
    minutes = (time.monotonic() - began) / 60
    return f"version {release.number}: {log.written:,} answers logged{lost} in {minutes:.1f} min"


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files: some systems start with fewer, such as macOS with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextlib.contextmanager
def _listeners(port: int, host: str, own_port: int | None) -> Iterator[list[socket.socket]]:
    """The socket at a port, or at a port that others share and at one that none does."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(listener(port, host, shared=own_port is not None))]
        if own_port is not None:
            found.append(stack.enter_context(listener(own_port, host)))
        yield found


@contextlib.contextmanager
def listener(port: int, host: str = HOST, shared: bool = False) -> Iterator[socket.socket]:
    """A socket at an address of this machine, bound before anything slow starts.

    Raises:
        EnvironmentUnfit: the port is taken, or `shared` and not shared by whoever has it.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            raise EnvironmentUnfit(
                f"{host}:{port} cannot be listened at ({error}); end what is there, or name "
                "another port: `make serve-http PORT=8081`"
            ) from error
        yield listener


def _run_until_signal(
    app: "Middleware", listeners: list[socket.socket], config: ServeConfig
) -> None:
    """Serve until a signal, then finish the running requests."""
    import uvicorn

    from pipeline.serve.connection import settings

    with handle_signals(lambda *_: None):  # uvicorn takes them, and raises them again at its end
        uvicorn.Server(settings(app, config)).run(sockets=listeners)


def _freshness(store: Store | RequestReader) -> str:
    """The store's freshness; values missing after its watermark are flagged in responses."""
    marks = store.watermarks()
    if not marks:
        return "every feature comes with the request"
    until = min(marks.values())
    if until == NEVER:
        return "the online store is empty: `make materialize` fills it"
    return f"the online store is complete until {instant_of(until)}"


def _say(line: str) -> None:
    sys.stdout.write(f"server: {line}\n")
    sys.stdout.flush()
