"""Shows Prometheus what the monitoring job found: the job ends, and somebody has to be asked.

It holds nothing: whenever it is asked it reads the file anew. A file that is not there, or is
something else, is shown as nothing at all, and that is an alert of its own.
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.monitor.operations import job_signals
from pipeline.shared.errors import EnvironmentUnfit, PipelineError
from pipeline.shared.loopback import HOST

if TYPE_CHECKING:
    from pipeline.shared.prometheus import GaugeValue

PORT = 9105


def exporter(port: str | int | None = None) -> str:
    """Show the job's signals to Prometheus until SIGTERM or SIGINT.

    Raises:
        EnvironmentUnfit: the port is taken.
    """
    from pipeline.shared.prometheus import serve_metrics

    told = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)  # no thread takes them but who waits for them
    wanted = PORT if port is None else int(port)
    try:
        with serve_metrics(lambda: read_gauges(job_signals.SIGNALS), wanted, HOST) as taken:
            where = f"http://{HOST}:{taken}/metrics shows {job_signals.SIGNALS}"
            sys.stdout.write(f"exporter: {where}\n")
            sys.stdout.flush()
            signal.sigwait(told)
    except (OSError, OverflowError) as error:
        raise EnvironmentUnfit(
            f"{HOST}:{wanted} cannot be listened at ({error}); end what is there, or name another "
            "port: `make exporter PORT=9106`"
        ) from error
    return where


def read_gauges(path: Path) -> "Iterator[GaugeValue]":
    """The metrics of this moment."""
    try:
        found, heartbeat = job_signals.read(path), path.stat().st_mtime
    except (PipelineError, FileNotFoundError):
        return
    yield from job_signals.gauge_values(found, heartbeat)
