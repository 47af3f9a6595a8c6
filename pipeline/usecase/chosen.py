"""The use case that configs/usecase.yaml names: the one switch between the folders of use cases.

It is read from the checkout that this code lies in, whatever the working folder: the features of a
process are those of its code.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.shared.config.loading import load_from
from pipeline.shared.config.sections import StageConfig
from pipeline.shared.contracts import FLIGHT_KEY
from pipeline.shared.domain import UseCase
from pipeline.shared.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
DECLARATION = "table.yaml"


class UseCaseConfig(StageConfig):
    """The name of the use case, which is its folder in pipeline/."""

    stage = "usecase"
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def chosen() -> UseCase:
    """The use case of this checkout: one in Python, or one that a `table.yaml` declares.

    Raises:
        ConfigError: configs/usecase.yaml names none that there is.
    """
    name = load_from(CONFIGS, UseCaseConfig).name
    if (folder := CONFIGS.parent / "pipeline" / name).joinpath(DECLARATION).is_file():
        from pipeline.tabular.usecase import use_case

        return use_case(folder)
    if name == "bikes":
        from pipeline.bikes.usecase import USECASE as BIKES

        return BIKES
    if name != "flights":
        raise ConfigError(
            f"configs/usecase.yaml names {name!r}, 0 folders are so: take `bikes`, or `make adopt`"
        )
    from pipeline.flights.usecase import USECASE as FLIGHTS

    return FLIGHTS


USECASE = chosen()
FLIGHT_KEY[:] = USECASE.events.key
