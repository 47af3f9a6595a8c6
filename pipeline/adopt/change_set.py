"""The changed files of a checkout, put in place all or none.

Every file is written aside first, with a copy of what it replaces, then a record that all of them
are there; only then are they renamed into place. A command that fails before the record leaves
nothing. One that is killed after it leaves the record, from which the next command goes on.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from pipeline.shared.errors import StorageFailed
from pipeline.shared.files import read_json, remove, storage_failure, write_json

ASIDE = Path("state/adopt")
_RECORD = ASIDE / "changes.json"


def clear() -> None:
    """Remove what a command has left aside that ended before it changed anything."""
    if not _RECORD.exists():
        remove(ASIDE)


def replace_all(files: Mapping[Path, bytes], note: str) -> None:
    """Replace files by new ones, in order; `note` is what `resume` returns after an interruption.

    Raises:
        StorageFailed: the disk is full, or a folder cannot be written; every file is as it was.
    """
    ASIDE.mkdir(parents=True, exist_ok=True)
    try:
        for number, (path, content) in enumerate(files.items()):
            _new(number).write_bytes(content)
            if path.exists():
                shutil.copy2(path, _old(number))
        write_json(_RECORD, {"note": note, "files": [str(path) for path in files]})
        _rename(list(files))
    except (OSError, StorageFailed) as error:
        _undo(list(files))
        failed = error if isinstance(error, StorageFailed) else _refusal(error)
        if failed is None or failed is error:
            raise
        raise failed from error
    remove(ASIDE)


def resume() -> str | None:
    """Finish a change that was interrupted while files were renamed; its note, None without one."""
    if not _RECORD.exists():
        return None
    record = read_json(_RECORD, "adopt")
    _rename([Path(name) for name in record["files"]])
    remove(ASIDE)
    return str(record["note"])


def _new(number: int) -> Path:
    return ASIDE / f"{number}.new"


def _old(number: int) -> Path:
    return ASIDE / f"{number}.old"


def _rename(paths: list[Path]) -> None:
    for number, path in enumerate(paths):
        if _new(number).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _new(number).replace(path)


def _refusal(error: OSError) -> StorageFailed | None:
    return storage_failure(Path(error.filename or ASIDE), error)


def _undo(paths: list[Path]) -> None:
    """Undo renames: the old files are back, and those that were not there are gone."""
    for number, path in enumerate(paths) if _RECORD.exists() else ():
        is_renamed = not _new(number).exists()
        if is_renamed and _old(number).exists():
            _old(number).replace(path)
        elif is_renamed:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it is not empty
            os.removedirs(path.parent)
    remove(ASIDE)
