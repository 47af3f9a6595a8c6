import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from pipeline.features.definitions import FEATURES, LABEL, matrix
from pipeline.models import baselines, onnx_export, trees
from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.errors import ParityFailed
from tests.builders import feature_rows

ROWS = feature_rows(1_560)
LABELS = ROWS[LABEL].to_numpy()
INPUTS = {
    "boosting": matrix(ROWS, FEATURES),
    "logistic": matrix(ROWS, FEATURES),
    "hour_rate": matrix(ROWS, ["sched_hour"]),
}
NAMES = {"boosting": FEATURES, "logistic": FEATURES, "hour_rate": ["sched_hour"]}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the stage fits: on a busy machine a second thread only spins."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def fit():
    config = load(TrainConfig)

    def fitted(kind):
        inputs = INPUTS[kind]
        if kind == "boosting":
            return trees.boosting(config, FEATURES, inputs, LABELS)
        if kind == "logistic":
            return baselines.logistic(config, inputs, LABELS)
        return baselines.hour_rate(inputs, LABELS)

    return fitted


@pytest.mark.parametrize("kind", NAMES)
def test_the_stored_model_answers_as_the_trained_one_on_every_row(fit, tmp_path, kind):
    fitted, path = fit(kind), tmp_path / "model.onnx"
    _, worst = onnx_export.save(fitted, NAMES[kind], INPUTS[kind], path, 1e-5)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    risk = session.run(["probabilities"], {"inputs": INPUTS[kind]})[0][:, 1]
    expected = fitted.predict_proba(INPUTS[kind])[:, 1]
    assert risk == pytest.approx(expected, abs=1e-5)
    assert worst == pytest.approx(np.abs(risk - expected).max(), abs=1e-6)
    assert risk.std() > 0.03


@pytest.mark.parametrize("kind", ["boosting", "logistic"])
def test_a_difference_above_the_tolerance_is_refused_with_both_numbers(fit, tmp_path, kind):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the model before")
    with pytest.raises(
        ParityFailed, match=r"by \d\.\d\de-\d+ in row \d+ of 1,560, allowed .*1e-20"
    ):  # the baseline is stored in float64, and equal to its fifteenth digit
        onnx_export.save(fit(kind), FEATURES, INPUTS[kind], path, 1e-20)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"the model before"


def test_a_model_trained_on_more_digits_than_it_is_served_is_refused(tmp_path):
    finer = np.full((400, 1), np.float32(0.1), dtype="float64")
    finer[::2] -= 2e-9
    late = (np.arange(400) % 2).astype("int8")
    fitted = HistGradientBoostingClassifier(min_samples_leaf=20).fit(finer, late)
    served = np.zeros((400, 1), dtype="float32")
    served[123] = 0.1  # one row is enough, however equal the others are
    with pytest.raises(ParityFailed, match="in row 123 of 400"):
        onnx_export.save(fitted, ["distance"], served, tmp_path / "model.onnx", 0.01)
    assert list(tmp_path.iterdir()) == []


def test_a_difference_that_is_no_number_is_refused(fit, tmp_path):
    broken = fit("hour_rate")
    broken.tree_.value[:] = np.nan
    with pytest.raises(ParityFailed, match="by nan"):
        onnx_export.save(broken, NAMES["hour_rate"], INPUTS["hour_rate"], tmp_path / "m.onnx", 1e-3)
    assert list(tmp_path.iterdir()) == []


def test_the_names_of_the_inputs_travel_with_the_model_in_their_order(fit, tmp_path):
    backwards = FEATURES[::-1]
    inputs = matrix(ROWS, backwards)
    fitted = baselines.logistic(load(TrainConfig), inputs, LABELS)
    stored, _ = onnx_export.save(fitted, backwards, inputs, tmp_path / "model.onnx", 1e-5)
    assert stored.features == backwards
    assert stored.predict(ROWS) == pytest.approx(fitted.predict_proba(inputs)[:, 1], abs=1e-5)


@pytest.mark.parametrize("kind", NAMES)
def test_equal_fits_give_equal_bytes(fit, kind):
    assert onnx_export.to_onnx(fit(kind), NAMES[kind]) == onnx_export.to_onnx(
        fit(kind), NAMES[kind]
    )


@pytest.mark.parametrize("kind", NAMES)
def test_the_bytes_do_not_follow_the_hash_seed(fit, kind):
    """The converter collects the versions in a set of texts: its order is drawn per process."""
    stored = onnx.load_model_from_string(onnx_export.to_onnx(fit(kind), NAMES[kind]))
    domains = [version.domain for version in stored.opset_import]
    assert domains == sorted(domains, reverse=True)
    assert set(domains) == {"ai.onnx.ml", ""}


def test_another_fit_gives_other_bytes(fit):
    config = load(TrainConfig)
    slower = config.boosting.model_copy(update={"learning_rate": 0.05})
    other = trees.boosting(
        config.model_copy(update={"boosting": slower}), FEATURES, INPUTS["boosting"], LABELS
    )
    assert onnx_export.to_onnx(fit("boosting"), FEATURES) != onnx_export.to_onnx(other, FEATURES)
