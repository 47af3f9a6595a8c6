"""The schema of a request, and its conversion to the online store's columns: the use case's own."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pipeline.features.windows import EPOCH
from pipeline.usecase.chosen import USECASE

_FROM = EPOCH.to_pydatetime()
_OF = USECASE.request
if TYPE_CHECKING:
    Flight = BaseModel

    class PredictRequest(BaseModel):
        """The body of `/predict`."""

        flights: list[Any]
else:
    Flight, PredictRequest = _OF.item, _OF.body
flight_id = _OF.name_of
requests = _OF.rows


def instant_of(minute: int) -> str:
    """A minute since EPOCH as text: "2013-04-18T10:30Z"."""
    at = datetime.fromtimestamp(_FROM.timestamp() + 60 * minute, UTC)
    return f"{at:%Y-%m-%dT%H:%M}Z"
