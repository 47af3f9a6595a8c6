"""Pictures as PNG files: the door to matplotlib, without a screen and without a clock in them."""

from pathlib import Path
from typing import Any

from pipeline.shared.files import atomic_write


def blank(width: float, height: float) -> Any:
    """An empty figure of so many inches, to which axes are added."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a figure in one step; equal figures give equal bytes."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})
