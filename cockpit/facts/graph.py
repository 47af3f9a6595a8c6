"""The DVC pipeline's stages: up to date or not, and why, without DVC.

DVC knows a file by the MD5 of its bytes. Digests are kept by a file's size and time, so that a page
that is drawn every second reads each file once.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cockpit.reading import Missing
from pipeline.shared import yaml_files
from pipeline.shared.dvc_lock import Stage, md5, read_lock
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import members

_WHAT = "the DVC pipeline"
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?e[-+]?\d+")
_NAMED = 3
"""Changed files that a line names; a merge changes hundreds."""


@dataclass(frozen=True)
class StageState:
    """A stage: "fresh", "changed" or "never run"; which inputs changed; when it last wrote."""

    name: str
    state: str
    changed: list[str]
    written_at: float | None
    outs: list[str]

    @property
    def reason(self) -> str:
        """The changed inputs in a few words."""
        more = len(self.changed) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        return ", ".join(self.changed[:_NAMED]) + rest


_digests: dict[tuple[Path, tuple[int, ...]], str | None] = {}
_documents: dict[tuple[Path, tuple[int, ...]], Any] = {}


def read(folder: Path) -> list[StageState] | Missing:
    """Compare the inputs of every stage in dvc.yaml with those of its last run."""
    try:
        graph = _document(folder / "dvc.yaml")["stages"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return Missing(_WHAT, "dvc.yaml is missing or broken", "`git checkout dvc.yaml`")
    lock: dict[str, Stage] = {}
    with suppress(ArtifactTampered, OSError):
        lock = _lock(folder / "dvc.lock")
    return [_state(folder, name, entry, lock.get(name)) for name, entry in graph.items()]


def _state(folder: Path, name: str, entry: dict[str, Any], run: Stage | None) -> StageState:
    outs = [path for kind in ("outs", "metrics", "plots") for path in _paths(entry.get(kind, []))]
    times = [path.stat().st_mtime for out in outs if (path := folder / out).exists()]
    written = max(times, default=None)
    if run is None:
        return StageState(name, "never run", [], written, outs)
    changed = [path for path, digest in run.deps.items() if _digest(folder / path) != digest]
    changed += [path for path in run.params if _values(folder / path) != _numbers(run.params[path])]
    changed += [f"{path} is gone" for path in outs if not (folder / path).exists()]
    return StageState(name, "changed" if changed else "fresh", changed, written, outs)


def _paths(entries: list[Any]) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def _stamp(path: Path) -> tuple[int, ...]:
    """Times and sizes of a file, or of every file of a folder."""
    found = [path] if path.is_file() else members(path) if path.is_dir() else []
    stats = [one.stat() for one in found]
    return tuple(value for one in stats for value in (one.st_mtime_ns, one.st_size))


def _digest(path: Path) -> str | None:
    with suppress(OSError):
        key = (path, _stamp(path))
        if key not in _digests:
            _digests[key] = md5(path)
        return _digests[key]
    return None


def _document(path: Path) -> Any:
    key = (path, _stamp(path))
    if key not in _documents:
        _documents[key] = yaml_files.parse(path.read_text(encoding="utf-8"))
    return _documents[key]


def _lock(path: Path) -> dict[str, Stage]:
    key = (path, (0, *_stamp(path)))
    if key not in _documents:
        _documents[key] = read_lock(path) if path.is_file() else {}
    found: dict[str, Stage] = _documents[key]
    return found


def _values(path: Path) -> Any:
    try:
        return _numbers(_document(path))
    except (OSError, yaml.YAMLError):
        return None


def _numbers(value: Any) -> Any:
    """The value with "1e-05" as a number: DVC writes YAML 1.2, which is read here as YAML 1.1."""
    if isinstance(value, dict):
        return {key: _numbers(of) for key, of in value.items()}
    if isinstance(value, list):
        return [_numbers(of) for of in value]
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value
