"""The programs of `make monitor-live`, Prometheus and Alertmanager, and a clean exit on signals."""

import contextlib
import shutil
import signal
from collections.abc import Iterator
from types import FrameType

from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.programs import installing

NAMES = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}
"""Programs with another name in Debian, under both names."""


def program(name: str) -> str:
    """The path of a program.

    Raises:
        EnvironmentUnfit: it is not installed; names its package.
    """
    if (found := locate(name)) is None:
        raise EnvironmentUnfit(
            f"there is no {name} here, and none comes with the lock: `{installing([name])}`, end "
            "the service that it may start, and run `make monitor-live`"
        )
    return found


def locate(name: str) -> str | None:
    """The path of a program under any of its names; None if it is not installed."""
    return next((path for one in NAMES.get(name, (name,)) if (path := shutil.which(one))), None)


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into an exception within the block, so that children are ended."""

    def end(number: int, _: FrameType | None) -> None:
        for name in signals:
            signal.signal(name, signal.SIG_IGN)  # a second signal must not interrupt the exit
        raise SystemExit(128 + number)

    signals = (signal.SIGTERM, signal.SIGINT)
    before = {name: signal.signal(name, end) for name in signals}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
