"""No committed file holds a secret; what one looks like is said in pipeline/shared/secrets.py."""

import ast
import configparser
import re
from typing import get_origin

import pytest

from pipeline.shared import secrets
from pipeline.usecase.every_config import ALL_SECTIONS
from tests.rules import tree

pytestmark = pytest.mark.answer("model-security")

TABLES = [name for name in tree.files() if re.fullmatch(r"configs/\w+\.yaml|dvc\.yaml", name)]
"""Not what clusters are told, which names the secrets that a cluster keeps, and holds none."""
ADDRESSES = [
    (section.__name__, name, get_origin(field.annotation))
    for section in ALL_SECTIONS
    for name, field in section.model_fields.items()
    if name.endswith("_url")
]


def _text(name: str) -> str:
    return (tree.ROOT / name).read_bytes().decode(errors="replace")


@pytest.mark.long
@tree.each(tree.files())
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


@pytest.mark.parametrize(("section", "name", "kind"), ADDRESSES)
def test_every_address_of_a_config_is_of_the_kind_that_hides_its_password(
    section: str, name: str, kind: object
) -> None:
    """It may come from the environment with a password in it."""
    assert kind is secrets.Address, f"{section}.{name}"


def test_the_addresses_are_found() -> None:
    names = {"tracking_url", "artifacts_url", "online_url", "log_url"}
    assert {name for _, name, _ in ADDRESSES} == names


@tree.each(tree.code())
def test_no_message_opens_an_address(name: str) -> None:
    formatted = (n for n in ast.walk(tree.parsed(name)) if isinstance(n, ast.FormattedValue))
    assert [text for n in formatted if "get_secret_value" in (text := ast.unparse(n))] == []
