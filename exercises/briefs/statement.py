"""A checkout's statement, service.toml: by which commands it serves, and where its parts are."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exercises.workbench.checking import Unmet, Words

STATEMENT = "service.toml"


class Statement(BaseModel):
    """One brief's table of service.toml: commands, and files by their path in the checkout.

    `serve` has {port} where the port goes. `replace` makes another version of the model serve, and
    `back` the one before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    serve: str = Field(pattern=r"\{port\}")
    tests: str = ""
    model: str = ""
    container: str = ""
    workflow: str = ""
    replace: str = ""
    back: str = ""


def read(folder: Path, brief: str) -> Statement:
    """The statement of a checkout for a brief.

    Raises:
        Unmet: there is none, or it says something else than is asked for.
    """
    path, wanted = folder / STATEMENT, Words(f"{STATEMENT} with a table [{brief}] that has `serve`")
    if not path.is_file():
        raise Unmet(wanted, Words("no such file"), f"the brief says what {STATEMENT} holds")
    try:
        return Statement.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))[brief])
    except (KeyError, ValueError, ValidationError) as error:
        raise Unmet(wanted, Words(str(error)), f"the brief says what {STATEMENT} holds") from error
