"""The programs that `make monitor-live` needs, Prometheus and Alertmanager, and an end in order."""

import contextlib
import shutil
import signal
from collections.abc import Iterator
from types import FrameType

from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.programs import installing

NAMES = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}
"""Programs that Debian calls otherwise, by both names."""


def program(name: str) -> str:
    """Where a program is.

    Raises:
        EnvironmentUnfit: it is not installed; says which package has it.
    """
    if (found := locate(name)) is None:
        raise EnvironmentUnfit(
            f"there is no {name} here, and none comes with the lock: `{installing([name])}`, end "
            "the service that it may start, and run `make monitor-live`"
        )
    return found


def locate(name: str) -> str | None:
    """The path of a program under any of its names; None where it is not installed."""
    return next((path for one in NAMES.get(name, (name,)) if (path := shutil.which(one))), None)


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """SIGTERM and SIGINT leave the block as an exception does, so that children are ended."""

    def end(number: int, _: FrameType | None) -> None:
        for name in told:
            signal.signal(name, signal.SIG_IGN)  # once is enough: what is being ended ends
        raise SystemExit(128 + number)

    told = (signal.SIGTERM, signal.SIGINT)
    before = {name: signal.signal(name, end) for name in told}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
