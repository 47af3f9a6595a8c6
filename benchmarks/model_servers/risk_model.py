"""The model that every peer serves: the release's ONNX file, in a session with one thread."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

FILE, PORT = "PEER_MODEL", "PEER_PORT"
"""The environment variables that name the model's file and the server's port."""


def load(path: str = "") -> Callable[[Any], list[float]]:
    """A function from rows of features to the risk of each; the environment names the file."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        path or os.environ[FILE], options, providers=["CPUExecutionProvider"]
    )

    def predict(rows: Any) -> list[float]:
        inputs = np.asarray(rows, dtype="float32")
        found = session.run(["probabilities"], {"inputs": inputs})[0]
        return list(found[:, 1].astype("float64").tolist())

    return predict


def port() -> int:
    """The port to listen at, on this machine only."""
    return int(os.environ[PORT])
