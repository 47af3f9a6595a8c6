"""A stored model: loaded only if its digest is the recorded one, and unable to run code.

Size, digest and format (model_scan.py) are checked before the file is parsed. Its metadata hold the
names of its inputs. The only module that imports ONNX Runtime.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.definitions import matrix
from pipeline.registry import model_scan
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered
from pipeline.shared.files import bytes_hash, parse_json, read_at_most

FEATURES_KEY = "features"


@dataclass(frozen=True)
class Model:
    """A model ready to predict: its digest (SHA-256 of its file), and its inputs in order."""

    digest: str
    features: list[str]
    session: Any

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The probability (float64, one per row) of the label."""
        return self.predict_matrix(matrix(frame, self.features))

    def predict_matrix(self, inputs: np.ndarray) -> np.ndarray:
        """The same, from a float32 matrix whose columns are `features`."""
        probabilities = self.session.run(["probabilities"], {"inputs": inputs})[0]
        return np.asarray(probabilities[:, 1], dtype="float64")


def predictions_hash(risk: np.ndarray) -> str:
    """SHA-256 of predictions as float32, in order: equal exactly where every prediction is."""
    return bytes_hash(risk.astype("float32").tobytes())


def load(path: Path, digest: str) -> Model:
    """Load a stored model after its bytes were verified.

    Raises:
        ArtifactMissing: there is no such file.
        ArtifactTampered: its SHA-256 is not `digest`, or it is not a model of this pipeline.
    """
    if not path.is_file():
        raise ArtifactMissing(f"{path} is missing; `make train` writes it")
    try:
        content = read_at_most(path, model_scan.MAX_BYTES)
    except ValueError as error:
        raise _no_model(path, f": {error}") from error
    if (found := bytes_hash(content)) != digest:
        raise ArtifactTampered(
            f"{path} has SHA-256 {found[:12]}…, {digest[:12]}… was recorded for it; "
            "it is not loaded: bring it back with `dvc checkout`, or train again"
        )
    if what := model_scan.refusal(content):
        raise _no_model(path, f" but {what}")
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    failures = [kind for kind in vars(state).values() if _is_failure(kind)]
    try:
        session = _session(content)
    except (ValueError, *failures) as error:  # its message need not be UTF-8
        raise _no_model(path, f" but malformed ONNX ({type(error).__name__})") from error
    names = _features(session, path)
    shapes = {i.name: i.shape[1:] for i in session.get_inputs()}
    if shapes != {"inputs": [len(names)]} or "probabilities" not in _names(session.get_outputs()):
        raise _no_model(path, f": it takes {shapes} and names {len(names)} features")
    return Model(digest, names, session)


def _no_model(path: Path, why: str) -> ArtifactTampered:
    return ArtifactTampered(
        f"{path} is no model of this pipeline{why}; it is not loaded: `make train` writes one"
    )


def _features(session: Any, path: Path) -> list[str]:
    try:
        text = session.get_modelmeta().custom_metadata_map.get(FEATURES_KEY, "")
        names = parse_json(text.encode())
    except ValueError as error:
        raise _no_model(path, f": its {FEATURES_KEY} cannot be read ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _no_model(path, f": its {FEATURES_KEY} are no list of names")
    return names


def _session(content: bytes) -> Any:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Otherwise bytes could claim to be ORT's own format, which the scan does not read.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _is_failure(kind: Any) -> bool:
    """Whether a class is one of ONNX Runtime's exceptions, which share no base class."""
    return isinstance(kind, type) and issubclass(kind, Exception)


def _names(nodes: Any) -> list[str]:
    return [node.name for node in nodes]
