"""What a secret looks like. Those below are made up, and put together only here."""

import pytest

from pipeline.shared import secrets

pytestmark = pytest.mark.answer("model-security")

MADE_UP = {
    "a URL with a password": "postgresql://bob:" + "hunter2" + "@db.example.org/mlflow",
    "a URL with a secret in its query": "https://example.org/?page=1&api" + "_key=hunter2",
    "the id of an AWS key": "AKIA" + "ABCDEFGH12345678",
    "what may be an AWS key": "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY",
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "a GitHub token": "ghp" + "_abcdefghijklmnopqrstuvwxyz0123456789",
    "a GitLab token": "glpat" + "-abcdefghij0123456789",
    "a Slack token": "xoxb" + "-123456789012-abcdefghij",
    "a Google key": "AIza" + "SyA0123456789_abcdefghijklmnopqrstu",
    "a Hugging Face token": "hf" + "_abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "a Databricks token": "dapi" + "0123456789abcdef" * 2,
    "a PyPI token": "pypi" + "-AgEIcHlwaS5vcmcCJGFiY2RlZmdoaWprbG1u",
    "an npm token": "npm" + "_abcdefghijklmnopqrstuvwxyz0123456789",
    "an API key": "sk" + "-ant-abcdefghijklmnopqrstuvwxyz",
    "a signed web token": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0.c2lnbmVk",
}
HARMLESS = [
    "sqlite:///state/mlflow.db",
    "https://example.org:5000/path",
    "https://bob@example.org/path",  # a name is no password
    "s3://bucket/path",
    "state/artifacts",
    "git@example.org:team/project.git",
    "bob@example.org",
    "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",  # a digest
    "113d8c0b5560eeae070d89916f5d6b7019179c07",  # a commit
    "pipeline/features/definitions.py and pipeline/registry/model.py",
    "/srv/Models/Flights/Delay/Store/Artifac1",  # forty letters of a path
    "sk-learn",
]


BEGIN, END = (f"-----{word} RSA PRIVATE KEY-----" for word in ("BEGIN", "END"))
ENCRYPTED = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\nhunter2/+=\n"


@pytest.mark.parametrize("part", ["://a:", "?token", "sk-a-", "aA1/", "eyJ---", "xoxb "])
def test_the_beginning_of_a_secret_again_and_again_is_none(part):
    """Nor does it take long: tests/rules/test_patterns.py judges how each pattern reads a text."""
    text = part * 10_000
    assert secrets.redact(text) == text


def test_a_key_goes_with_all_that_it_holds_and_nothing_beyond():
    text = f"before\n{BEGIN}\n{ENCRYPTED}{END}\nafter"
    assert secrets.redact(text) == "before\n***-----\nafter"


def test_each_key_that_has_no_end_goes_by_itself():
    assert secrets.redact(f"{BEGIN}\nhunter2\n" * 3) == "***" * 3


@pytest.mark.parametrize("name", ["ant-api03-", "proj-", "or-v1-", "svcacct-", ""])
def test_a_key_is_found_whatever_its_provider_calls_it(name):
    key = f"sk-{name}{'aB3_' * 6}"
    assert secrets.redact(f"with {key} it works") == "with *** it works"


def test_every_pattern_is_tried():
    assert set(MADE_UP) == set(secrets.PATTERNS)


@pytest.mark.parametrize("around", ["{}", "so: {}", "see '{}', they said", "a\n{}\nb"])
@pytest.mark.parametrize("kind", MADE_UP)
def test_a_secret_is_found_by_its_kind_and_taken_out(kind, around):
    text = around.format(MADE_UP[kind])
    assert kind in secrets.kinds(text)
    cleared = secrets.redact(text)
    assert "***" in cleared
    assert secrets.kinds(cleared) == []
    assert "hunter2" not in cleared


@pytest.mark.parametrize(
    "password", ["hunter2", "p/hunter2", "p@hunter2", "p:hunter2", "p#hunter2"]
)
def test_a_password_is_found_whatever_signs_it_is_made_of(password):
    text = f"see {'://'.join(['mysql', f'bob:{password}@db.example/x'])}, they said"
    assert secrets.kinds(text) == ["a URL with a password"]
    assert secrets.redact(text) == f"see {'://'.join(['mysql', '***@db.example/x'])}, they said"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_left_as_it_is(text):
    assert secrets.kinds(text) == []
    assert secrets.redact(text) == text


@pytest.mark.parametrize(
    "password", ["hunter2", "p@hunter2", "p/hunter2", "p:hunter2", "p hunter2", "p%40hunter2"]
)
@pytest.mark.parametrize("scheme", ["postgresql", "https", "mysql+pymysql", "ftp"])
def test_an_address_is_shown_without_its_caller_and_its_password(scheme, password):
    told = secrets.mask_address("://".join([scheme, f"bob:{password}@example.org:5000/path"]))
    assert told == f"{scheme}://***@example.org:5000/path"


@pytest.mark.parametrize(
    "url", ["sqlite:///state/mlflow.db", "https://example.org:5000", "s3://bucket/a", "state/a"]
)
def test_an_address_without_a_caller_is_shown_whole(url):
    assert secrets.mask_address(url) == url


def test_an_address_with_a_token_as_its_caller_is_shown_without_it():
    assert secrets.mask_address("https://hunter2@example.org/a") == "https://***@example.org/a"


@pytest.mark.parametrize(
    "key",
    "password PASSWD db_password passphrase secret client_secret clientSecret token hf_token "
    "api_key apikey api-key apiKey aws_secret_access_key access_key_id private_key".split(),
)
@pytest.mark.parametrize("value", ["hunter2", 7, None, {"a": 1}])
def test_a_key_that_says_secret_is_one_whatever_it_holds(key, value):
    assert list(secrets.find({"a": [{key: value}]})) == [(f"a.0.{key}", "a key for a secret")]


@pytest.mark.parametrize("kind", MADE_UP)
def test_a_secret_is_found_wherever_it_stands_and_not_told(kind):
    secret = MADE_UP[kind]
    assert ("a.b.1", kind) in list(secrets.find({"a": {"b": ["x", secret]}}))
    found = list(secrets.find({"a": {secret: 1}}))
    assert kind in [what for _, what in found]
    assert secret not in str(found)


@pytest.mark.parametrize(
    "key", ["monkey", "key", "first_key", "max_iter", "artifacts_url", "a_tok"]
)
def test_other_keys_are_let_through(key):
    assert list(secrets.find({key: "x"})) == []
