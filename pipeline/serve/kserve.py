"""The only module that imports KServe: the same predictor as a custom model, for a cluster.

`python -m pipeline.serve.kserve` is what configs/serve/inferenceservice.yaml runs. KServe has
its own routes, metrics and request log, so only loading and predicting are ours. A pod is given the
digest of a release: an alias could name another model when the pod restarts, and would name the
same one in both revisions of a canary.
"""

import argparse
import contextlib
import re

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput

from pipeline.features.online_store import open_store
from pipeline.registry.release_loader import export, load_release, warm_up_failure
from pipeline.serve import open_inference
from pipeline.serve.open_inference import FROM_STORE, INPUT_TENSOR, RISK_TENSOR, RequestRefused
from pipeline.serve.predictor import Predictor
from pipeline.serve.schema import request_rows
from pipeline.shared.config.loading import load as load_config
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import ReleaseRefused


class RiskModel(Model):  # type: ignore[misc]
    """A release's predictor; the tensors' names say whether rows are items or FEATURES."""

    def __init__(self, name: str, digest: str):
        """`digest` is a registered release's."""
        super().__init__(name)
        self._digest, self._until_closed = digest, contextlib.ExitStack()
        self._predictor: Predictor

    def load(self) -> bool:
        """Load and verify the release, and open the online store.

        Raises:
            ReleaseRefused: the model's warm-up prediction is not the recorded one.
        """
        release = load_release(export(self._digest))
        if reason := warm_up_failure(release):
            raise ReleaseRefused(f"{reason}; see `make lineage VERSION={release.number}`")
        store = open_store(release.features, load_config(ServeConfig))
        self._predictor = Predictor(release, self._until_closed.enter_context(store))
        self.ready = True
        return True

    def stop(self) -> None:
        """Close the store."""
        self._until_closed.close()

    async def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,  # noqa: ARG002  KServe's signature
        response_headers: dict[str, str] | None = None,
    ) -> InferResponse:
        """The risks of rows, as the project's own server returns them."""
        try:
            risk = self._risk(payload)
        except RequestRefused as refused:
            raise InvalidInput(refused.reason) from None
        release = self._predictor.release
        if response_headers is not None:
            response_headers |= {"x-version": release.number, "x-release": release.release[:12]}
        output = InferOutput(RISK_TENSOR, [len(risk)], "FP32", data=risk.tolist())
        return InferResponse(payload.id, self.name, [output], model_version=release.number)

    def _risk(self, payload: InferRequest) -> np.ndarray:
        tensors = _tensors(payload)
        if INPUT_TENSOR in tensors.values:
            return self._predictor.vectors(open_inference.input_matrix(tensors))
        horizon = self._predictor.release.features.horizon_minutes
        return self._predictor.online(request_rows(open_inference.items(tensors), horizon)).risk


def _tensors(payload: InferRequest) -> open_inference.Tensors:
    """Convert KServe's tensors to `open_inference.Tensors`."""
    kinds = FROM_STORE | {INPUT_TENSOR: "FP32"}
    values = {}
    for tensor in payload.inputs:
        if kinds.get(tensor.name) != tensor.datatype:
            raise RequestRefused(400, f"wanted is one each of {kinds}; got {tensor.name!r:.60}")
        flat = tensor.as_numpy().ravel().tolist()
        values[tensor.name] = [v.decode() if isinstance(v, bytes) else v for v in flat]
    shapes = {tensor.name: [int(n) for n in tensor.shape] for tensor in payload.inputs}
    return open_inference.Tensors(payload.id, values, shapes, binary=False)


def release_digest(text: str) -> str:
    """A release's full digest from the command line.

    Raises:
        argparse.ArgumentTypeError: it is an alias, a number, or a shortened digest.
    """
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text
    raise argparse.ArgumentTypeError(
        f"{text[:70]!r} is not the digest of a release: {len(text)} characters, a digest has 64 "
        "hexadecimal ones; an alias can name another model at the next start; "
        "`make lineage VERSION=champion` prints the champion's digest"
    )


def main(arguments: list[str] | None = None) -> None:
    """Serve a release with KServe's model server until a signal."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.serve.kserve")
    parser.add_argument("--release", type=release_digest, required=True, help="its digest")
    parser.add_argument("--http_port", type=int, default=8080)
    options, _ = parser.parse_known_args(arguments)
    model = RiskModel(load_config(RegisterConfig).model_name, options.release)
    model.load()
    ModelServer(http_port=options.http_port, enable_grpc=False, workers=1).start([model])


if __name__ == "__main__":
    main()
