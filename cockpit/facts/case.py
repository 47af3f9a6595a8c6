"""The use case of a project: its name, which is that of its events' table, and its words."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.shared.config.loading import load_from
from pipeline.shared.config.usecase import UseCaseConfig
from pipeline.shared.errors import ConfigError
from pipeline.shared.nouns import Words
from pipeline.usecase.chosen_words import words_of

_OWN = Path(__file__).parents[2]
"""The checkout of this code: a folder without configs is its own."""


@dataclass(frozen=True)
class Case:
    """A use case by its name and its words."""

    name: str
    words: Words


def read(folder: Path) -> Case:
    """The use case that the configs of a folder name, or else that of this code."""
    try:
        return _case(folder)
    except ConfigError:
        return _case(_OWN)


def _case(folder: Path) -> Case:
    name = load_from(folder / "configs", UseCaseConfig).name
    return Case(name, words_of(folder))
