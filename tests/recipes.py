"""The changes that readers make first, as what they take: the README's recipes.

tests/flow/test_recipes.py performs each in a scratch copy and counts its files.
"""

from dataclasses import dataclass
from pathlib import Path

from exercises.drill import replace_once


@dataclass(frozen=True)
class Recipe:
    """A change: in which file, the text that stands there once, and what it becomes."""

    edits: list[tuple[str, str, str]]
    most: int
    """The most files that it may take."""

    @property
    def files(self) -> list[str]:
        """The files that it changes."""
        return list(dict.fromkeys(name for name, _, _ in self.edits))

    def perform(self, folder: Path) -> None:
        """Change a checkout; exits where a text does not stand there exactly once."""
        for name, old, new in self.edits:
            (folder / name).touch()
            replace_once(folder / name, old, new)


_GATE_CHECK = '''

def ranks_like_the_linear_baseline(labels: pd.Series, risks: dict[str, np.ndarray]) -> Check:
    """The challenger's ROC AUC must be at least that of the linear baseline."""
    late, ranks = labels.to_numpy(), risks["challenger"]
    least = roc_auc(late, risks["logistic"])
    detail = "ROC AUC, at least that of the logistic baseline"
    return at_least(Kind.EVIDENCE, "ROC AUC of the challenger", roc_auc(late, ranks), least, detail)
'''
_FOREST = '''"""A random forest of scikit-learn; pure."""

from typing import Any

import numpy as np

from pipeline.shared.config.train import TrainConfig


def random_forest(
    config: TrainConfig, names: list[str], inputs: np.ndarray, labels: np.ndarray
) -> Any:
    """A random forest on `inputs`, float32 (rows, names); a missing value becomes the median."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    del names
    forest = RandomForestClassifier(40, min_samples_leaf=100, random_state=config.seed)
    return make_pipeline(SimpleImputer(strategy="median"), forest).fit(inputs, labels)
'''
_LIGHTGBM = '''"""Gradient boosted trees by LightGBM. Its packages: configs/train/lightgbm.lock."""

from typing import Any

import numpy as np

from pipeline.features.definitions import MONOTONE
from pipeline.shared.config.train import TrainConfig


def leafwise(
    config: TrainConfig, names: list[str], inputs: np.ndarray, labels: np.ndarray
) -> Any:
    """Trees on `inputs`, float32 (rows, names), NaN where missing; monotone as declared."""
    from lightgbm import LGBMClassifier

    boosting = config.boosting
    directions = [MONOTONE.get(name, 0) if config.monotone else 0 for name in names]
    return LGBMClassifier(
        n_estimators=boosting.max_iter,
        learning_rate=boosting.learning_rate,
        num_leaves=boosting.max_leaf_nodes,
        min_child_samples=boosting.min_samples_leaf,
        reg_lambda=boosting.l2_regularization,
        monotone_constraints=directions,
        random_state=config.seed,
        n_jobs=config.threads,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    ).fit(inputs, labels)
'''
_CONVERTER = '''def _know_lightgbm() -> None:
    """Register the converter of LightGBM's classifier with skl2onnx."""
    from lightgbm import LGBMClassifier
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )


'''
_ALERT = """
  - alert: LogAlmostFull
    expr: serve_log_waiting > 0.9 * 60000
    for: 5m
    labels: {severity: ticket, area: serving}
    annotations:
      summary: The log is about to lose answers
      description: "{{ $value }} answers wait to be logged; 0.9 of the room for 60000 is the limit"
      runbook_url: docs/runbook.md#logalmostfull
      runbook: |
        **What it means.** Answers wait to be logged, and soon there is no room for more.

        **First five minutes.** `make rollout`: does a canary wait? `make rollback`.

        **Repair.** As for LogFallsBehind.

        **Over when.** Five minutes with a shorter queue.
"""
_SCENES = """    "LogAlmostFull": [
        Scene(
            "nearly full",
            {"serve_log_waiting": at(55_000)},
            {"LogFallsBehind", "LogAlmostFull"},
        ),
        Scene("a tenth of it", {"serve_log_waiting": at(6_000)}),
    ],
"""

SCIKIT_LEARN, LIGHTGBM = "another model of scikit-learn", "one of LightGBM"
RECIPES = {
    "a rolling feature": Recipe(
        [
            (
                "pipeline/flights/features.py",
                '"carrier": {"dep_late": [3, 24], "late": [24, 168]}',
                '"carrier": {"dep_late": [3, 24], "arr_delay": [24], "late": [24, 168]}',
            ),
        ],
        most=1,
    ),
    "a feature of the request": Recipe(
        [
            (
                "pipeline/flights/features.py",
                "SCHEDULE = [*REQUEST]",
                'SCHEDULE = [*REQUEST, "is_weekend"]',
            ),
            (
                "pipeline/flights/features.py",
                '    values["aircraft_age"] =',
                '    values["is_weekend"] = np.isin(request["day_of_week"], [5, 6])\n'
                '    values["aircraft_age"] =',
            ),
        ],
        most=3,
    ),
    SCIKIT_LEARN: Recipe(
        [
            (
                "pipeline/models/classifier.py",
                "from pipeline.models.trees import boosting\n\nfit = boosting\n",
                "from pipeline.models.forest import random_forest\n\nfit = random_forest\n",
            ),
            ("pipeline/models/forest.py", "", _FOREST),
        ],
        most=2,
    ),
    LIGHTGBM: Recipe(
        [
            (
                "pipeline/models/classifier.py",
                "from pipeline.models.trees import boosting\n\nfit = boosting\n",
                "from pipeline.models.lightgbm import leafwise\n\nfit = leafwise\n",
            ),
            ("pipeline/models/lightgbm.py", "", _LIGHTGBM),
            (
                "pipeline/models/onnx_export.py",
                "def to_onnx(fitted: Any,",
                f"{_CONVERTER}def to_onnx(fitted: Any,",
            ),
            (
                "pipeline/models/onnx_export.py",
                "    converted = convert(\n",
                "    _know_lightgbm()\n    converted = convert(\n",
            ),
        ],
        most=4,
    ),
    "a check of the gate": Recipe(
        [
            (
                "pipeline/evaluate/gate.py",
                "\n\ndef evidence_checks(",
                f"{_GATE_CHECK}\n\ndef evidence_checks(",
            ),
            (
                "pipeline/evaluate/gate.py",
                "    if valid.passed:\n        eased =",
                "    if valid.passed:\n"
                '        both = {**risks, "challenger": challenger}\n'
                "        checks.append(ranks_like_the_linear_baseline(frame[LABEL], both))\n"
                "        eased =",
            ),
        ],
        most=2,
    ),
    "a guardrail": Recipe(
        [
            ("configs/rollout.yaml", "total_alpha: 0.05\n", "total_alpha: 0.055\n"),
            (
                "configs/rollout.yaml",
                "    fallback: {alpha: 0.005,",
                "    extreme: {alpha: 0.005, max_ratio: 1.0, required: false, stall_seconds: 0.1}\n"
                "    fallback: {alpha: 0.005,",
            ),
            (
                "pipeline/shared/config/rollout.py",
                "    fallback: Guardrail\n",
                "    extreme: Guardrail\n    fallback: Guardrail\n",
            ),
            (
                "pipeline/rollout/analysis/guardrails.py",
                '        "fallback": answered & other,\n    }\n    known = {\n',
                '        "fallback": answered & other,\n'
                '        "extreme": answered & (rows["risk"].sub(0.5).abs() > 0.4999).to_numpy(),\n'
                "    }\n    known = {\n"
                '        "extreme": answered & rows["risk"].notna().to_numpy(),\n',
            ),
        ],
        most=3,
    ),
    "an alert": Recipe(
        [
            (
                "configs/monitor/alerts.yml",
                "\n# What goes in: counted by the servers at once",
                f"{_ALERT}\n# What goes in: counted by the servers at once",
            ),
            (
                "tests/monitor/operations/scenes.py",
                '    "Saturated": [\n',
                f'{_SCENES}    "Saturated": [\n',
            ),
        ],
        most=2,
    ),
}
"""By what is added; every text stands in its file exactly once."""
