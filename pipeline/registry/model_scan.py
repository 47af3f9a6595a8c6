"""The model scan: the format of a model file, checked before ONNX Runtime loads it.

Nothing is executed: a pickle is disassembled, and ONNX is only parsed. The only module that imports
onnx.
"""

import pickletools
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

MAX_BYTES = 8_000_000
"""Fifty times the model of configs/train.yaml; scanned in seconds."""

DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
"""Operators that ONNX itself defines; others need a custom library."""

_STARTS = {
    b"PK\3\4": "a zip archive, as torch, Keras and skops write models",
    b"PK\5\6": "a zip archive without a file",
    b"\x78": "a file packed with zlib, as joblib packs pickles",
    b"\x1f\x8b": "a file packed with gzip, as joblib packs pickles",
    b"BZh": "a file packed with bz2, as joblib packs pickles",
    b"\xfd7zXZ\0": "a file packed with xz, as joblib packs pickles",
    b"\x5d\0\0": "a file packed with lzma, as joblib packs pickles",
}
"""Formats by their first bytes, none of which begins an ONNX model."""
_OPCODES = 10_000


def refusal(content: bytes) -> str:
    """Why ONNX Runtime may not load these bytes, as "a pickle, ..."; "" if it may."""
    for start, name in _STARTS.items():
        if content.startswith(start):
            return name
    if _is_pickle(content):
        return "a pickle, which runs code when it is loaded"
    try:
        model = parse_onnx(content)
    except ValueError as error:
        return f"malformed ONNX: {error}"
    return next((reason for message in _messages(model) if (reason := _reason(message))), "")


def parse_onnx(content: bytes) -> Any:
    """The onnx.ModelProto of these bytes.

    Raises:
        ValueError: they are not one, or hold fields that this version of onnx does not define.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ValueError(f"protobuf cannot read its {len(content):,} bytes") from error
    size = model.ByteSize()
    model.DiscardUnknownFields()
    if unknown := size - model.ByteSize():
        raise ValueError(f"onnx does not define {unknown:,} of its {len(content):,} bytes")
    return model


def _is_pickle(content: bytes) -> bool:
    """Whether bytes are a pickle: protocols from 2 on by their header, older ones by opcodes."""
    if content[:1] == b"\x80" and content[1:2] <= b"\x05":
        return len(content) > 1
    with warnings.catch_warnings(
        action="ignore"
    ):  # about escapes in bytes that may not be a pickle
        try:
            return sum(1 for _ in islice(pickletools.genops(content), _OPCODES)) > 1
        except ValueError:
            return False


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all nested ones: subgraphs, functions, attributes, training."""
    yield message
    for field, value in message.ListFields():
        if field.message_type:
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)


def _reason(message: Any) -> str:
    """Why a message may not be part of a model; "" if it may."""
    kind = message.DESCRIPTOR.name
    if kind == "TensorProto" and (message.external_data or message.data_location):
        return "ONNX that would read another file (external data)"
    if kind in ("NodeProto", "OperatorSetIdProto") and message.domain not in DOMAINS:
        return f"ONNX with operators of the domain {message.domain!a:.60}, not one of ONNX's own"
    return ""
