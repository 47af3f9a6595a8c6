"""The config of the use case, configs/usecase.yaml: the name of its folder in pipeline/."""

from typing import Annotated

from pydantic import Field

from pipeline.shared.config.sections import StageConfig

DECLARATION = "table.yaml"
"""The file that declares a use case without code of its own, in its folder."""


class UseCaseConfig(StageConfig):
    """The name of the use case, which is its folder in pipeline/."""

    stage = "usecase"
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
