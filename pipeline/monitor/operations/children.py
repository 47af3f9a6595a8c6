"""The programs that `make monitor-live` needs, Prometheus and Alertmanager, and an end in order."""

import contextlib
import shutil
import signal
from collections.abc import Iterator
from types import FrameType

from pipeline.shared.errors import EnvironmentUnfit

PACKAGES = {
    "prometheus": ("prometheus",),
    "promtool": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("prometheus-alertmanager",),
}
"""Programs, by what Debian calls their package; where a program has another name there, both."""


def program(name: str) -> str:
    """Where a program is.

    Raises:
        EnvironmentUnfit: it is not installed; says which package has it.
    """
    names = [name, *PACKAGES[name]] if name == "alertmanager" else [name]
    if (found := next((path for one in names if (path := shutil.which(one))), None)) is None:
        raise EnvironmentUnfit(
            f"there is no {name} here, and none comes with the lock: install Debian's package "
            f"{PACKAGES[name][0]}, end the service that it starts, and run `make monitor-live`"
        )
    return found


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
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
