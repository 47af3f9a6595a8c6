"""The words of a checkout's use case, without its tables: for the pages of the cockpit."""

from pathlib import Path
from pkgutil import resolve_name

from pipeline.shared.config.loading import load_from
from pipeline.shared.config.usecase import DECLARATION, UseCaseConfig
from pipeline.shared.errors import ConfigError
from pipeline.shared.nouns import Words
from pipeline.tabular.words import declared_words


def words_of(folder: Path) -> Words:
    """The words that the use case of the checkout in `folder` gives.

    Raises:
        ConfigError: configs/usecase.yaml names none that there is, or its declaration is wrong.
    """
    name = load_from(folder / "configs", UseCaseConfig).name
    if (declared := folder / "pipeline" / name).joinpath(DECLARATION).is_file():
        return declared_words(declared)
    try:
        found: Words = resolve_name(f"pipeline.{name}:WORDS")
    except (ImportError, AttributeError):
        raise ConfigError(
            f"configs/usecase.yaml names {name!r}, 0 folders with words are so: `ls pipeline`"
        ) from None
    return found
