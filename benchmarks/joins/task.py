"""A join's task as the engines read it: which files, which columns, where to write.

Standard library only: Spark's environment has nothing else.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KNOWN = "known_at"


@dataclass(frozen=True)
class Task:
    """Parts are folders "<fleet>-<year>" with a file of requests and a file for each view.

    `values` are a view's own columns; `scratch` takes an engine's own files, `memory_gb` is what it
    may use.
    """

    parts: list[str]
    values: dict[str, list[str]]
    out: str
    scratch: str
    memory_gb: float

    @classmethod
    def read(cls, path: str) -> "Task":
        """Read a task that `write` wrote."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """Write the task for the process of an engine."""
        path.write_text(json.dumps(vars(self)), encoding="utf-8")

    def files(self, name: str) -> list[str]:
        """The files of a view, or of the requests, in the order of the parts."""
        return [f"{part}/{name}.parquet" for part in self.parts]

    def fleets(self) -> Iterator[list[str]]:
        """The parts of each fleet, in the order of the years."""
        found: dict[str, list[str]] = {}
        for part in self.parts:
            found.setdefault(Path(part).name.partition("-")[0], []).append(part)
        yield from found.values()

    def target(self, view: str) -> Path:
        """The folder that takes the joined rows of a view."""
        folder = Path(self.out) / view
        folder.mkdir(parents=True, exist_ok=True)
        return folder
