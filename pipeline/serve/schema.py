"""The schema of a request, and its conversion to the online store's columns: the use case's own."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pipeline.features.windows import EPOCH
from pipeline.usecase.chosen import USECASE

_FROM = EPOCH.to_pydatetime()
_OF = USECASE.request
if TYPE_CHECKING:
    RequestItem = BaseModel

    class RequestBody(BaseModel):
        """The body of `/predict`."""

        items: list[Any]
else:
    RequestItem, RequestBody = _OF.item, _OF.body
name_of = _OF.name_of
request_rows = _OF.rows
_DATATYPES = {"string": "BYTES", "integer": "INT64", "number": "FP32", "boolean": "BOOL"}


def items_of(payload: RequestBody) -> list[Any]:
    """The items in a body of `/predict`."""
    found: list[Any] = getattr(payload, _OF.key)
    return found


def datatypes(item: type[BaseModel]) -> tuple[dict[str, str], list[str]]:
    """The fields of an item as tensors, each with its datatype, and the names of required ones."""
    schema = item.model_json_schema()
    kinds = {}
    for name, told in schema["properties"].items():
        kind = next(one for one in told.get("anyOf", [told]) if one["type"] != "null")
        kinds[name] = _DATATYPES[kind["type"]]
    return kinds, schema.get("required", [])


def instant_of(minute: int) -> str:
    """A minute since EPOCH as text: "2013-04-18T10:30Z"."""
    at = _FROM + timedelta(minutes=minute)
    return at.isoformat(timespec="minutes").replace("+00:00", "Z")
