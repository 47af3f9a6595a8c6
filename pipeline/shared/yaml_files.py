"""YAML loaders that refuse a repeated key in a mapping.

YAML forbids repeated keys, but PyYAML silently keeps the last value and loses the first.
"""

from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor


class UniqueKeys(SafeConstructor):
    """A mixin for loaders that refuses a repeated key."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping after a check that its keys differ."""
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # PyYAML refuses it as unhashable
            line, first = key.start_mark.line + 1, seen.get((key.tag, key.value))
            if first is not None:
                raise ConstructorError(
                    problem=f"the key {key.value!r} of line {first} stands again in line {line}; "
                    "remove one of them",
                    problem_mark=key.start_mark,
                )
            seen[key.tag, key.value] = line
        return super().construct_mapping(node, deep)


class Loader(UniqueKeys, yaml.SafeLoader):
    """PyYAML's safe loader, with unique keys."""


class FastLoader(UniqueKeys, yaml.CSafeLoader):
    """The same in C, ten times as fast, for long documents."""


def parse(text: str) -> Any:
    """The value of a YAML document.

    Raises:
        yaml.YAMLError: the text is not YAML, or a key stands twice in a mapping.
    """
    return yaml.load(text, Loader=FastLoader)
