"""Plots as reproducible PNG files: the only module that imports matplotlib."""

from pathlib import Path
from typing import Any

from pipeline.shared.files import atomic_write


def blank(width: float, height: float) -> Any:
    """An empty figure, its size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a figure atomically; equal figures give equal bytes."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})
