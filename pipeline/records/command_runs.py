"""The runs of commands in this folder: how each ended, and how long it took, a line each.

The standard library alone, and nothing rests on it: where it cannot be written, a command goes on.
"""

import contextlib
import json
from pathlib import Path
from typing import Literal, NamedTuple

RUNS = Path("state/runs.jsonl")
_MAX_BYTES = 1_000_000
"""Some thousand runs; from then on the older half is dropped."""
_MAX_WORDS = 600
Ending = Literal["done", "refused"]


class CommandRun(NamedTuple):
    """A command's run: its end (seconds since 1970, wall clock), its duration, its last words.

    `words` are the report of a command that is done, or the refusal's kind and message.
    """

    command: str
    ended_at: float
    seconds: float
    ending: Ending
    words: str


def note(run: CommandRun, path: Path = RUNS) -> None:
    """Append a run in one write, so that commands beside each other keep whole lines."""
    kept = run._replace(words=run.words[:_MAX_WORDS], seconds=round(run.seconds, 2))
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size > _MAX_BYTES:
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(lines[len(lines) // 2 :]))
        with path.open("ab") as stream:
            stream.write(json.dumps(kept).encode() + b"\n")


def read_runs(path: Path = RUNS) -> list[CommandRun]:
    """Read the runs, the oldest first; empty without a file, and without half-written lines."""
    found = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        with contextlib.suppress(ValueError, TypeError):
            found.append(CommandRun(*json.loads(line)))
    return found
