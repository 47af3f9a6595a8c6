"""No committed file holds a secret; what one looks like is said in pipeline/shared/secrets.py."""

import ast
import configparser
import re

import pytest

from pipeline.shared import secrets
from tests.rules import tree

pytestmark = pytest.mark.answer("model-security")

TABLES = [name for name in tree.files() if re.fullmatch(r"configs/\w+\.yaml|dvc\.yaml", name)]
"""Not what clusters are told, which names the secrets that a cluster keeps, and holds none."""
ADDRESSES = {"tracking_url", "artifacts_url", "online_url", "log_url"}


def _text(name: str) -> str:
    return (tree.ROOT / name).read_bytes().decode(errors="replace")


@pytest.mark.parametrize("name", tree.files())
def test_no_committed_file_holds_a_secret(name: str) -> None:
    lines = enumerate(_text(name).splitlines(), 1)
    assert [(number, kind) for number, line in lines for kind in secrets.kinds(line)] == []


@pytest.mark.parametrize("name", TABLES)
def test_no_config_has_a_key_for_one(name: str) -> None:
    assert list(secrets.find(tree.load(name))) == []


def test_the_config_of_the_data_store_has_none_either() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(tree.read(".dvc/config"))
    assert list(secrets.find({name: dict(parser[name]) for name in parser})) == []
    assert "/config.local" in tree.read(".dvc/.gitignore")


@pytest.mark.parametrize("name", tree.code())
def test_no_message_shows_an_address_as_it_is(name: str) -> None:
    """It may come from the environment with a password in it; `shown` takes that out."""
    told = [
        ast.unparse(node)
        for node in ast.walk(tree.parsed(name))
        if isinstance(node, ast.FormattedValue)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in ADDRESSES
    ]
    assert told == []
