"""A stored model: loaded only when its digest is the recorded one, and unable to run code.

The door to ONNX Runtime. The file is whole: the names of its inputs travel in its metadata.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import matrix
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered
from pipeline.shared.files import file_hash

FEATURES_KEY = "features"


@dataclass(frozen=True)
class Model:
    """A model ready to predict: its digest (SHA-256 of its file), and its inputs in order."""

    digest: str
    features: list[str]
    session: Any

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The probability (float64, one per row) that a flight is late."""
        return self.predict_matrix(matrix(frame, self.features))

    def predict_matrix(self, inputs: np.ndarray) -> np.ndarray:
        """The same, from a float32 matrix whose columns are `features`."""
        probabilities = self.session.run(["probabilities"], {"inputs": inputs})[0]
        return np.asarray(probabilities[:, 1], dtype="float64")


def load(path: Path, digest: str) -> Model:
    """Load a stored model once its bytes are known to be the recorded ones.

    Raises:
        ArtifactMissing: there is no such file.
        ArtifactTampered: its SHA-256 is not `digest`, or it is no model of this pipeline.
    """
    if not path.is_file():
        raise ArtifactMissing(f"{path} is missing; `make train` writes it")
    if (found := file_hash(path)) != digest:
        raise ArtifactTampered(
            f"{path} has SHA-256 {found[:12]}…, {digest[:12]}… was recorded for it; "
            "it is not loaded: bring it back with `dvc checkout`, or train again"
        )
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    names = session.get_modelmeta().custom_metadata_map.get(FEATURES_KEY)
    if names is None:
        raise ArtifactTampered(f"{path} names no features: it was not written by `make train`")
    return Model(digest, list(json.loads(names)), session)
