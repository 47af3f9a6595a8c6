"""Another use case for this checkout: `python -m pipeline.usecase.take bikes`.

It writes the use case's configs into configs/, and its name where that of flights stands in
dvc.yaml. Both are the checkout's own from then on; `make run USECASE=bikes` takes it and goes on.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from pipeline.shared import yaml_files
from pipeline.shared.config.usecase import DECLARATION
from pipeline.shared.errors import ConfigError
from pipeline.shared.files import write_text
from pipeline.tabular import declaration
from pipeline.tabular.declaration import Declaration
from pipeline.usecase.chosen import USECASE

_CONFIGS, GRAPH = Path("configs"), Path("dvc.yaml")
STATE = tuple(map(Path, ("data/ingest", "data/features", "state/mlflow.db", "state/rollout")))
"""Where the stages write first: in a fresh clone there is none of them."""


def take(name: str) -> None:
    """Write the configs of a use case into this checkout, unless it serves that one already.

    Raises:
        ConfigError: there is no such use case, or the checkout has another one's data or configs.
    """
    if name == USECASE.name:
        return
    source = Path("pipeline") / name / "configs.yaml"
    if not source.is_file():
        raise ConfigError(
            f"{name!r} is no use case with configs of its own: 0 files {source}; "
            "`ls pipeline/*/configs.yaml` names those there are"
        )
    require_fresh(name)
    for path, text in changes(source.parent).items():
        write_text(path, text)


def changes(folder: Path) -> dict[Path, str]:
    """The files of this checkout as the use case in `folder` has them; its name is the last."""
    own: dict[str, dict[str, Any]] = yaml_files.parse(
        (folder / "configs.yaml").read_text(encoding="utf-8")
    )
    sections = dict(own["instead"])
    for stage, keys in own["over"].items():
        text = (_CONFIGS / f"{stage}.yaml").read_text(encoding="utf-8")
        sections[stage] = _changed(yaml_files.parse(text), keys)
    files = {
        _CONFIGS / f"{stage}.yaml": yaml.safe_dump(values, sort_keys=False)
        for stage, values in sections.items()
    }
    declared = (folder / DECLARATION).is_file()
    files[GRAPH] = _graph(folder.name, declaration.read(folder) if declared else None)
    return files | {_CONFIGS / "usecase.yaml": f"name: {folder.name}\n"}


def require_fresh(name: str) -> None:
    """Refuse a checkout that serves another use case, or holds what its stages wrote.

    Raises:
        ConfigError: it is no fresh clone.
    """
    if USECASE.name != "flights":
        raise ConfigError(
            f"this checkout serves {USECASE.name!r}, {name!r} is wanted: take it in a clone of "
            "its own, from `git clone`"
        )
    if left := [str(path) for path in STATE if path.exists()]:
        raise ConfigError(
            f"this checkout holds what {USECASE.name!r} wrote in {len(left)} places, 0 are wanted: "
            f"{', '.join(left)}; take {name!r} in a clone of its own, from `git clone`"
        )


def _changed(values: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    """Values with other ones at some keys, where a dot leads into a section."""
    for key, value in keys.items():
        *above, last = key.split(".")
        section = values
        for part in above:
            section = section[part]
        section[last] = value
    return values


def _graph(name: str, declared: Declaration | None) -> str:
    """The graph with the use case in place of flights; a declared one has a single table.

    Without event time it has no view either.
    """
    graph = GRAPH.read_text(encoding="utf-8")
    if declared:
        context = USECASE.context
        none = [f"/{context.name}"] if context else []
        none += [] if declared.time else ["data/features/views"]
        lines = graph.splitlines(keepends=True)
        kept = "".join(line for line in lines if not any(path in line for path in none))
        code = "      - pipeline/flights\n"
        graph = kept.replace(code, f"{code}      - pipeline/tabular\n")
    return graph.replace("/flights", f"/{name}")


if __name__ == "__main__":
    try:
        take(" ".join(sys.argv[1:]))
    except ConfigError as refusal:
        sys.exit(f"take: ConfigError: {refusal}")
