"""Ports of this machine."""

import contextlib
import socket

from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.loopback import HOST


def listen(port: int, tool: str = "") -> socket.socket:
    """Take a port of this machine, for the cockpit or for a tool's window.

    Raises:
        EnvironmentUnfit: another program has it, such as a cockpit that runs already.
    """
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except OSError as error:
        taken.close()
        window = f"TOOL={tool} " if tool else ""
        raise EnvironmentUnfit(
            f"port {port} of {HOST} is not free ({error.strerror}): open http://{HOST}:{port}/ if "
            f"{tool or 'a cockpit'} runs there already, or `make ui {window}PORT={port + 1}`"
        ) from error
    return taken


def free_port() -> int:
    """A free port of this machine."""
    with contextlib.closing(listen(0)) as one:
        return int(one.getsockname()[1])
