"""MLServer with a custom runtime, in one process, by the Open Inference Protocol."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from risk_model import load


class Risk(MLModel):
    """The model as MLServer's documentation writes a custom runtime."""

    async def load(self) -> bool:
        """Load the model."""
        self.risk = load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The risk of each row of the only tensor."""
        risk = self.risk(NumpyCodec.decode_input(payload.inputs[0]))
        output = ResponseOutput(name="risk", shape=[len(risk)], datatype="FP64", data=risk)
        return InferenceResponse(model_name=self.name, outputs=[output])
