"""Faults in what is kept of requests: what may not be kept, and what is not what was answered."""

import re
from pathlib import Path

from exercises.drill import Drill, Outcome, replace_once

LOG, DESK = "pipeline/serve/log.py", "pipeline/serve/desk.py"


def _keep_the_callers_address(folder: Path) -> list[str]:
    """Somebody wants to know who asks: one more column, and one more value in each row."""
    replace_once(
        folder / LOG, "    seconds: float\n\n\n", "    seconds: float\n    address: str\n\n\n"
    )
    column = '    sa.Column("seconds", sa.Double, nullable=False),\n'
    replace_once(folder / LOG, column, f'{column}    sa.Column("address", sa.Text),\n')
    row = "(request_id, row, *who, *one, *when)"
    address = 'request.headers.get("x-forwarded-for", "")'
    replace_once(folder / DESK, row, f"{row[:-1]}, {address})")
    return ["tests/rules/test_personal.py", "-m", "not slow"]


def _not_declared(_: Path, outcome: Outcome) -> str:
    column = re.search(r"classify it in (docs/fields\.yaml)", outcome.words)
    value = re.search(r"'(address)', 'an address of the internet'", outcome.words)
    if outcome.code != 1 or column is None or value is None:
        return ""
    return f"the column {value[1]} is not in {column[1]}, and holds an address of the internet"


DRILLS = [
    Drill(
        slug="callers-address",
        fault="the request log gets a column with the address of who asked",
        guard="the list of declared fields, and a look for persons in a really produced log",
        inject=_keep_the_callers_address,
        caught=_not_declared,
        command=("-m", "pytest", "-q"),
    ),
]
