"""Three plots of a trained model: calibration, ROC, and permutation importance."""

from pathlib import Path

import numpy as np

from pipeline.registry.model import Model
from pipeline.shared import plots
from pipeline.shared.scores import log_loss
from pipeline.usecase.chosen import USECASE

WORDS = USECASE.words


def importance(model: Model, inputs: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """The growth of the mean log loss of `inputs` when one feature's values are shuffled."""
    shuffled = np.random.default_rng(seed).permutation(len(inputs))
    before = log_loss(labels, model.predict_matrix(inputs)).mean()
    worth = {}
    for column, name in enumerate(model.features):
        changed = inputs.copy()
        changed[:, column] = inputs[shuffled, column]
        growth = log_loss(labels, model.predict_matrix(changed)).mean() - before
        worth[name] = round(float(growth), 9)  # a difference of means: the rest is rounding error
    return dict(sorted(worth.items(), key=lambda item: -item[1]))


def draw(folder: Path, labels: np.ndarray, risk: np.ndarray, worth: dict[str, float]) -> None:
    """Write calibration.png, roc.png and importance.png into `folder`."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import roc_curve

    observed, expected = calibration_curve(labels, risk, n_bins=10, strategy="quantile")
    false_rate, true_rate, _ = roc_curve(labels, risk)
    top = list(worth.items())[:15][::-1]
    tenth = f"mean risk of a tenth of the {WORDS.events}"
    flagged = [
        f"share of {WORDS.negative} {WORDS.events} flagged",
        f"share of {WORDS.positive} flagged",
    ]
    pictures = {
        "calibration": (expected, observed, tenth, f"share {WORDS.positive}"),
        "roc": (false_rate, true_rate, *flagged),
    }
    for name, (x, y, x_label, y_label) in pictures.items():
        figure = plots.blank(5, 4)
        axes = figure.add_subplot(xlabel=x_label, ylabel=y_label, title=f"{name} (training window)")
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.plot(x, y, marker="o" if name == "calibration" else None)
        plots.save(figure, folder / f"{name}.png")
    figure = plots.blank(6, 5)
    axes = figure.add_subplot(xlabel="growth of the log loss when shuffled", title="importance")
    axes.barh([name for name, _ in top], [value for _, value in top])
    plots.save(figure, folder / "importance.png")
