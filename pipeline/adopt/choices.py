"""The choices of a table's owner, `adopt.yaml` beside it, and the guesses of what it leaves out."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from pipeline.adopt.table_file import SourceTable
from pipeline.shared.config.ingest import Zone
from pipeline.shared.config.loading import read_values
from pipeline.shared.config.sections import Section
from pipeline.shared.errors import AdoptionRefused, shell_quote
from pipeline.tabular.declaration import identifier

_FILE = "adopt.yaml"


class Choices(Section):
    """Choices by their names in `table.yaml`; columns by their published names."""

    label: str | None = None
    positive: str | int | float | bool | None = None
    above: float | None = None
    time: str | None = None
    zone: Zone | None = None
    known_after_hours: float | None = Field(default=None, ge=0)
    key: list[str] | None = None
    group: list[str] | None = None
    entities: list[str] | None = None
    exclude: list[str] = Field(default=[])
    noun: str | None = None


def read(folder: Path) -> Choices:
    """The choices in a folder; none where it has no such file.

    Raises:
        AdoptionRefused: a key is unknown, or a value is of another kind.
    """
    path = folder / _FILE
    if not path.exists():
        return Choices()
    try:
        return Choices.model_validate(read_values(path) or {})
    except ValidationError as error:
        first = error.errors()[0]
        raise AdoptionRefused(
            f"{path} has {error.error_count()} wrong key(s) or value(s), 0 are allowed: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}; its keys are "
            f"{', '.join(Choices.model_fields)}: correct {shell_quote(path)}"
        ) from None


@dataclass
class Guesses:
    """The guesses so far: for each choice its value and the reason."""

    listed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, choice: str, value: object, why: str) -> None:
        """List one."""
        self.listed[choice] = (str(value), why)


def named(given: SourceTable, said: str) -> str:
    """The column that a choice names.

    Raises:
        AdoptionRefused: the table has none of this name.
    """
    if (name := identifier(said)) not in given.rows.columns:
        raise AdoptionRefused(
            f"adopt.yaml names column {said!r}, {given.path.name} has {len(given.rows.columns)} "
            f"others: {', '.join(list(given.published.values())[:20])}; correct adopt.yaml"
        )
    return name


def require_one_part(given: SourceTable, said: Choices) -> None:
    """Refuse a column that two choices name, each for another part.

    Raises:
        AdoptionRefused: there is one.
    """
    single = [said.label, None if said.time == "none" else said.time]
    parts = [one for one in single if one] + [*said.exclude, *(said.key or []), *(said.group or [])]
    names = [named(given, one) for one in parts if one]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise AdoptionRefused(
            f"adopt.yaml gives {', '.join(twice)} {names.count(twice[0])} parts, 1 is allowed of "
            "label, time, exclude, key and group: correct adopt.yaml"
        )
