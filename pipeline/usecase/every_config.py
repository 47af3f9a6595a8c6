"""A check of every config, before DVC removes a stage's outputs and the stage then refuses."""

import sys

from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.reproduce import ReproduceConfig
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.config.sections import StageConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.config.tune import TuneConfig
from pipeline.shared.errors import ConfigError
from pipeline.usecase.chosen import USECASE

ALL_SECTIONS: tuple[type[StageConfig], ...] = (
    IngestConfig,
    USECASE.limits,
    FeaturesConfig,
    TrainConfig,
    TuneConfig,
    EvaluateConfig,
    RegisterConfig,
    ReproduceConfig,
    ServeConfig,
    RolloutConfig,
    MonitorConfig,
    RetrainConfig,
)
"""Every stage's section; that of the use case is read with `chosen`."""


def load_all() -> None:
    """Read every config.

    Raises:
        ConfigError: a config is wrong, as in `load`.
    """
    for section in ALL_SECTIONS:
        load(section)


if __name__ == "__main__":
    try:
        load_all()
    except ConfigError as refusal:
        sys.exit(f"configs: ConfigError: {refusal}")
