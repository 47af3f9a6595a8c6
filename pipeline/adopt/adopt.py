"""The command: read, guess, derive, check everything, and put all of it in place only then."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import yaml

from pipeline.adopt import (
    change_set,
    choices,
    configs,
    guess,
    naive,
    pickled,
    source_code,
    table_file,
)
from pipeline.adopt.choices import Guesses
from pipeline.adopt.guess import Hints
from pipeline.adopt.recipe import Recipe
from pipeline.adopt.table_file import SourceTable
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.errors import AdoptionRefused, shell_quote
from pipeline.shared.files import file_hash, storage_failure
from pipeline.tabular import published
from pipeline.tabular.declaration import Declaration, identifier
from pipeline.usecase import take
from pipeline.usecase.take import GRAPH, require_fresh

CLASSIFIER, ADOPTED = Path("pipeline/models/classifier.py"), Path("pipeline/models/adopted.py")
LIST = "ADOPTED.md"
LONGEST_NAME = 60
_TREES = "from pipeline.models.trees import boosting\n\nfit = boosting\n"
_OURS = "from pipeline.models.adopted import adopted\n\nfit = adopted\n"
_TABLE = "published/1.csv"


@dataclass(frozen=True)
class Adoption:
    """A table as it was read and declared, what was guessed of it, and its owner's model."""

    name: str
    given: SourceTable
    declared: Declaration
    guesses: Guesses
    found: list[str]
    recipe: Recipe | None
    origin: str


def adopt(source: Path, name: str | None = None, trusted: str | None = None) -> str:
    """Take over the table of a folder, and its model; return a summary.

    Of a table that is named itself, the only other file that counts is `adopt.yaml` beside it.

    Raises:
        AdoptionRefused: something cannot be right, or a choice is missing; nothing was written.
        StorageFailed: there is no room for it; nothing was written.
    """
    if (interrupted := change_set.resume()) is not None:
        return f"the adoption that was interrupted is whole now: {interrupted}"
    change_set.clear()
    given = table_file.read(source)
    name = name or identifier(source.resolve().stem if source.is_file() else source.resolve().name)
    _require_fresh(name, source)
    adoption = _decide(source, name, given, trusted)
    try:
        files = _files(adoption)
    except OSError as error:
        if (failed := storage_failure(Path(error.filename or change_set.ASIDE), error)) is None:
            raise
        raise failed from error
    finally:
        change_set.clear()
    change_set.replace_all(files, summary := _summary(adoption))
    return summary


def _decide(source: Path, name: str, given: SourceTable, trusted: str | None) -> Adoption:
    """Read what lies beside a table, and guess what nobody has said."""
    folder = source.parent if source.is_file() else source
    said = choices.read(folder)
    code = source_code.find(folder) if folder is source else None
    read = source_code.read(code, set(given.rows.columns)) if code else None
    pickle = pickled.find(folder, trusted) if folder is source or trusted else None
    hints = Hints(read.target, tuple(read.dropped)) if read else Hints()
    declared, guesses = guess.guess(given, name, said, hints)
    model = pickled.load_pickled(pickle, given, declared.numeric) if pickle else None
    if model and model.inputs:
        hints = Hints(hints.target, hints.dropped, model.inputs)
        declared, guesses = guess.guess(given, name, said, hints)
    recipe = model.recipe if model else read.recipe if read else None
    found = [*(read.found if read else []), *(model.found if model else [])]
    origin = model.file if model else code.name if code else ""
    return Adoption(name, given, declared, guesses, found, recipe, origin)


def _require_fresh(name: str, source: Path) -> None:
    target = Path("pipeline") / name
    short = identifier(name)[:LONGEST_NAME].strip("_")
    if short != name:
        raise AdoptionRefused(
            f"{name!r} is no name of a use case, 1 of a-z, 0-9 and _, at most {LONGEST_NAME} long, "
            f"is needed: `make adopt FROM={shell_quote(source)} NAME={short}`"
        )
    if target.exists() or target.with_suffix(".py").exists():
        raise AdoptionRefused(
            f"{target} is there already, 0 files of that name may be: `make adopt FROM=... "
            "NAME=another_name`"
        )
    require_fresh(name)


def _files(of: Adoption) -> dict[Path, bytes]:
    """Every file that the adoption adds or changes: the use case's first, the switch to it last."""
    folder, target = change_set.ASIDE / of.name, Path("pipeline") / of.name
    (folder / _TABLE).parent.mkdir(parents=True)
    (folder / _TABLE).write_text(of.given.rows.to_csv(index=False), encoding="utf-8")
    table = Path(_TABLE).name
    digests = {table: file_hash(folder / _TABLE)}
    rows = _snapshots(folder, of.declared, digests)
    when = configs.calendar(rows, of.declared, of.guesses)
    derived = configs.configs(of.name, of.declared, rows, digests, when)
    learned = rows[configs.in_window(rows, when.train)]
    baseline = naive.choose(learned, of.declared, of.guesses)
    of = replace(of, declared=of.declared.model_copy(update={"naive": baseline}))
    texts = {
        "table.yaml": _declaration(of.declared, of.guesses),
        "configs.yaml": _head(of.name) + yaml.safe_dump(derived, sort_keys=False),
        LIST: _list(of),
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    changed = _with_model(of, take.changes(folder))
    own = {target / file: (folder / file).read_bytes() for file in (_TABLE, *texts)}
    return own | {path: text.encode() for path, text in changed.items()}


def _with_model(of: Adoption, changed: dict[Path, str]) -> dict[Path, str]:
    """The changed files, and those that make training fit the adopted model."""
    if of.recipe is None:
        return changed
    text, line = CLASSIFIER.read_text(encoding="utf-8"), f"      - {CLASSIFIER}\n"
    graph = changed[GRAPH].replace(line, f"      - {ADOPTED}\n{line}")
    model = {ADOPTED: of.recipe.code(of.origin), CLASSIFIER: text.replace(_TREES, _OURS)}
    return model | changed | {GRAPH: graph}


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


def _list(of: Adoption) -> str:
    name, given = of.name, of.given
    rows = [f"| {choice} | {v} | {why} |" for choice, (v, why) in of.guesses.listed.items()]
    notes = [f"- {one}" for one in (*given.notes, *of.found)] or ["- nothing beside the table"]
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


def _summary(of: Adoption) -> str:
    declared, name = of.declared, of.name
    kind = f"events by {declared.time.column}" if declared.time else "a table without event time"
    model = of.recipe.call if of.recipe else "the pipeline's own trees"
    return (
        f"pipeline/{name}/: {kind}, label {declared.label.column}, {len(declared.numeric)} numbers "
        f"and {len(declared.categories)} categories, model {model}; {len(of.guesses.listed)} "
        f"choices were guessed: read pipeline/{name}/{LIST}, then `make champion`"
    )
