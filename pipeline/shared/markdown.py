"""Pages that people read in a terminal, on a forge or in a registry."""

from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; a bar or a line's end within a cell would end it, and becomes another."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(cell, cells))} |" for cells in lines)


def cell(value: Any) -> str:
    """A value on one line, without a bar."""
    return " ".join(str(value).replace("|", "/").split())
