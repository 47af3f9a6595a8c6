"""Export of a fitted model to an ONNX file, proven equal on every training row.

Loading ONNX runs no code (a pickle can), and serving it needs no scikit-learn. Some estimators
convert without an error and predict wrongly, so equality is measured.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.features.definitions import SERVICE
from pipeline.registry import model as stored
from pipeline.shared.contracts import WarmUp
from pipeline.shared.errors import ParityFailed
from pipeline.shared.files import atomic_write, bytes_hash

_WARM_UP_ROWS = 5


def in_float64() -> Any:
    """A pipeline step that casts to float64, in scikit-learn and in ONNX."""
    from skl2onnx.sklapi import CastTransformer

    return CastTransformer(dtype=np.float64)


def to_onnx(fitted: Any, features: list[str]) -> bytes:
    """Convert the fitted classifier to ONNX bytes that depend only on the classifier."""
    from skl2onnx import to_onnx as convert
    from skl2onnx.common.data_types import FloatTensorType

    converted = convert(
        fitted,
        initial_types=[("inputs", FloatTensorType([None, len(features)]))],
        options={id(fitted): {"zipmap": False}},
        target_opset={"": 18, "ai.onnx.ml": 3},
        name=SERVICE.replace("_", "-"),
    )
    # The converter keeps the versions in a set, whose order follows Python's hash seed.
    converted.opset_import.sort(key=lambda version: version.domain, reverse=True)
    entry = converted.metadata_props.add()
    entry.key, entry.value = stored.FEATURES_KEY, json.dumps(features)
    return bytes(converted.SerializeToString(deterministic=True))


def warm_up(fitted: Any, features: list[str], inputs: np.ndarray, tolerance: float) -> WarmUp:
    """A few rows, far apart, with the fitted classifier's predictions, stored beside the model.

    A server compares its own predictions with them before it reports ready.
    """
    rows = inputs[np.linspace(0, len(inputs) - 1, _WARM_UP_ROWS).astype("int64")]
    return WarmUp(
        features=features,
        inputs=[[None if np.isnan(x) else float(x) for x in row] for row in rows],
        risk=fitted.predict_proba(rows)[:, 1].tolist(),
        tolerance=tolerance,
    )


def save(
    fitted: Any, features: list[str], inputs: np.ndarray, path: Path, tolerance: float
) -> tuple[stored.Model, float]:
    """Store a fitted model, load it back, and return it with its largest difference on `inputs`.

    Raises:
        ParityFailed: the stored model's probabilities differ by more than `tolerance`.
    """
    content = to_onnx(fitted, features)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
        model = stored.load(temporary, bytes_hash(content))
        difference = np.abs(model.predict_matrix(inputs) - fitted.predict_proba(inputs)[:, 1])
        worst = float(difference.max())
        if not worst <= tolerance:  # NaN never passes
            raise ParityFailed(
                f"{path.name} differs from the trained model by {worst:.2e} in row "
                f"{int(difference.argmax())} of {len(inputs):,}, allowed is {tolerance:.0e}; it is "
                "not stored: see parity_tolerance in configs/train.yaml"
            )
    return model, round(worst, 9)  # smaller digits depend on the processor
