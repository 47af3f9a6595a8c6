"""Patterns of secrets, one definition for configs, committed files and messages."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import Secret

_WORDS = r"passw(?:or)?d|passphrase|secret|token|credential|(?:api|access|private)[_-]?key"
_KEY = re.compile(_WORDS, re.IGNORECASE)

PATTERNS = {
    "a URL with a password": re.compile(r"(?<=:/{2})[^\s:/@]{0,200}:\S{1,500}(?=@)"),
    "a URL with a secret in its query": re.compile(
        rf"(?i)(?<=[?&;])(?=[\w-]{{0,40}}(?:{_WORDS}))[\w-]{{1,100}}=[^\s&;]+"
    ),
    "the id of an AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "what may be an AWS key": re.compile(
        r"(?<![\w/+=.-])(?!/)(?=[\w/+]*[a-z])(?=[\w/+]*[A-Z])(?=[\w/+]*[0-9])"
        r"[A-Za-z0-9/+]{40}(?![\w/+=.-])"
    ),
    "a private key": re.compile(
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?:-----)?"
        r"(?:[^-]|-{1,4}(?!-))*(?:-----END [A-Z ]{0,40}PRIVATE KEY)?"
    ),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_|github_pat_)\w{20,}"),
    "a GitLab token": re.compile(r"\bglpat-[\w-]{20,}"),
    "a Slack token": re.compile(r"\bxox[a-z]-[\w-]{10,}"),
    "a Google key": re.compile(r"\bAIza[\w-]{35}"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
    "a Databricks token": re.compile(r"\bdapi[0-9a-f]{32}"),
    "a PyPI token": re.compile(r"\bpypi-[\w-]{30,}"),
    "an npm token": re.compile(r"\bnpm_[A-Za-z0-9]{30,}"),
    "an API key": re.compile(r"\bsk-(?:[a-z0-9]{1,16}-){0,4}[A-Za-z0-9_]{20,}"),
    "a signed web token": re.compile(r"\beyJ[\w-]{8,1000}\.eyJ[\w-]{8,}\.[\w-]*"),
}
"""Each kind of secret and its pattern; matches are never displayed.

Each pattern takes linear time, even for adversarial text: repetitions that can start at many places
are bounded, and no two overlap (tests/rules/test_patterns.py).
"""


def kinds(text: str) -> list[str]:
    """The kinds of secret in a text."""
    return [kind for kind, pattern in PATTERNS.items() if pattern.search(text)]


def redact(text: str) -> str:
    """A text with *** in place of every secret."""
    for pattern in PATTERNS.values():
        text = pattern.sub("***", text)
    return text


def mask_address(url: str) -> str:
    """An address for messages, without user and password."""
    scheme, separator, rest = url.partition("://")
    caller, at, host = rest.rpartition("@")
    has_user = at and (":" in caller or "/" not in caller)
    return redact(f"{scheme}{separator}***@{host}" if has_user else url)


Text = TypeVar("Text", bound=str)


class Address(Secret[Text]):
    """The address of a store or a server, displayed without user and password."""

    def _display(self) -> str:
        return mask_address(self.get_secret_value())


def find(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """The secrets in nested values: dotted key and kind of each."""
    if isinstance(value, dict):
        for key, inner in value.items():
            place = f"{where}.{redact(str(key))}".lstrip(".")
            if _KEY.search(str(key)):
                yield place, "a key for a secret"
            yield from ((place, kind) for kind in kinds(str(key)))
            yield from find(inner, place)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from find(inner, f"{where}.{number}".lstrip("."))
    elif isinstance(value, str):
        yield from ((where, kind) for kind in kinds(value))
