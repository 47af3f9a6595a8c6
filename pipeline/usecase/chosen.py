"""The use case that configs/usecase.yaml names: the one switch between the folders of use cases.

It is read from the checkout that this code lies in, whatever the working folder: the features of a
process are those of its code.
"""

from pathlib import Path
from typing import Any

from pydantic import create_model

from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.features import FeaturesConfig, PositiveHours, Shrinkage
from pipeline.shared.config.loading import EXTENDED, load_from
from pipeline.shared.config.sections import StageConfig
from pipeline.shared.config.usecase import DECLARATION, UseCaseConfig
from pipeline.shared.domain import UseCase
from pipeline.shared.errors import ConfigError

_CONFIGS = Path(__file__).parents[2] / "configs"


def chosen() -> UseCase:
    """The use case of this checkout: one in Python, or one that a `table.yaml` declares.

    Raises:
        ConfigError: configs/usecase.yaml names none that there is.
    """
    name = load_from(_CONFIGS, UseCaseConfig).name
    if (folder := _CONFIGS.parent / "pipeline" / name).joinpath(DECLARATION).is_file():
        from pipeline.tabular.usecase import use_case

        return use_case(folder)
    if name == "bikes":
        from pipeline.bikes.usecase import USECASE as BIKES

        return BIKES
    if name != "flights":
        raise ConfigError(
            f"configs/usecase.yaml names {name!r}, 0 folders are so: take `bikes`, or `make adopt`"
        )
    from pipeline.flights.usecase import USECASE as FIRST

    return FIRST


def sections(case: UseCase) -> dict[type[StageConfig], type[StageConfig]]:
    """The sections to which a use case adds keys, each by the section without them.

    Features have an age at which each state expires, and what small groups are shrunk by; the gate
    has a rule of slices.
    """
    ages: dict[str, Any] = {state.setting: (PositiveHours, ...) for state in case.features.states}
    own: dict[str, Any] = {f"shrink_{case.request.key}": (Shrinkage, ...), **ages}
    rule: dict[str, Any] = {"slices": (case.slice_rule, ...)}
    return {
        FeaturesConfig: create_model("OwnFeaturesConfig", __base__=FeaturesConfig, **own),
        EvaluateConfig: create_model("OwnEvaluateConfig", __base__=EvaluateConfig, **rule),
    }


USECASE = chosen()
SECTIONS = sections(USECASE)
OwnFeaturesConfig, OwnEvaluateConfig = SECTIONS[FeaturesConfig], SECTIONS[EvaluateConfig]
"""Under the names of the classes, so that an instance can be sent to another process."""
SHRINKAGE = f"shrink_{USECASE.request.key}"
"""The key of configs/features.yaml with the number of events that a prior counts for."""
EXTENDED.update(SECTIONS)
