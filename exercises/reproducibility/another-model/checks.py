"""The acceptance checks of a second model: chosen by the config, stored, and rebuilt."""

from typing import Any

from exercises.workbench.checking import ROOT, check, expect, holds, raised
from pipeline.shared.yaml_files import parse

SHIPPED = parse((ROOT / "configs/train.yaml").read_text(encoding="utf-8"))
SMALL = {"model": "forest", "forest": {"trees": 20, "min_samples_leaf": 20}}
BEFORE = (
    '{"seed":0,"threads":1,"boosting":{"max_iter":150,"learning_rate":0.06,"max_leaf_nodes":15,'
    '"min_samples_leaf":200,"l2_regularization":1.0},"monotone":true,"drop_features":[],'
    '"logistic_c":1.0,"min_rows":10000,"parity_tolerance":0.00001}'
)


def _fitted(values, stir=0, unknown="", of="classifier"):
    """Beside the solution: a model of a config, fitted on made-up flights, stored, and asked."""
    import tempfile
    from importlib import import_module
    from pathlib import Path

    import numpy as np

    from pipeline.models import onnx_export
    from pipeline.shared.config.train import TrainConfig
    from pipeline.shared.files import bytes_hash
    from pipeline.shared.scores import log_loss, roc_auc

    names = ["distance", "humid", "precip", "wind_gust", "aircraft_slack", "visib"]
    chance = np.random.default_rng(0)
    every = chance.random((2400, len(names)), dtype="float32")
    risk = 0.05 + 0.6 * (every[:, 0] > 0.7) + 0.3 * (every[:, 2] > 0.6) * (every[:, 4] < 0.5)
    labels = (chance.random(len(every)) < risk).astype("int8")
    every[chance.random(every.shape) < 0.2] = np.nan
    every[0] = np.nan
    later, inputs = every[1600:].copy(), every[:1600].copy()
    if unknown:
        inputs[:, names.index(unknown)] = np.nan
    kept = [inputs.copy(), labels[:1600].copy()]
    np.random.seed(stir)
    np.random.random(stir)
    fit = {
        "classifier": ("pipeline.models.classifier", "fit"),
        "boosting": ("pipeline.models.trees", "boosting"),
    }[of]
    config = TrainConfig.model_validate(values)
    model = getattr(import_module(fit[0]), fit[1])(config, names, inputs, labels[:1600])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        stored, worst = onnx_export.save(model, names, inputs, path, config.parity_tolerance)
        content = path.read_bytes()
    asked = np.abs(stored.predict_matrix(later) - model.predict_proba(later)[:, 1])
    risks = stored.predict_matrix(later)
    same = [np.array_equal(inputs, kept[0], equal_nan=True), (labels[:1600] == kept[1]).all()]
    return {
        "bytes": bytes_hash(content),
        "size": len(content),
        "worst": max(worst, float(asked.max())),
        "unchanged": all(same),
        "empty row": float(stored.predict_matrix(every[:1])[0]),
        "auc": roc_auc(labels[1600:], risks),
        "gain": float((log_loss(labels[1600:], np.full(800, labels.mean()))).mean())
        - float(log_loss(labels[1600:], risks).mean()),
    }


def _recipe(values):
    """Beside the solution: the recipe of a config."""
    from pipeline.shared.config.train import TrainConfig

    return TrainConfig.model_validate(values).recipe


@check(3)
def test_the_config_chooses_the_forest(subject):
    """By `model`; both kinds fit, and they are not the same."""
    forest, boosted = (subject.do(_fitted, SHIPPED | one) for one in (SMALL, {"model": "boosting"}))
    holds(forest["bytes"] != boosted["bytes"], "a forest", "the boosted trees, byte for byte")


@check(3)
def test_the_stored_forest_is_the_fitted_one(subject):
    """Within the tolerance, on rows of the training and on others, missing values in both."""
    worst = subject.do(_fitted, SHIPPED | SMALL)["worst"]
    holds(worst <= 1e-5, "a difference of at most 1e-05", f"{worst:.1e}")


@check(2)
def test_a_feature_that_training_never_knew_is_no_reason_to_fail(subject):
    """A sensor that is new: missing in every row of the training, there at the predictions."""
    for name in ("humid", "visib"):
        seen = subject.do(_fitted, SHIPPED | SMALL, unknown=name)
        holds(seen["worst"] <= 1e-5, "a difference of at most 1e-05", f"{seen['worst']:.1e}")


@check(2)
def test_equal_fits_give_equal_bytes(subject):
    """Whatever was drawn before; another seed gives another forest."""
    seeds = [(0, 1), (0, 2), (5, 1)]
    seen = [
        subject.do(_fitted, SHIPPED | SMALL | {"seed": seed}, stir)["bytes"] for seed, stir in seeds
    ]
    expect(seen[0] == seen[1], True, why="the same training gave two models")
    expect(seen[0] == seen[2], False, why="the seed of the config changes nothing")


@check(2)
def test_a_config_of_before_fits_what_it_did_before(subject):
    """Without the new keys: the boosted trees, byte for byte."""
    seen = [subject.do(_fitted, SHIPPED, of=of)["bytes"] for of in ("classifier", "boosting")]
    expect(seen[0] == seen[1], True, why="another model than before")


@check(3)
def test_a_config_of_before_keeps_its_recipe(subject):
    """An equal recipe is what makes a refresh; the forest's is another, by each of its settings."""
    expect(subject.do(_recipe, SHIPPED), BEFORE, why="every refresh becomes a change")
    expect(subject.do(_recipe, SHIPPED | {"model": "boosting"}), BEFORE)
    forests = [{"trees": 100, "min_samples_leaf": 50}, {"trees": 99}, {"min_samples_leaf": 51}]
    seen = [subject.do(_recipe, SHIPPED | {"model": "forest", "forest": one}) for one in forests]
    expect(len({BEFORE, *seen}), 4, why="two trainings that differ have one recipe")
    holds("forest" in seen[0], 'a recipe that names "forest"', seen[0])


@check(1)
def test_inputs_and_labels_stay_as_they_are(subject):
    """The caller measures parity on them afterwards."""
    expect(subject.do(_fitted, SHIPPED | SMALL)["unchanged"], True)


@check(2)
def test_the_settings_are_those_of_the_config(subject):
    """More trees make a larger file, larger leaves a smaller one; both have defaults."""
    settings = [{"trees": 20}, {"trees": 40}, {"trees": 20, "min_samples_leaf": 200}, {}]
    few, many, coarse, default = (
        subject.do(_fitted, SHIPPED | {"model": "forest", "forest": one})["size"]
        for one in settings
    )
    holds(1.6 < many / few < 2.4, "twice the trees, twice the file", f"{many / few:.2f} times")
    holds(coarse < few / 2, "larger leaves, a smaller file", f"{coarse:,} of {few:,} bytes")
    holds(4 < default / few < 6, "100 trees by default", f"{default / few:.2f} times 20 trees")


@check(2, hidden=True)
def test_the_forest_has_learned(subject):
    """On later rows it ranks, and its risks are better than the share that is late."""
    seen = subject.do(_fitted, SHIPPED | SMALL)
    holds(seen["auc"] > 0.7, "ROC AUC above 0.7", f"{seen['auc']:.3f}")
    holds(seen["gain"] > 0.03, "a log loss 0.03 below the base rate's", f"{seen['gain']:.3f}")


@check(1, hidden=True)
def test_a_row_without_a_value_has_a_risk(subject):
    """Of a flight of which nothing is known yet."""
    risk = subject.do(_fitted, SHIPPED | SMALL)["empty row"]
    holds(0 < risk < 1, "a risk within (0, 1)", risk)


@check(1, hidden=True)
def test_a_setting_that_is_none_is_refused(subject):
    """Names and numbers that cannot be meant."""
    wrong: list[dict[str, Any]] = [{"model": "forrest"}, {"forest": {"tress": 10}}]
    wrong += [{"forest": {"trees": 0}}, {"forest": {"min_samples_leaf": 0}}]
    for one in wrong:
        raised(lambda one=one: subject.do(_recipe, SHIPPED | one), "ValidationError")
