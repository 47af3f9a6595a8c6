"""What the bytes of a model file are, told before anything takes them for a model.

Nothing that is read here is run: a pickle is disassembled, an archive listed, protobuf walked.
"""

import bz2
import io
import lzma
import pickletools
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from pipeline.shared.files import parse_json

MAX_BYTES = 8_000_000
"""Fifty times the model of configs/train.yaml; to walk so much takes seconds, not minutes."""

DOMAINS = {b"", b"ai.onnx", b"ai.onnx.ml"}
"""Operators that ONNX itself defines. Others need a library of somebody's own to be loaded."""

MESSAGES: dict[str, dict[int, str]] = {
    "ModelProto": {
        7: "GraphProto",
        8: "OperatorSetIdProto",
        20: "TrainingInfoProto",
        25: "FunctionProto",
    },
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 9: "OperatorSetIdProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
"""Every way from a model to an operator or a tensor, by field number; a test asks onnx itself."""

_DOMAINS = {("NodeProto", 7), ("OperatorSetIdProto", 1)}
_EXTERNAL, _LOCATION = ("TensorProto", 13), ("TensorProto", 14)
_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}
"""Wire types: a number, so many bytes, and those of a fixed size; ONNX has no groups (3, 4)."""
_DEPTH = 100
"""Where protobuf itself gives up."""
_OPCODES = 10_000
_UNPACKED_BYTES = 1_000_000
_LZMA_BYTES = 100_000_000

_UNPACKERS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x78": ("zlib", zlib.decompressobj),
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    b"BZh": ("bz2", bz2.BZ2Decompressor),
    b"\xfd7zXZ\0": ("xz", lambda: lzma.LZMADecompressor(memlimit=_LZMA_BYTES)),
    b"\x5d\0\0": ("lzma", lambda: lzma.LZMADecompressor(memlimit=_LZMA_BYTES)),
}
"""What joblib packs a pickle with, by its first bytes."""

_PLAIN = set(
    "int float complex bool str bytes bytearray list tuple dict set frozenset range slice".split()
)
_SCIENTIFIC = {"sklearn", "numpy", "scipy"}


def refusal(content: bytes) -> str:
    """Why these bytes are not given to ONNX Runtime, as "a pickle, ..."; empty if they may be."""
    if content.startswith((b"PK\3\4", b"PK\5\6")):
        return _archive(content)
    if packed := _packed(content):
        return packed
    if _is_pickle(content):
        return "a pickle, which runs code when it is loaded"
    return _onnx(content)


def _is_pickle(content: bytes) -> bool:
    """Protocols from 2 on begin with their number; older ones are told by their instructions."""
    if content[:1] == b"\x80" and content[1:2] <= b"\x05":
        return len(content) > 1
    with warnings.catch_warnings(action="ignore"):  # about escapes in what may be no pickle at all
        try:
            return sum(1 for _ in islice(pickletools.genops(content), _OPCODES)) > 1
        except ValueError:
            return False


def _packed(content: bytes) -> str:
    for start, (name, unpacker) in _UNPACKERS.items():
        if content.startswith(start):
            try:
                inside = unpacker().decompress(content, _UNPACKED_BYTES)
            except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
                return ""
            if _is_pickle(inside):
                return f"a pickle packed with {name}, which runs code when it is loaded"
            return f"a file packed with {name}"
    return ""


def _archive(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if "schema.json" in names:
                with archive.open("schema.json") as member:
                    return _skops(member.read(_UNPACKED_BYTES + 1))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError):
        return "a zip archive, and a damaged one"
    pickles = [name for name in names if name.endswith(".pkl")]
    inside = f", among them a pickle ({pickles[0]!a:.60}), which runs code" if pickles else ""
    return f"a zip archive of {len(names):,} file(s){inside}"


def _skops(schema: bytes) -> str:
    """Name the types that skops would have to import, without letting it."""
    kind = "a skops file (a zip archive)"
    if len(schema) > _UNPACKED_BYTES:
        return f"{kind} whose schema.json has more than {_UNPACKED_BYTES:,} bytes"
    waiting, types = [parse_json(schema)], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            types.add((str(value.get("__module__", "")), str(value.get("__class__", ""))))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    untrusted = sorted(f"{module}.{name}" for module, name in types if not _trusted(module, name))
    shown = ", ".join(ascii(name)[1:-1][:80] for name in untrusted[:5])
    return f"{kind} with {len(untrusted)} untrusted type(s): {shown}" if untrusted else kind


def _trusted(module: str, name: str) -> bool:
    if module in ("", "builtins"):
        return not module or name in _PLAIN
    return module.partition(".")[0] in _SCIENTIFIC


def _onnx(content: bytes) -> str:
    try:
        return _walk(content, "ModelProto", 0, len(content), 0)
    except EOFError as error:
        return f"malformed ONNX: {error} of {len(content):,}"


def _walk(content: bytes, message: str, start: int, end: int, depth: int) -> str:
    """What an ONNX file must not hold, looked for in every message that protobuf would read.

    A field that occurs twice is looked at twice, so that no later one can hide an earlier one.
    """
    if depth > _DEPTH:
        raise EOFError(f"messages more than {_DEPTH} deep at byte {start:,}")
    for number, kind, first, last in _fields(content, start, end):
        field = (message, number)
        if field in _DOMAINS and kind == _BYTES and content[first:last] not in DOMAINS:
            domain = ascii(content[first:last][:40])[2:-1]
            return f"ONNX with operators of the domain {domain!r}, which ONNX does not define"
        if field == _EXTERNAL or (field == _LOCATION and content[first:last].strip(b"\0\x80")):
            return "ONNX that would read another file (external data)"
        inner = MESSAGES.get(message, {}).get(number)
        if inner and kind == _BYTES and (found := _walk(content, inner, first, last, depth + 1)):
            return found
    return ""


def _fields(content: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each field of a message: its number, its wire type, where its value begins and ends.

    Raises:
        EOFError: a field is cut off, or of a kind that no ONNX file has (a group); says where.
    """
    at = start
    while at < end:
        tag, first = _varint(content, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            last = _varint(content, first, end)[1]
        elif kind == _BYTES:
            size, first = _varint(content, first, end)
            last = first + size
        else:
            last = first + _FIXED.get(kind, end)
        if last > end or not 0 < number < 1 << 29:
            raise EOFError(f"a field that is cut off, or none, at byte {at:,}")
        yield number, kind, first, last
        at = last


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of up to ten bytes, seven bits in each, and where it ends."""
    value = 0
    for shift, byte in enumerate(content[at : min(at + 10, end)]):
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value, at + shift + 1
    raise EOFError(f"a number without an end at byte {at:,}")
