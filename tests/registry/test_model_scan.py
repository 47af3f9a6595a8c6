"""What a model file must not be or hold, each refused by its name, and none of it run."""

import functools
import io
import os
import pickle
import random
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import joblib
import numpy as np
import onnx
import onnxruntime
import pytest
import skops.io
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

from pipeline.registry import model_scan

pytestmark = pytest.mark.answer("model-security")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Bomb:
    """A pickle that writes a file where it is loaded."""

    def __reduce__(self):
        return (open, ("exploded", "w"))


def exploded():
    return Path("exploded").exists()


# Pickles.


def test_the_bomb_goes_off_where_a_pickle_is_loaded():
    pickle.loads(pickle.dumps(Bomb())).close()
    assert exploded()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_any_protocol_is_named_and_does_not_run(protocol):
    assert model_scan.refusal(pickle.dumps(Bomb(), protocol)) == (
        "a pickle, which runs code when it is loaded"
    )
    assert not exploded()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_is_cut_off_is_named_by_its_beginning(protocol):
    """What stands before the cut would run."""
    assert model_scan.refusal(pickle.dumps(Bomb(), protocol)[:-1]).startswith("a pickle, ")


@pytest.mark.parametrize("packer", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_pickle_that_joblib_packed_is_named_and_does_not_run(packer):
    joblib.dump({"model": Bomb()}, "model", compress=(packer, 3))
    assert model_scan.refusal(Path("model").read_bytes()) == (
        f"a file packed with {packer}, as joblib packs pickles"
    )
    assert not exploded()


def test_a_pickle_with_arrays_in_it_as_joblib_writes_it_is_named():
    joblib.dump({"model": Bomb(), "weights": np.zeros(100_000)}, "model")
    assert model_scan.refusal(Path("model").read_bytes()).startswith("a pickle, ")
    assert not exploded()


def test_an_old_pickle_with_many_instructions_is_named_by_its_beginning():
    assert model_scan.refusal(pickle.dumps(list(range(200_000)), 0)).startswith("a pickle, ")


@pytest.mark.parametrize("kind", ["zlib", "zip"])
def test_a_file_that_would_unpack_to_much_more_is_not_unpacked(kind):
    content = bytes(100_000_000)
    packed = zlib.compress(content) if kind == "zlib" else archive(schema__json=content)
    del content
    tracemalloc.start()
    assert kind in model_scan.refusal(packed)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


# Archives.


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


ARCHIVES = {
    "keras": archive(model__keras="{}", weights="x"),
    "torch": archive(data__pkl=pickle.dumps(Bomb())),
    "deep": archive(schema__json=b"[" * 100_000),
    "cut off": archive(weights=bytes(1_000))[:-30],
    "empty": archive(),
    "skops": skops.io.dumps(LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])),
    "skops that would import": skops.io.dumps(
        [functools.partial(os.system, "touch exploded"), eval]
    ),
}


@pytest.mark.parametrize("content", ARCHIVES.values(), ids=ARCHIVES)
def test_a_zip_archive_is_named_and_does_not_run(content):
    assert model_scan.refusal(content).startswith("a zip archive")
    assert not exploded()


# ONNX.


def outside(**more):
    """A tensor whose values stand in another file."""
    tensor = TensorProto(name="x", data_type=TensorProto.UINT8, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "side.bin", "offset": "0", "length": "4"} | more).items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(*nodes, **more):
    """A model with these nodes and one output y, of four bytes."""
    output = helper.make_tensor_value_info("y", TensorProto.UINT8, [4])
    graph = helper.make_graph(nodes, "g", [], [output], **more)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def constant(tensor, **more):
    return helper.make_node("Constant", [], ["y"], value=tensor, **more)


def inside(*nodes):
    return helper.make_graph(nodes, "inner", [], [])


def sparse(values, indices):
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[4])


PLAIN = TensorProto(name="x", data_type=TensorProto.UINT8, dims=[4], raw_data=b"abcd")


def trained(graph):
    made = model(constant(PLAIN))
    made.training_info.add(algorithm=graph)
    return made


def prepared(graph):
    made = model(constant(PLAIN))
    made.training_info.add(initialization=graph)
    return made


def function(*nodes, attributes=()):
    made = model(constant(PLAIN))
    made.functions.add(name="f", node=nodes, attribute_proto=attributes)
    return made


PLACES = {
    "an initializer": lambda t: model(initializer=[t]),
    "a constant": lambda t: model(constant(t)),
    "a list of tensors": lambda t: model(helper.make_node("A", [], ["y"], ts=[PLAIN, t])),
    "a branch": lambda t: model(
        helper.make_node("If", ["c"], ["y"], then_branch=inside(constant(t)))
    ),
    "one of many branches": lambda t: model(
        helper.make_node("Many", [], ["y"], branches=[inside(), inside(constant(t))])
    ),
    "sparse values": lambda t: model(sparse_initializer=[sparse(t, PLAIN)]),
    "sparse indices": lambda t: model(sparse_initializer=[sparse(PLAIN, t)]),
    "a sparse constant": lambda t: model(helper.make_node("C", [], ["y"], v=sparse(t, PLAIN))),
    "sparse constants": lambda t: model(helper.make_node("C", [], ["y"], v=[sparse(t, PLAIN)])),
    "a function": lambda t: function(constant(t)),
    "a function's default": lambda t: function(attributes=[helper.make_attribute("a", t)]),
    "training": lambda t: trained(inside(constant(t))),
    "training's beginning": lambda t: prepared(inside(constant(t))),
}


def importing(made):
    made.opset_import.add(domain="com.evil", version=1)
    return made


def importing_function():
    made = function()
    made.functions[0].opset_import.add(domain="com.evil", version=1)
    return made


IMPORTS = {"a model": importing(model(constant(PLAIN))), "a function": importing_function()}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_model_that_would_read_another_file_is_refused_wherever_it_says_so(place):
    assert model_scan.refusal(place(outside()).SerializeToString()) == (
        "ONNX that would read another file (external data)"
    )
    assert model_scan.refusal(place(PLAIN).SerializeToString()) == ""


@pytest.mark.parametrize("path", ["side.bin", "../side.bin", "../../etc/passwd", "/etc/passwd"])
def test_a_path_to_another_file_is_refused_wherever_it_leads(path):
    content = model(constant(outside(location=path))).SerializeToString()
    assert "another file" in model_scan.refusal(content)


def test_onnx_runtime_alone_would_read_a_file_of_the_working_folder():
    Path("side.bin").write_bytes(b"secret")
    content = model(constant(outside())).SerializeToString()
    assert onnxruntime.InferenceSession(content).run(None, {})[0].tobytes() == b"secr"


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(name="x", data_type=2, dims=[4], data_location=TensorProto.EXTERNAL),
        TensorProto(external_data=[onnx.StringStringEntryProto(key="location", value="side.bin")]),
    ],
    ids=["a location that is external", "another file without a location"],
)
def test_half_of_what_names_another_file_is_enough(tensor):
    assert "another file" in model_scan.refusal(model(constant(tensor)).SerializeToString())


def test_a_place_that_protobuf_cuts_to_32_bits_cannot_hide():
    plain = TensorProto(name="x", data_type=2, dims=[4], raw_data=b"abcd").SerializeToString()
    hidden = plain + b"\x70\x81\x80\x80\x80\x10"  # data_location: 2**32 + 1
    assert TensorProto.FromString(hidden).data_location == TensorProto.EXTERNAL
    graph = model(initializer=[TensorProto(name="HERE")]).SerializeToString()
    place = TensorProto(name="HERE").SerializeToString()
    assert graph.count(place) == 1  # its length stands before it, and those of what is around it
    inner = b"\x2a" + bytes([len(hidden)]) + hidden
    content = b"\x3a" + bytes([len(inner)]) + inner
    assert onnx.load_from_string(content).graph.initializer[0].data_location == 1
    assert "another file" in model_scan.refusal(content)


def test_what_a_later_part_of_the_file_adds_to_an_earlier_one_cannot_hide():
    first = model(constant(outside())).SerializeToString()
    merged = first + model(constant(PLAIN)).SerializeToString()
    assert "another file" in model_scan.refusal(merged)
    assert "another file" in model_scan.refusal(merged[len(first) :] + first)


@pytest.mark.parametrize(
    "changed",
    [
        model(helper.make_node("Evil", [], ["y"], domain="com.evil")),
        model(helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")),
        model(
            helper.make_node("If", ["c"], ["y"], then_branch=inside(constant(PLAIN, domain="z")))
        ),
        function(constant(PLAIN, domain="my.own")),
        *IMPORTS.values(),
    ],
    ids=["a node", "the runtime's own", "a branch", "a function", "an import", "its import"],
)
def test_operators_that_onnx_does_not_define_are_refused_with_their_domain(changed):
    told = model_scan.refusal(changed.SerializeToString())
    assert told.startswith("ONNX with operators of the domain ")
    assert told.endswith(", not one of ONNX's own")


def test_a_strange_domain_cannot_write_to_the_terminal():
    node = helper.make_node("Evil", [], ["y"], domain="\x1b[2Jclean\n")
    assert "'\\x1b[2Jclean\\n'" in model_scan.refusal(model(node).SerializeToString())


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml"])
def test_the_operators_of_onnx_are_let_through(domain):
    node = helper.make_node("Identity", ["x"], ["y"], domain=domain)
    assert model_scan.refusal(model(node).SerializeToString()) == ""


@pytest.mark.parametrize(
    "content",
    [
        b"garbage" * 100,
        b"\x08",
        b"\x08" + b"\xff" * 11,
        b"\x08" + b"\xff" * 4_000_000,
        b"\x3a\x05abc",
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x00\x00",
        b"\x0e\x00",
        b"\x09abc",
        b"\x80\x80\x80\x80\x10\x00",
    ],
    ids="garbage none 11-bytes endless short 2**63 0 6 short-8 2**32".split(),
)
def test_what_protobuf_cannot_read_is_malformed(content):
    size = f"{len(content):,}"
    assert model_scan.refusal(content) == f"malformed ONNX: protobuf cannot read its {size} bytes"
    with pytest.raises(DecodeError):
        onnx.ModelProto.FromString(content)


@pytest.mark.parametrize(
    "content",
    [
        b"\x0b\x0c",
        b"\x08\x01\x7a\x00",
        model(constant(PLAIN)).SerializeToString() + b"\xa2\x06\x01x",
        model(constant(TensorProto.FromString(b"\x70\x02"))).SerializeToString(),
    ],
    ids=["a group", "no field of a model", "one field more", "no place of a tensor"],
)
def test_what_onnx_does_not_define_is_refused_though_protobuf_would_pass_over_it(content):
    onnx.ModelProto.FromString(content)
    assert model_scan.refusal(content).startswith("malformed ONNX: onnx does not define ")


def wrapped(depth):
    """A model whose graphs lie so deep inside each other, with another file in the innermost."""
    graph = inside(constant(outside()))
    for _ in range(depth):
        graph = inside(helper.make_node("If", ["c"], [], then_branch=graph))
    return helper.make_model(graph)


def test_graphs_inside_each_other_are_followed_as_deep_as_protobuf_follows_them():
    assert "another file" in model_scan.refusal(wrapped(30).SerializeToString())


@pytest.mark.parametrize("graphs", [40, 10_000])
def test_what_lies_deeper_than_protobuf_follows_is_malformed(graphs):
    layers, size = [], 0
    for tag in [b"\x32", b"\x2a", b"\x0a"] * graphs + [b"\x3a"]:  # graph, attribute, node
        layers.append(tag + _varint(size))
        size += len(layers[-1])
    assert model_scan.refusal(b"".join(reversed(layers))).startswith("malformed ONNX")


def _varint(number):
    done = bytearray()
    while number > 127:
        done.append(number & 127 | 128)
        number >>= 7
    return bytes([*done, number])


# Random damage, with protobuf itself as the judge.


def holds_what_is_refused(model):
    """Whether what protobuf reads and writes out as text names another file or others' operators.

    The domains of a model and of a function name their makers and load nothing.
    """
    for named in (model, *model.functions):
        named.ClearField("domain")
    lines = {line.strip() for line in str(model).splitlines()}
    domains = {line for line in lines if line.startswith("domain: ")}
    return bool(
        lines & {"external_data {", "data_location: EXTERNAL"}
        or domains - {f'domain: "{domain}"' for domain in model_scan.DOMAINS}
    )


@pytest.mark.parametrize("seed", range(8))
def test_whatever_protobuf_reads_out_of_a_damaged_file_has_been_looked_through(seed):
    chance = random.Random(seed)
    whole = [place(outside()).SerializeToString() for place in PLACES.values()]
    whole += [place(PLAIN).SerializeToString() for place in PLACES.values()]
    whole += [made.SerializeToString() for made in IMPORTS.values()]
    seen = {"refused": 0, "let through": 0, "malformed": 0}
    for _ in range(1_500):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.choice([1, 1, 2, 4])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        told = model_scan.refusal(bytes(content))
        try:
            read = onnx.ModelProto.FromString(bytes(content))
        except DecodeError:
            seen["malformed"] += 1
            continue
        if holds_what_is_refused(read):
            assert told, bytes(content)
            seen["refused"] += 1
        elif not told:
            seen["let through"] += 1
    assert min(seen.values()) > 50


def test_a_damaged_pickle_or_archive_is_never_a_crash():
    joblib.dump(Bomb(), "model", compress=3)
    whole = [pickle.dumps([Bomb(), 1.5, "x", {}], protocol) for protocol in range(6)]
    whole += [Path("model").read_bytes(), archive(schema__json='{"__class__": "x"}', a="b" * 99)]
    whole += [skops.io.dumps([eval])]
    for seed in range(3_000):
        chance = random.Random(seed)
        content = bytearray(chance.choice(whole))
        for _ in range(chance.choice([1, 2, 8])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        model_scan.refusal(bytes(content[: chance.randrange(len(content))]))
    assert not exploded()
