import os
import pickle
import random
from collections.abc import Callable
from hashlib import sha256

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.tree import DecisionTreeClassifier

from pipeline.models import onnx_export
from pipeline.registry import model as stored
from pipeline.registry import model_scan
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered
from pipeline.shared.files import file_hash
from tests.builders import feature_rows

pytestmark = pytest.mark.answer("model-security")

NAMES = ["system_dep_late_3h", "origin_is_JFK"]


class Bomb:
    """A pickle that runs code where it is loaded."""

    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.fixture(scope="module")
def content():
    """A small tree as train stores it."""
    inputs = np.random.default_rng(0).random((200, 2), dtype="float32")
    fitted = DecisionTreeClassifier(max_depth=3).fit(inputs, inputs[:, 0] + inputs[:, 1] > 1)
    return onnx_export.to_onnx(fitted, NAMES)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "model.onnx"


def load(path, content):
    """Load these bytes under their own digest."""
    path.write_bytes(content)
    return stored.load(path, sha256(content).hexdigest())


def test_a_model_knows_its_inputs_and_its_digest(path, content):
    model = load(path, content)
    assert model.features == NAMES
    assert model.digest == file_hash(path)


def test_a_model_finds_its_inputs_in_a_table_by_name(path, content):
    rows = feature_rows(100)
    model = load(path, content)
    inputs = np.column_stack([rows["system_dep_late_3h"], rows["origin"] == "JFK"])
    risk = model.predict(rows[rows.columns[::-1]])
    assert (risk == model.predict_matrix(inputs.astype("float32"))).all()
    assert risk.dtype == "float64"
    assert risk.std() > 0.1


def test_a_model_answers_with_one_thread_so_that_no_sum_depends_on_the_machine(path, content):
    options = load(path, content).session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_a_missing_model_names_the_command_that_makes_it(path):
    with pytest.raises(ArtifactMissing, match=r"model\.onnx is missing; `make train`"):
        stored.load(path, "0" * 64)


FOREIGN = {
    "a pickle": lambda content: pickle.dumps(Bomb()),
    "garbage": lambda content: b"garbage" * 100,
    "nothing": lambda content: b"",
    "zeros": lambda content: bytes(100),
    "half a model": lambda content: content[: len(content) // 2],
    "a model without its end": lambda content: content[:-3],
    "a web page": lambda content: b"<html><script>alert(1)</script></html>",
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_the_recorded_file_is_refused_before_it_is_parsed(path, content, change):
    path.write_bytes(change(content))
    with pytest.raises(ArtifactTampered, match=r"has SHA-256 .* was recorded for it; it is not"):
        stored.load(path, sha256(content).hexdigest())
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_model_is_refused_even_under_its_own_digest(path, content, change):
    with pytest.raises(ArtifactTampered, match=r"is no model of this pipeline .*`make train`"):
        load(path, change(content))
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("a pickle", "a pickle, which runs code when it is loaded"),
        ("garbage", "malformed ONNX: protobuf cannot read its 700 bytes"),
        ("half a model", r"malformed ONNX: protobuf cannot read its \d+ bytes"),
        ("a model without its end", r"malformed ONNX: protobuf cannot read its [\d,]+ bytes"),
        ("nothing", r"malformed ONNX \(\w+\)"),
    ],
)
def test_what_is_no_model_is_refused_by_its_name(path, content, change, named):
    told = rf"model\.onnx is no model of this pipeline but {named}; it is not loaded: `make train`"
    with pytest.raises(ArtifactTampered, match=told):
        load(path, FOREIGN[change](content))
    assert not (path.parent / "exploded").exists()


def test_the_digest_is_checked_before_anything_looks_into_the_file(path, content):
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtifactTampered, match=r"has SHA-256 ") as refused:
        stored.load(path, sha256(content).hexdigest())
    assert "pickle" not in str(refused.value)


def test_a_file_that_is_too_large_is_refused_before_it_is_read_whole(path):
    path.touch()
    os.truncate(path, 10**12)  # a hole, which takes no room on the disk
    with pytest.raises(ArtifactTampered, match=r"has 1,000,000,000,000 bytes, at most 8,000,000 "):
        stored.load(path, "0" * 64)
    path.write_bytes(bytes(model_scan.MAX_BYTES))
    with pytest.raises(ArtifactTampered, match="has SHA-256 "):
        stored.load(path, "0" * 64)


def test_a_model_that_reads_another_file_is_refused_though_the_runtime_would_load_it(path, content):
    """The first tensor of the tree becomes one that stands in a file beside it."""
    (path.parent / "side.bin").write_bytes(bytes(8))

    def move_out(model):
        tensor = model.graph.initializer.add(name="unused", data_type=1, dims=[2], data_location=1)
        tensor.external_data.add(key="location", value="side.bin")

    content = changed(content, move_out)
    assert onnxruntime.InferenceSession(content).get_inputs()
    with pytest.raises(ArtifactTampered, match="but ONNX that would read another file"):
        load(path, content)


def test_operators_of_a_domain_of_their_own_are_refused_with_it(path, content):
    def rename(model):
        model.graph.node[0].domain = "com.example"

    with pytest.raises(ArtifactTampered, match=r"but ONNX with operators of the domain 'com\.ex"):
        load(path, changed(content, rename))


def test_a_file_in_the_runtimes_own_format_is_refused(path, content):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(content, options)
    assert onnxruntime.InferenceSession(path.read_bytes()).get_inputs()  # it would be loaded
    with pytest.raises(ArtifactTampered, match="but malformed ONNX"):
        load(path, path.read_bytes())


def test_a_model_cannot_pass_itself_off_as_the_runtimes_own_format(path, content):
    """The mark of that format stands at the fifth byte; here it is the name of a producer."""

    def sign(model):
        model.ir_version, model.producer_name = 8, "ORTM"

    content = changed(content, sign)
    assert content[4:8] == b"ORTM"
    assert load(path, content).features == NAMES


@pytest.mark.parametrize("told", ["[" * 100_000, "3", "[1, 2]", '{"a": 1, "b": 2}', "NaN", '"ab"'])
def test_features_that_are_no_list_of_names_are_refused(path, content, told):
    def rewrite(model):
        model.metadata_props[0].value = told

    with pytest.raises(
        ArtifactTampered, match=r"its features (cannot be read|are no list of name)"
    ):
        load(path, changed(content, rewrite))


def changed(content, change):
    """The model with something changed in its description, well-formed again."""
    model = onnx.load_from_string(content)
    change(model)
    return model.SerializeToString()


def without_names(model):
    del model.metadata_props[:]


def one_name_too_few(model):
    model.metadata_props[0].value = '["precip"]'


def no_list(model):
    model.metadata_props[0].value = "precip, humid"


def other_output(model):
    model.graph.output[1].name = model.graph.node[-1].output[0] = "risk"
    for node in model.graph.node:
        for names in (node.output, node.input):
            for position, name in enumerate(names):
                if name == "probabilities":
                    names[position] = "risk"


@pytest.mark.parametrize("change", [without_names, one_name_too_few, no_list, other_output])
def test_an_onnx_file_of_another_making_is_refused(path, content, change):
    with pytest.raises(ArtifactTampered, match="is no model of this"):
        load(path, changed(content, change))


def test_random_damage_under_its_own_digest_is_refused_or_loads(
    path, content, record_property: Callable[[str, object], None]
):
    """Nothing but a refusal comes out of a damaged file; 300 of them."""
    refused = 0
    for seed in range(300):
        chance = random.Random(seed)
        damaged = bytearray(content)
        for _ in range(chance.choice([1, 2, 8])):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            load(path, bytes(damaged))
        except ArtifactTampered:
            refused += 1
    assert 200 < refused < 300
    record_property("of 300 damaged models refused, and the others loaded as models", refused)
