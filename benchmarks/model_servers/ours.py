"""Our server, with the release that the environment names, as a rollout's supervisor starts it."""

import os

from risk_model import port

from pipeline.serve.server import serve

RELEASE = "PEER_RELEASE"


def main() -> None:
    """Serve until a signal."""
    serve(os.environ[RELEASE], port())
