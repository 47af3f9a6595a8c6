"""Reading configs/<stage>.yaml into its frozen, typed section."""

import copy
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import ValidationError

from pipeline.shared import secrets, yaml_files
from pipeline.shared.config.sections import REGISTRY, StageConfig
from pipeline.shared.errors import ConfigError
from pipeline.shared.files import read_at_most

CONFIGS = Path("configs")
MAX_CONFIG_BYTES = 64_000
"""Twenty times the largest; a config is written by hand."""
C = TypeVar("C", bound=StageConfig)
EXTENDED: dict[type[StageConfig], type[StageConfig]] = {}
"""The sections to which the use case adds keys: pipeline/usecase/chosen.py puts them here."""


class _Loader(yaml_files.Loader):
    """YAML without aliases: ten lines of them can expand to a billion values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias, which no config needs", problem_mark=mark)
        return super().compose_node(parent, index)


def extended(section: type[C]) -> type[C]:
    """A section with the keys that the use case adds, if it adds any."""
    return cast("type[C]", EXTENDED.get(section, section))


def load(section: type[C]) -> C:
    """Read configs/<stage>.yaml into its section; the environment may override some keys.

    Raises:
        ConfigError: the file is missing, is not YAML, holds a secret, or a key or value is wrong.
    """
    return load_from(CONFIGS, section)


def load_from(folder: Path, section: type[C]) -> C:
    """`load` from another folder than the working folder's configs/."""
    path = folder / f"{section.stage}.yaml"
    values = read_values(path)
    if isinstance(values, dict):
        names = section.environment.items()
        values |= {key: os.environ[name] for key, name in names if os.environ.get(name)}
    try:
        return extended(section).model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(path, error)) from None  # it holds every value


def read_values(path: Path) -> Any:
    """A config's values. Messages never quote the file: it may hold a secret."""
    try:
        content = read_at_most(path, MAX_CONFIG_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; restore it with `git checkout {path}`") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no config: {error}; see `git diff {path}`") from error
    try:
        values, leaks = _parse(content.decode())
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not YAML: {_problem(error)}; correct it (`git diff {path}`)"
        ) from None  # it quotes the file
    if leaks:
        place, kind = leaks[0]
        raise ConfigError(
            f"{path} holds {kind} at {place}, which everybody with the code can read; "
            "correct it, make the secret void, and name an address that needs one in the "
            f"environment: {', '.join(REGISTRY.values())}"
        )
    return copy.deepcopy(values)


@lru_cache(maxsize=64)
def _parse(text: str) -> tuple[Any, list[tuple[str, str]]]:
    """A config's values and its secrets, in comments too; a loop reads the same text each day."""
    values, lines = yaml.load(text, _Loader), enumerate(text.splitlines(), 1)
    leaks = [(f"line {number}", kind) for number, line in lines for kind in secrets.kinds(line)]
    return values, [*secrets.find(values), *leaks]


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return secrets.redact(f"{getattr(error, 'problem', None) or type(error).__name__}{where}")


def _explain(path: Path, error: ValidationError) -> str:
    lines = [
        f"  {'.'.join(map(str, e['loc'])) or '(file)'}: {e['msg']}, got {_shorten(e['input'])}"
        for e in error.errors()
    ]
    head = f"{path} has {len(lines)} wrong key(s) or value(s); correct them (`git diff {path}`):"
    return "\n".join([head, *lines])


def _shorten(value: Any) -> str:
    try:
        return repr(secrets.mask_address(value) if isinstance(value, str) else value)[:80]
    except ValueError as error:  # an integer with too many digits for Python to print
        return f"a value that cannot be shown ({error})"[:80]
