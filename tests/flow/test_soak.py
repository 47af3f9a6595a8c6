"""Two minutes of the soak: promotions, rollbacks, kills and bursts, and no caller sees an error."""

import json

import pytest

from benchmarks import soak
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from tests.flow import life

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    pytest.mark.answer("scaling"),
]


@pytest.fixture(scope="module")
def found(small, shelf):
    folder = life.twin(small.folder, shelf / "soak")
    done = life.run(folder, "python", "-m", "benchmarks.soak", "--seconds=120").well()
    assert not (folder / "benchmarks/soak.json").exists()
    return json.loads(done.words[done.words.index("\n{") :])


def test_no_known_caller_meets_an_error(found):
    assert found["requests"] > 0
    assert found["errors"] == 0
    assert found["bursts"]["errors"] == 0


def test_everything_did_happen(found):
    assert found["changes"]["changes"] == soak.CHANGES
    assert found["kills"]["kills"] == soak.KILLS
    assert found["bursts"]["bursts"] == soak.BURSTS
    assert found["bursts"]["answered"] > 0


def test_the_queue_is_bounded_and_every_refusal_says_when_to_come_again(found):
    assert found["bursts"]["most_waiting"] <= load(ServeConfig).max_waiting
    assert found["bursts"]["refused_without_retry_after"] == 0


def test_what_is_not_in_the_log_was_in_a_killed_server(found):
    assert 0 <= found["log"]["lost"] < found["log"]["answered"] / 10


def test_too_short_a_soak_is_refused(capsys):
    assert soak.main(["--seconds=5"]) == 2
    assert "5 s are too few for 30 changes; 60 s at least" in capsys.readouterr().err
