"""A finding of `make repair`, and how it keeps a broken file: moved aside, never deleted."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RepairFinding:
    """A broken file of state: the fault, the intact evidence, and the step that rebuilds it.

    `act` does the step; None if only a person or a backup can.
    """

    file: Path
    wrong: str
    stands: str
    step: str
    act: Callable[[], object] | None = None

    @property
    def words(self) -> str:
        """The fault, the evidence and the step, a line each."""
        how = "repair" if self.act else "left  "
        return f"{self.file}: {self.wrong}\n   stands  {self.stands}\n   {how}  {self.step}" + (
            f"; {self.file} is kept under a name with .broken" if self.act else ""
        )


def set_aside(path: Path, keep: bool = False) -> Path | None:
    """Move a file or folder to a free name with .broken, with SQLite's journals; None if gone.

    With `keep` the file stays in place until it is replaced, and a copy is moved aside.
    """
    if not path.exists():
        return None
    number, to = 1, path.with_name(f"{path.name}.broken")
    while to.exists():
        number += 1
        to = path.with_name(f"{path.name}.broken-{number}")
    if keep:
        shutil.copy2(path, to)
    for end in ("-wal", "-shm", "-journal"):
        journal = path.with_name(path.name + end)
        if path.is_file() and journal.is_file():
            journal.rename(to.with_name(to.name + end))
    if not keep:
        path.rename(to)
    return to
