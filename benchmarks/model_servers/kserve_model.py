"""KServe's own Python server with a custom model, by the Open Inference Protocol."""

from typing import Any

import uvicorn
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid
from risk_model import load, port


class Risk(Model):
    """The model as KServe's documentation writes a custom one."""

    def load(self) -> bool:
        """Load the model."""
        self.risk, self.ready = load(), True
        return self.ready

    def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,  # noqa: ARG002  KServe's signature
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> InferResponse:
        """The risk of each row of the only tensor."""
        risk = self.risk(payload.inputs[0].as_numpy())
        output = InferOutput("risk", [len(risk)], "FP32", data=risk)
        return InferResponse(payload.id or generate_uuid(), self.name, [output])


class Loopback(uvicorn.Config):
    """Uvicorn's settings, for this machine only; KServe's server would listen to every network."""

    def __init__(self, app: Any, **settings: Any):
        """All settings but the host are KServe's."""
        super().__init__(app, **{**settings, "host": "127.0.0.1"})


def main() -> None:
    """Serve until a signal."""
    uvicorn.Config = Loopback
    model = Risk("risk")
    model.load()
    ModelServer(http_port=port(), enable_grpc=False, workers=1).start([model])
