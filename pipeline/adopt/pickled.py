"""A pickled model, loaded in a child after its owner's yes by name, and what it is."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.adopt.recipe import KINDS, Recipe
from pipeline.adopt.table_file import SourceTable
from pipeline.shared.errors import AdoptionRefused, shell_quote
from pipeline.shared.files import file_hash
from pipeline.tabular.declaration import identifier

SUFFIXES = (".pkl", ".pickle", ".joblib")
_SECONDS = 120


@dataclass(frozen=True)
class Pickled:
    """A model: its recipe, the inputs that it names, and what was found of it."""

    file: str
    recipe: Recipe
    inputs: tuple[str, ...] | None
    found: list[str]


def find(folder: Path, trusted: str | None) -> Path | None:
    """The pickle of a folder, if there is one and its owner has said yes to it by name.

    Raises:
        AdoptionRefused: nobody has, or another name was given, or there are several.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    names = ", ".join(path.name for path in files) or "none"
    if trusted is not None and trusted not in {path.name for path in files}:
        raise AdoptionRefused(
            f"TRUST={trusted} names none of {len(files)} pickle(s) in {folder} ({names}): `ls "
            f"{shell_quote(folder)}`"
        )
    if len(files) > 1:
        raise AdoptionRefused(
            f"{folder} holds {len(files)} pickles ({names}), at most 1 is taken over: move the "
            f"others away; `ls {shell_quote(folder)}`"
        )
    if files and trusted is None:
        path = files[0]
        raise AdoptionRefused(
            f"{path.name} is a pickle of {path.stat().st_size:,} bytes, SHA-256 "
            f"{file_hash(path)[:12]}…, and loading one can run any code: 0 of 1 were trusted. If "
            f"you trust who made it, `make adopt FROM={shell_quote(folder)} TRUST={path.name}`; "
            "else give the script that trains it instead"
        )
    return files[0] if files else None


def load_pickled(path: Path, given: SourceTable, numeric: list[str]) -> Pickled:
    """Describe a model in a child, and refuse one that cannot be taken over.

    Raises:
        AdoptionRefused: the child failed, its kind has no converter, or its inputs are others.
    """
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        given.rows.to_csv(table, index=False)
        said = _in_child(path, table, numeric, Path(folder))
    if said["kind"] not in KINDS:
        raise AdoptionRefused(
            f"{path.name} is a {said['module'].split('.')[0]} {said['kind']}, none of {len(KINDS)} "
            f"kinds that become ONNX with probabilities: {', '.join(KINDS)}; train one of them on "
            "the same table, or give the table alone: `make champion` then trains our own trees"
        )
    if len(said["classes"]) != 2:
        raise AdoptionRefused(
            f"{path.name} tells {len(said['classes'])} classes apart "
            f"({', '.join(said['classes'][:8])}), 2 are predicted: train it on one of them, "
            "or give the table alone with `positive` in adopt.yaml"
        )
    _require_inputs(path, given, said)
    recipe = Recipe(said["kind"], said["arguments"])
    found = [f"a {said['kind']} on {said['count']} inputs: {recipe.call}", _parity(path, said)]
    inputs = tuple(said["inputs"]) if said["inputs"] else None
    return Pickled(path.name, recipe, inputs, found)


def _parity(path: Path, said: dict[str, Any]) -> str:
    if "failed" in said:
        raise AdoptionRefused(
            f"{path.name}: {said['failed']}; give the script that trains it, and `make champion` "
            "trains it anew"
        )
    if said["parity"] is None:
        why = said.get("why", "its inputs are no numbers")
        return f"its ONNX form was not compared as it is: {why}; the one trained here is"
    return f"its ONNX form differs by {said['parity']:.1e} at most on {said['rows']:,} rows"


def _require_inputs(path: Path, given: SourceTable, said: dict[str, Any]) -> None:
    """Refuse a model whose inputs the table has not: by name, or by number where it names none."""
    if said["inputs"] is None:
        most = len(given.rows.columns) - 1
        if said["count"] > most:
            raise AdoptionRefused(
                f"{path.name} takes {said['count']} inputs, {given.path.name} has {most} columns "
                "beside the label: give the table that it was trained on to `make adopt`"
            )
        return
    there = set(given.rows.columns)
    there |= {
        identifier(f"{column}_{value}")
        for column in given.rows.columns
        for value in given.rows[column].dropna().unique()[:1000]
    }
    if other := [one for one in said["inputs"] if identifier(one) not in there]:
        raise AdoptionRefused(
            f"{path.name} takes {len(said['inputs'])} inputs, {len(other)} of them are not in "
            f"{given.path.name}: {', '.join(other[:8])}; give the table that it was trained on to "
            "`make adopt`"
        )


def _in_child(path: Path, table: Path, numeric: list[str], folder: Path) -> dict[str, Any]:
    """A child's description of a pickle; it has a limit of time, and a folder of its own."""
    command = [sys.executable, "-m", "pipeline.adopt.unpickle", str(path.absolute()), str(table)]
    known = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = {
        **known,
        "TMPDIR": str(folder),
        "HOME": str(folder),
        "PYTHONPATH": str(Path.cwd()),
    }
    try:
        done = subprocess.run(
            [*command, *numeric],
            cwd=folder,
            env=environment | {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AdoptionRefused(
            f"{path.name} was not loaded within {_SECONDS} s, 1 child was ended: give the script "
            "that trains it to `make adopt`"
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1][:300]
        raise AdoptionRefused(
            f"{path.name} cannot be loaded (exit {done.returncode}, 0 is needed): {last}; save it "
            "with the scikit-learn of requirements.lock, or give `make adopt` the training script"
        )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
