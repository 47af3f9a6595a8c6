"""The config of train: configs/train.yaml."""

from pydantic import Field, model_validator

from pipeline.shared.config.sections import Day, Section, StageConfig, Window


class BoostingParameters(Section):
    """Parameters of scikit-learn's HistGradientBoostingClassifier, under its own names."""

    max_iter: int = Field(gt=0)
    learning_rate: float = Field(gt=0, le=1)
    max_leaf_nodes: int = Field(ge=2)
    min_samples_leaf: int = Field(gt=0)
    l2_regularization: float = Field(ge=0)


class TrainConfig(StageConfig):
    """The training configuration: window, hyperparameters, and the stored model's parity."""

    stage = "train"
    window: Window
    refit_until: Day | None
    seed: int = Field(ge=0)
    threads: int = Field(gt=0)
    boosting: BoostingParameters
    monotone: bool
    drop_features: list[str]
    logistic_c: float = Field(gt=0)
    min_rows: int = Field(gt=0)
    parity_tolerance: float = Field(gt=0, le=1e-3)

    @model_validator(mode="after")
    def _refit_learns_more(self) -> "TrainConfig":
        if self.refit_until is not None and self.refit_until <= self.window.last:
            raise ValueError(f"refit_until {self.refit_until} is not after {self.window.last}")
        return self

    @property
    def whole(self) -> Window:
        """The training window of the model that goes live."""
        return Window(first=self.window.first, last=self.refit_until or self.window.last)

    @property
    def recipe(self) -> str:
        """The training configuration without its days, as JSON; an equal one makes a refresh."""
        return self.model_dump_json(exclude={"window", "refit_until"})
