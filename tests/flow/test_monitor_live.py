"""An alert as it happens, by the real command: real servers, a real Prometheus, a fault."""

import os
import re
import signal

import pytest

from tests.flow import life
from tests.monitor.operations.scenes import needs
from tests.patience import PATIENCE, until
from tests.processes import working_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def left_over(folder):
    """Processes that work in a copy, or below the folder of its temporary files."""
    return working_in(folder, life.beside(folder, "aside"))


@pytest.fixture(scope="module")
def watched(small, shelf):
    """The small project, with what Prometheus and Alertmanager come from at hand."""
    needs("prometheus")
    needs("alertmanager")
    return life.twin(small.folder, shelf / "watched")


def seen(folder, fault):
    """What `make monitor-live` said of a fault: each alert's states in order, and the words."""
    done = life.run(folder, *life.PIPELINE, "monitor-live", f"--fault={fault}").well()
    states: dict[str, list[str]] = {}
    for name, state in re.findall(r"^ +[\d.]+ s  (\w+): (pending|firing|over)", done.words, re.M):
        states.setdefault(name, []).append(state)
    return states, done.words


def assert_fired_and_ended(folder, fault, alert, receiver="page"):
    states, words = seen(folder, fault)
    before, _, after = words.partition(f"fault injected: {fault}")
    assert f"{alert}: firing" not in before.rpartition(f"{alert}: over")[2]
    assert states[alert][-3:] == ["pending", "firing", "over"], words
    assert f"{receiver} is notified: {alert} firing" in after
    assert f"{receiver} is notified: {alert} resolved" in after.partition("repaired")[2]
    assert re.search(rf"{fault}: {alert} fired \d+ s after the fault and ended \d+ s", words)
    assert left_over(folder) == []
    return words


@pytest.mark.long
@pytest.mark.answer("what-to-monitor")
def test_a_failing_server_burns_the_budget_pages_and_is_over_after_the_repair(watched):
    words = assert_fired_and_ended(watched, "failing", "ErrorBudgetBurnsFast")
    assert "is divided by 60, no limit changed" in words
    sound, broken = re.findall(r"^  budget burns +([\d.]+) times", words, re.M)
    assert float(sound) < 1
    assert float(broken) > 14.4


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("fault", "alert", "receiver"),
    [
        ("slow", "SlowAnswers", "page"),
        ("missing", "MissingFeatures", "page"),
        ("feed", "StaleFeatures", "page"),
        ("exporter", "SignalsMissing", "ticket"),
    ],
)
def test_every_other_fault_fires_its_alert_too(watched, fault, alert, receiver):
    assert_fired_and_ended(watched, fault, alert, receiver)


def test_nothing_of_it_is_left_in_the_log_of_answers_or_in_a_rollouts_place(watched):
    assert not (watched / "state/serve/log.db").exists()
    assert not (watched / "state/rollout/kept").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_whoever_ends_it(watched, told):
    process = life.start(watched, *life.PIPELINE, "monitor-live")
    until(lambda: "divided by" in life.words(watched))
    assert len(left_over(watched)) > 5
    os.kill(process.pid, told)
    process.wait(PATIENCE)
    until(lambda: left_over(watched) == [])  # after a SIGKILL, when the keeper's lease is over
    life.kill(process)


@pytest.mark.drill("silent-alert")
@pytest.mark.answer("what-to-monitor")
def test_an_alert_that_could_never_fire_is_found(request, beside):
    needs("promtool")
    done = beside["silent-alert"].result().done
    assert done.code == 0, done.words
    assert "serve_features_total" in done.words.partition("CAUGHT")[2]


@pytest.mark.nightly
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.drill(name))
        for name in ("burning-budget", "dead-exporter", "moved-limit", "paging-drift")
    ],
)
@pytest.mark.answer("what-to-monitor")
def test_each_drill_of_operations_is_caught(name, beside):
    needs("prometheus")
    done = beside[name].result().done
    assert done.code == 0, done.words
    assert "CAUGHT" in done.words
