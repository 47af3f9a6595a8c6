"""Values between the process that runs a solution and the one that judges it, as plain JSON.

The process that runs a solution is not trusted, so nothing that it sends is unpickled: it sends
JSON, and `decode` makes plain values of it. A record of any kind arrives as `Seen`.
"""

import base64
import dataclasses
import json
import math
import re
from typing import Any

MAX_DEPTH = 40
"""Deeper values are cut: a value that contains itself would never end."""


class Seen(dict[str, Any]):
    """A record as it was seen: its fields, also as attributes, and the name of its class."""

    kind = ""

    def __getattr__(self, name: str) -> Any:
        """A field of the record.

        Raises:
            AttributeError: it has no such field.
        """
        if name in self:
            return self[name]
        raise AttributeError(f"{self.kind} has no field {name}, it has {', '.join(self)}")


def encode(value: Any, depth: int = 0) -> Any:
    """A value as JSON: numbers, texts and lists as they are, all else in a tagged dictionary."""
    if depth > MAX_DEPTH:
        return {"text": "nested too deeply"}
    if value is None or isinstance(value, bool | int | str):
        return value if type(value) in (type(None), bool, int, str) else encode_scalar(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if (fields := _fields(value)) is not None:
        members = {str(k): encode(v, depth + 1) for k, v in fields.items()}
        return {"record": type(value).__name__, "fields": members}
    if isinstance(value, list | tuple | set | frozenset):
        found = [encode(one, depth + 1) for one in value]
        ordered = isinstance(value, list | tuple)
        return found if ordered else {"set": sorted(found, key=json.dumps)}
    if isinstance(value, dict):
        pairs = [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]
        return {"pairs": pairs}
    return _encode_table(value, depth)


def encode_scalar(value: Any) -> Any:
    """A subclass of a plain type, such as an enumeration's member, as its plain value."""
    plain = next((t for t in (bool, int, str) if isinstance(value, t)), None)
    assert plain is not None
    return plain.__str__(value) if plain is str else plain(value)


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass, a named tuple or a pydantic model; None for other values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    model = getattr(type(value), "model_fields", None)
    return {name: getattr(value, name) for name in model} if isinstance(model, dict) else None


def _encode_table(value: Any, depth: int) -> Any:
    """Arrays, tables and instants, known by what they can do, so that no library is imported."""
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        names = [str(name) for name in value.columns]
        columns = [encode(value.iloc[:, i].tolist(), depth + 1) for i in range(len(names))]
        kinds = [str(kind) for kind in value.dtypes]
        index = encode(value.index.tolist(), depth + 1)
        return {"frame": names, "columns": columns, "kinds": kinds, "index": index}
    if type(value).__name__ in ("Timestamp", "datetime", "date", "NaTType", "Timedelta"):
        return {"instant": str(value)}
    if hasattr(value, "tolist"):
        return encode(value.tolist(), depth + 1)
    return {"text": re.sub(r" at 0x[0-9a-f]+", "", repr(value)[:500])}


def decode(value: Any) -> Any:
    """The plain value of what `encode` wrote: records as `Seen`, a table's columns by name."""
    if isinstance(value, list):
        return [decode(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float(value["float"])
    if "bytes" in value:
        return base64.b64decode(value["bytes"])
    if "set" in value:
        return [decode(one) for one in value["set"]]
    if "pairs" in value:
        return {_key(decode(k)): decode(v) for k, v in value["pairs"]}
    if "record" in value:
        seen = Seen({str(k): decode(v) for k, v in value["fields"].items()})
        seen.kind = str(value["record"])
        return seen
    if "frame" in value:
        return {n: decode(v) for n, v in zip(value["frame"], value["columns"], strict=True)}
    return value.get("instant", value.get("text"))


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
