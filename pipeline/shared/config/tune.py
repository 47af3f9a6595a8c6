"""The config of tune: configs/tune.yaml."""

from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.shared.config.sections import Positive, StageConfig, in_order
from pipeline.shared.config.train import BoostingParameters

Bounds = Annotated[tuple[Positive, Positive], AfterValidator(in_order)]


def _of_the_model(space: dict[str, Bounds]) -> dict[str, Bounds]:
    """Refuse a setting that the model does not have, or bounds that training would refuse."""
    known = BoostingParameters.model_fields
    if unknown := sorted(set(space) - set(known)):
        raise ValueError(f"no setting of the model: {unknown}; it has {sorted(known)}")
    missing = dict.fromkeys(known, 1)
    for end in (0, 1):
        bounds = {name: _as_typed(name, pair[end]) for name, pair in space.items()}
        BoostingParameters.model_validate(missing | {"max_leaf_nodes": 2} | bounds)
    return space


def _as_typed(name: str, value: float) -> float:
    whole = BoostingParameters.model_fields[name].annotation is int
    return round(value) if whole else value


class TuneConfig(StageConfig):
    """The search for hyperparameters: its budget, its folds, its hold-out and its space."""

    stage = "tune"
    trials: int = Field(gt=0, le=1_000)
    seed: int = Field(ge=0)
    workers: int = Field(gt=0, le=64)
    folds: int = Field(ge=2, le=20)
    fold_days: int = Field(gt=0)
    holdout_days: int = Field(gt=1)
    space: Annotated[dict[str, Bounds], Field(min_length=1), AfterValidator(_of_the_model)]

    def settings(self, drawn: dict[str, float], present: BoostingParameters) -> BoostingParameters:
        """The present settings with the drawn ones in their place, whole numbers rounded."""
        changed = {name: _as_typed(name, float(f"{value:.3g}")) for name, value in drawn.items()}
        return BoostingParameters.model_validate(present.model_dump() | changed)
