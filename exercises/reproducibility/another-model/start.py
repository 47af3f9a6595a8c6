"""A random forest of scikit-learn, the bagged rival of the boosted trees; pure."""

from typing import Any

import numpy as np

from pipeline.shared.config.train import TrainConfig


def random_forest(
    config: TrainConfig, names: list[str], inputs: np.ndarray, labels: np.ndarray
) -> Any:
    """A fitted forest of `config.forest`, behind the contract of classifier.py.

    `inputs` is float32 (rows, names), NaN where missing, and stays as it is; so does `labels`, 0 or
    1. A feature may be missing in every row, and be there at a prediction: it says nothing then. A
    row without a single value gets a risk within (0, 1) all the same.

    `onnx_export.save` takes the result: equal to the stored model within `parity_tolerance` on rows
    of the training and on others, missing values anywhere. Equal inputs and an equal `config.seed`
    give equal bytes, whatever was drawn before; another seed gives another forest.
    """
    raise NotImplementedError("not written yet")
