"""The interim analyses of a rollout as they happen: a line each, beside the evidence.

The ledger has the decisions that changed the traffic; these lines are what was seen in between, so
that a rollout can be watched while it runs. Nothing is decided from them.
"""

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.shared.contracts import Record

_FILE = "analyses.jsonl"


class Analysis(Record):
    """One interim analysis: its instant in the replay, the traffic shares, and the decision.

    `shares` are in ten-thousandths by arm; `decision` holds the fields of the analysis's decision.
    """

    at: datetime
    shares: dict[str, int]
    decision: dict[str, Any]


def append(folder: Path, analysis: Analysis) -> None:
    """Append a line to the rollout's file in one write; a full disk stops no rollout."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _FILE).open("ab") as stream:
            stream.write(analysis.model_dump_json().encode() + b"\n")


def read(folder: Path) -> list[Analysis]:
    """Read the analyses of a rollout, the oldest first; half a line of a killed one is left out."""
    path = folder / _FILE
    lines = path.read_bytes().splitlines() if path.is_file() else []
    found = []
    for line in lines:
        with contextlib.suppress(ValidationError, json.JSONDecodeError):
            found.append(Analysis.model_validate_json(line))
    return found
