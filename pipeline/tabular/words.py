"""The words of a declared table: the noun of its `table.yaml`, and defaults for the rest."""

from pathlib import Path

from pipeline.shared.nouns import Words
from pipeline.tabular import declaration


def declared_words(folder: Path) -> Words:
    """The words of the table that `table.yaml` in a folder of pipeline/ declares.

    Raises:
        ConfigError: the declaration is missing or wrong.
    """
    of = declaration.read(folder)
    return Words(
        event="row",
        events=of.noun,
        one="a row",
        title=folder.name.replace("_", " ").capitalize(),
        example="2001-01-09/1",
        named_by="the day of its row and its key",
        key="event",
        naive="naive",
    )
