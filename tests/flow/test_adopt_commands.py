"""An adopted table, from `make adopt` to each command that a user tries next: works, or refused.

A refusal is one sentence with the next command; there is never a traceback.
"""

import json
import re
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from pipeline.shared.loopback import get, request
from tests.adopt.tables import give, orders
from tests.flow import life
from tests.flow.stores import free_port
from tests.patience import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(3600)]
_WORKS = "monitor diagnose lineage batch skew materialize who-served rollout"
WORKS = [*_WORKS.split(), "ui STATIC=1"]
REFUSED = {
    "shadow": "DayUnknown",
    "canary": "DayUnknown",
    "bluegreen": "DayUnknown",
    "loop": "DayUnknown",
    "retrain": "WrongMonth",
    "replay": "ConfigError",
    "drill": "UsageError",
    "drill D=slow": "UsageError",
    "explain": "RequestUnknown",
    "decisions": "RegistryRefused",
    "rollback": "RolloutRefused",
}
ROW = {"order_id": 1, "ordered_at": "2024-06-28T12:00:00Z", "amount": 90.0, "payment": "cash"}
NOBODYS = re.compile(r"\bflights?\b|hour_rate|0\.01\d* h|Traceback|\bcarrier")
"""Words of the first use case, and of a programmer."""


@pytest.fixture(scope="module")
def adopted(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> life.Life:
    """A fresh clone with a table adopted by its owner's guesses, and `make champion`.

    No git identity, no `adopt.yaml`, and nothing is committed in between.
    """
    given = give(tmp_path_factory.mktemp("given") / "some data", orders())
    (given / "table.csv").rename(given / "orders.csv")
    folder = life.checkout(shelf / "orders")
    said = life.run(folder, "make", "adopt", f"FROM={given}").well().words
    assert "ADOPTED.md, then `make champion`" in said
    return life.Life(folder, life.run(folder, "make", "champion"))


def test_the_guesses_alone_end_in_a_champion_that_is_monitored(adopted: life.Life) -> None:
    words = adopted.done.well().words
    assert "version 1" in words
    assert "now champion" in words
    assert re.search(r"^monitor .* orders; .*page: none", words, re.MULTILINE), words
    assert "3,000 orders accepted" in words
    assert "have no recent outcome before them" in words
    assert not NOBODYS.search(words), words
    verdict = json.loads((adopted.folder / "data/evaluate/verdict.json").read_text())
    names = {check["name"] for check in verdict["checks"]}
    assert {"beats naive", "beats logistic"} <= names
    assert not NOBODYS.search(" ".join(names))


@pytest.mark.parametrize("target", WORKS)
def test_a_command_works(adopted: life.Life, target: str) -> None:
    words = life.run(adopted.folder, "make", *target.split()).well().words
    assert not NOBODYS.search(words), words


@pytest.mark.parametrize("target", REFUSED)
def test_a_command_is_refused_in_one_sentence(adopted: life.Life, target: str) -> None:
    done = life.run(adopted.folder, "make", *target.split())
    said = [line for line in done.words.splitlines() if not line.startswith("make")]
    assert done.code == 2, done.words
    assert len(said) == 1, done.words
    assert f": {REFUSED[target]}: " in said[0]
    assert "`make " in said[0]
    assert not NOBODYS.search(said[0].replace("flights and bikes have", "")), said[0]


def test_a_request_is_answered_over_http(adopted: life.Life) -> None:
    port = free_port()
    server = life.start(adopted.folder, "make", "serve-http", f"PORT={port}")
    try:
        while get(port, "/v2/health/ready") is None:
            assert server.poll() is None, life.words(adopted.folder)
            time.sleep(0.2)
        body = json.dumps({"rows": [ROW]}).encode()
        response, answer = request(
            port, "/predict", body, {"Content-Type": "application/json"}, timeout=PATIENCE
        )
    except HTTPException as error:
        raise AssertionError(life.words(adopted.folder)) from error
    finally:
        life.kill(server)
    assert response.status == 200, answer
    (one,) = json.loads(answer)["predictions"]
    assert one["event"] == "2024-06-28/1"
    assert 0 < one["risk"] < 1
