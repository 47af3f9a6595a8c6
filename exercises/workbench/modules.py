"""Modules of an exercise's folder, which is no package, loaded from their files."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any


@cache
def load(path: Path) -> Any:
    """The module in a file."""
    name = f"{path.stem}_of_{path.parent.name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
