"""Our server by two workers on one port, with the release that the environment names."""

import os

from ours import RELEASE
from risk_model import port

from pipeline.serve import workers
from pipeline.shared.loopback import HOST

COUNT = 2


def main() -> None:
    """Serve until a signal."""
    workers.serve_by_workers(os.environ[RELEASE], port(), HOST, COUNT)
