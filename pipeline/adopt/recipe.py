"""A model as a recipe: its kind and arguments, as the code that trains it behind our contract.

The fitted model itself is never judged: nobody knows which rows it has learned from.
"""

import re
from dataclasses import dataclass
from typing import Any

LINEAR = {
    "LogisticRegression": "sklearn.linear_model",
    "GaussianNB": "sklearn.naive_bayes",
    "MLPClassifier": "sklearn.neural_network",
}
"""Kinds whose inputs are scaled, in double precision."""
KINDS = {
    **LINEAR,
    "DecisionTreeClassifier": "sklearn.tree",
    "ExtraTreesClassifier": "sklearn.ensemble",
    "RandomForestClassifier": "sklearn.ensemble",
    "GradientBoostingClassifier": "sklearn.ensemble",
    "HistGradientBoostingClassifier": "sklearn.ensemble",
}
"""The kinds that are taken over, each with its module: what skl2onnx makes of them is equal.

Converters exist of more: that of discriminant analysis predicts something else, that of neighbours
does not take our labels.
"""
_SEEDED = set(KINDS) - {"GaussianNB"}
_PLAIN = (str, int, float, bool, type(None), list, tuple)


@dataclass(frozen=True)
class Recipe:
    """A kind of scikit-learn's classifiers and its arguments."""

    kind: str
    arguments: dict[str, Any]

    @property
    def call(self) -> str:
        """The call that makes it, seeded by the training configuration."""
        plain = {
            name: value
            for name, value in self.arguments.items()
            if isinstance(value, _PLAIN)
            and repr(value) not in ("nan", "inf", "-inf")
            and re.fullmatch(r"[A-Za-z_]+", name)
            and name != "n_jobs"
        }
        words = [f"{name}={value!r}" for name, value in plain.items() if name != "random_state"]
        words += ["random_state=config.seed"] if self.kind in _SEEDED else []
        return f"{self.kind}({', '.join(words)})"

    def code(self, origin: str) -> str:
        """The module pipeline/models/adopted.py: `adopted` fits the model."""
        linear = self.kind in LINEAR
        imports = [f"from {KINDS[self.kind]} import {self.kind}", *_STEPS]
        imports += ["from sklearn.preprocessing import StandardScaler"] if linear else []
        steps = ['SimpleImputer(strategy="median")']
        steps += ["in_float64()", "StandardScaler()"] if linear else []
        lines = "\n    ".join(sorted(imports))
        door = "from pipeline.models.onnx_export import in_float64\n" if linear else ""
        return f'''"""The adopted model, as {origin} makes it; missing values become the median."""

from typing import Any

import numpy as np

{door}from pipeline.shared.config.train import TrainConfig


def adopted(config: TrainConfig, names: list[str], inputs: np.ndarray, labels: np.ndarray) -> Any:
    """Fit it on `inputs`, float32 (rows, names)."""
    {lines}

    del names
    model = {self.call}
    return make_pipeline({", ".join(steps)}, model).fit(inputs, labels)
'''


_STEPS = (
    "from sklearn.impute import SimpleImputer",
    "from sklearn.pipeline import make_pipeline",
)
