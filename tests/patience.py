"""Waiting in tests: until something is so, never for a time that it should take.

A machine may have other work, and no test says how fast it is: only a hang ends a wait.
"""

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 600
"""Seconds after which a wait is taken for a hang."""


def until(what: Callable[[], Any], told: Callable[[], object] = lambda: "waited in vain") -> Any:
    """What is asked for, once there is some; `told` is said of a wait that ended in vain."""
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        if time.monotonic() > end:
            raise TimeoutError(f"{PATIENCE} s: {told()}")
        time.sleep(0.02)
    return found
