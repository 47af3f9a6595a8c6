"""The use case that configs/usecase.yaml names: the one switch between the folders of use cases.

It is read from the checkout that this code lies in, whatever the working folder: the features of a
process are those of its code.
"""

from pathlib import Path
from typing import Literal

from pipeline.shared.config.loading import load_from
from pipeline.shared.config.sections import StageConfig
from pipeline.shared.contracts import FLIGHT_KEY
from pipeline.shared.domain import UseCase

CONFIGS = Path(__file__).parents[2] / "configs"


class UseCaseConfig(StageConfig):
    """The name of the use case, which is its folder in pipeline/."""

    stage = "usecase"
    name: Literal["flights", "bikes"]


def chosen() -> UseCase:
    """The use case of this checkout.

    Raises:
        ConfigError: configs/usecase.yaml names none that there is.
    """
    if load_from(CONFIGS, UseCaseConfig).name == "bikes":
        from pipeline.bikes.usecase import USECASE as BIKES

        return BIKES
    from pipeline.flights.usecase import USECASE as FLIGHTS

    return FLIGHTS


USECASE = chosen()
FLIGHT_KEY[:] = USECASE.events.key
