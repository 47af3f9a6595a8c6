"""Another use case for this checkout: `python -m pipeline.usecase.take bikes`.

It writes the use case's configs into configs/, and its name where flights stand in dvc.yaml. Both
are the checkout's own from then on; `make run USECASE=bikes` takes it and goes on.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from pipeline.shared import yaml_files
from pipeline.shared.errors import ConfigError
from pipeline.shared.files import write_text
from pipeline.usecase.chosen import USECASE

CONFIGS, GRAPH = Path("configs"), Path("dvc.yaml")
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
    own: dict[str, dict[str, Any]] = yaml_files.parse(source.read_text(encoding="utf-8"))
    sections = dict(own["instead"])
    for stage, keys in own["over"].items():
        text = (CONFIGS / f"{stage}.yaml").read_text(encoding="utf-8")
        sections[stage] = _changed(yaml_files.parse(text), keys)
    for stage, values in sections.items():
        write_text(CONFIGS / f"{stage}.yaml", yaml.safe_dump(values, sort_keys=False))
    graph = GRAPH.read_text(encoding="utf-8").replace("/flights", f"/{name}")
    write_text(GRAPH, graph)
    write_text(CONFIGS / "usecase.yaml", f"name: {name}\n")


def _changed(values: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    """Values with other ones at some keys, where a dot leads into a section."""
    for key, value in keys.items():
        *above, last = key.split(".")
        section = values
        for part in above:
            section = section[part]
        section[last] = value
    return values


if __name__ == "__main__":
    try:
        take(" ".join(sys.argv[1:]))
    except ConfigError as refusal:
        sys.exit(f"take: ConfigError: {refusal}")
