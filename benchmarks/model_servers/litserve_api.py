"""LitServe's server with one worker: an API process, and a process that computes."""

from typing import Any

import litserve
from risk_model import load, port


class Risk(litserve.LitAPI):
    """The model as LitServe's documentation writes an API."""

    def setup(self, device: str) -> None:  # noqa: ARG002  LitServe's signature
        """Load the model, in the process that computes."""
        self.risk = load()

    def decode_request(self, request: dict[str, Any], **_: Any) -> Any:
        """The rows of a request."""
        return request["inputs"]

    def predict(self, rows: Any, **_: Any) -> list[float]:
        """The risk of each row."""
        return self.risk(rows)

    def encode_response(self, risk: list[float], **_: Any) -> dict[str, list[float]]:
        """The risks as an answer."""
        return {"risk": risk}


def main() -> None:
    """Serve until a signal."""
    server = litserve.LitServer(Risk(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port(), num_api_servers=1, generate_client_file=False)
