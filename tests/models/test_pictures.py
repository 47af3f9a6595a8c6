import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from pipeline.models import onnx_export, pictures
from pipeline.shared.files import file_hash

NAMES = ["distance", "humid", "precip"]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A stored model that looks at humid and nothing else, its inputs and their labels."""
    inputs = np.random.default_rng(0).random((500, 3), dtype="float32")
    labels = (inputs[:, 1] > 0.5).astype("int8")
    fitted = DecisionTreeClassifier(max_depth=1).fit(inputs, labels)
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    model, _ = onnx_export.save(fitted, NAMES, inputs, path, 1e-5)
    return model, inputs, labels


def test_an_input_that_the_model_ignores_is_worth_exactly_nothing(case):
    worth = pictures.importance(*case, seed=0)
    assert (worth["distance"], worth["precip"]) == (0, 0)


def test_the_input_that_decides_is_worth_the_most_and_comes_first(case):
    worth = pictures.importance(*case, seed=0)
    assert next(iter(worth)) == "humid"
    assert worth["humid"] > 1


def test_importance_leaves_its_inputs_as_they_were(case):
    model, inputs, labels = case
    before = inputs.copy()
    pictures.importance(model, inputs, labels, seed=0)
    assert (inputs == before).all()


def test_the_pictures_are_drawn_and_the_same_bytes_each_time(case, tmp_path):
    model, inputs, labels = case
    risk = np.clip(model.predict_matrix(inputs) + inputs[:, 0] / 10, 0, 1)
    worth = pictures.importance(model, inputs, labels, seed=0)
    digests = []
    for _ in range(2):
        pictures.draw(tmp_path / "figures", labels, risk, worth)
        digests.append({p.name: file_hash(p) for p in (tmp_path / "figures").iterdir()})
    assert digests[0] == digests[1]
    assert set(digests[0]) == {"calibration.png", "roc.png", "importance.png"}
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in (tmp_path / "figures").iterdir())
