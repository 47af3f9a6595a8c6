"""The command: read, guess, derive, check everything, and write only then."""

import shutil
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from pipeline.adopt import choices, configs, guess, pickled, source_code, table_file
from pipeline.adopt.choices import Guesses
from pipeline.adopt.guess import Hints
from pipeline.adopt.recipe import Recipe
from pipeline.adopt.table_file import Given
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.errors import AdoptionRefused, shell_quote
from pipeline.shared.files import file_hash, write_text
from pipeline.tabular import published
from pipeline.tabular.declaration import Declaration, identifier
from pipeline.usecase.take import GRAPH, require_fresh, take

CLASSIFIER, ADOPTED = Path("pipeline/models/classifier.py"), Path("pipeline/models/adopted.py")
LIST = "ADOPTED.md"
_TREES = "from pipeline.models.trees import boosting\n\nfit = boosting\n"
_OURS = "from pipeline.models.adopted import adopted\n\nfit = adopted\n"


def adopt(source: Path, name: str | None = None, trusted: str | None = None) -> str:
    """Take over the table of a folder, and its model; return a summary.

    Raises:
        AdoptionRefused: something cannot be right, or a choice is missing; nothing was written.
    """
    given = table_file.read(source)
    name = name or identifier(source.resolve().name)
    target = Path("pipeline") / name
    _require_fresh(name, target, source)
    said = choices.read(source)
    code = source_code.find(source)
    read = source_code.read(code) if code else None
    pickle = pickled.find(source, trusted)
    hints = Hints(read.target, tuple(read.dropped)) if read else Hints()
    declared, guesses = guess.guess(given, name, said, hints)
    model = pickled.load(pickle, given, declared.numeric) if pickle else None
    if model and model.inputs:
        hints = Hints(hints.target, hints.dropped, model.inputs)
        declared, guesses = guess.guess(given, name, said, hints)
    recipe = model.recipe if model else read.recipe if read else None
    found = [*(read.found if read else []), *(model.found if model else [])]
    origin = model.file if model else code.name if code else ""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}.") as scratch:
        folder = Path(scratch) / name
        _write(folder, given, declared, guesses, found)
        shutil.move(folder, target)
    if recipe:
        _use(recipe, origin)
    take(name)
    return _summary(name, declared, guesses, recipe)


def _require_fresh(name: str, target: Path, source: Path) -> None:
    if identifier(name) != name:
        raise AdoptionRefused(
            f"{name!r} is no name of a use case, 1 of a-z, 0-9 and _ is needed: `make adopt "
            f"FROM={shell_quote(source)} NAME={identifier(name)}`"
        )
    if target.exists() or target.with_suffix(".py").exists():
        raise AdoptionRefused(
            f"{target} is there already, 0 files of that name may be: `make adopt FROM=... "
            "NAME=another_name`"
        )
    require_fresh(name)


def _write(
    folder: Path, given: Given, declared: Declaration, guesses: Guesses, found: list[str]
) -> None:
    """Write the use case's folder: table, declaration, configs, and the list of guesses."""
    file = "1.csv"
    (folder / "published").mkdir(parents=True)
    (folder / "published" / file).write_text(given.rows.to_csv(index=False), encoding="utf-8")
    files = {file: file_hash(folder / "published" / file)}
    rows = _snapshots(folder, declared, files)
    derived = configs.configs(folder.name, declared, rows, files, guesses)
    write_text(folder / "table.yaml", _declaration(declared, guesses))
    write_text(
        folder / "configs.yaml", _head(folder.name) + yaml.safe_dump(derived, sort_keys=False)
    )
    write_text(folder / LIST, _list(folder.name, given, guesses, found))


def _snapshots(folder: Path, declared: Declaration, files: dict[str, str]) -> pd.DataFrame:
    """The rows as ingestion will read them."""
    months = {"as_of": published.FIRST_VERSION, "first_month": published.FIRST_VERSION}
    config = IngestConfig.model_validate(
        {"source": str(folder / "published"), "files": files, **months}
    )
    return published.source(folder.name, declared)(config)[folder.name]


def _declaration(declared: Declaration, guesses: Guesses) -> str:
    """`table.yaml`, each guess marked above its key."""
    values = declared.model_dump(exclude_none=True, exclude_defaults=True)
    lines = [f"# A declared table; what was guessed is marked here and listed in {LIST}."]
    for key, value in values.items():
        parts = {key, *(value if isinstance(value, dict) else [])} | _PARTS.get(key, set())
        for choice, (chosen, why) in guesses.listed.items():
            if choice.split(" ")[0] in parts:
                lines.append(f"# guess: {choice} is {chosen}: {why}")
        lines.append(yaml.safe_dump({key: value}, sort_keys=False, width=98).rstrip())
    return "\n".join(lines) + "\n"


_PARTS = {"categories": {"category"}, "time": {"zone", "known_after_hours", "entities"}}


def _head(name: str) -> str:
    return (
        f"# What stands in configs/ where the use case is {name}. Limits: what was seen, widened.\n"
    )


def _list(name: str, given: Given, guesses: Guesses, found: list[str]) -> str:
    rows = [f"| {choice} | {v} | {why} |" for choice, (v, why) in guesses.listed.items()]
    notes = [f"- {one}" for one in (*given.notes, *found)] or ["- nothing beside the table"]
    return "\n".join(
        [
            f"# What was guessed of {name}",
            "",
            f"From `{given.path.name}`, SHA-256 `{given.sha256}`, {len(given.rows):,} rows. To "
            "choose otherwise, write the choice into `adopt.yaml` beside that table and adopt it "
            "again in a fresh clone, or edit `table.yaml`.",
            "",
            "| choice | value | why |",
            "| --- | --- | --- |",
            *rows,
            "",
            "## What was read",
            "",
            *notes,
            "",
        ]
    )


def _use(recipe: Recipe, origin: str) -> None:
    """Make training fit the adopted model: a module of its own, and one line that chooses it."""
    text = CLASSIFIER.read_text(encoding="utf-8")
    write_text(ADOPTED, recipe.code(origin))
    write_text(CLASSIFIER, text.replace(_TREES, _OURS))
    line = f"      - {CLASSIFIER}\n"
    graph = GRAPH.read_text(encoding="utf-8")
    write_text(GRAPH, graph.replace(line, f"      - {ADOPTED}\n{line}"))


def _summary(name: str, declared: Declaration, guesses: Guesses, recipe: Recipe | None) -> str:
    kind = f"events by {declared.time.column}" if declared.time else "a table without event time"
    model = recipe.call if recipe else "the pipeline's own trees"
    return (
        f"pipeline/{name}/: {kind}, label {declared.label.column}, {len(declared.numeric)} numbers "
        f"and {len(declared.categories)} categories, model {model}; {len(guesses.listed)} choices "
        f"were guessed: read pipeline/{name}/{LIST}, commit, then `make champion`"
    )
