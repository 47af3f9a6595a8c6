"""Rollouts by the real commands: promoted, taken back, and killed at every place, under traffic."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from exercises import drill
from pipeline.records import rollout_ledger
from pipeline.rollout.traffic.routes import Route, arm_of
from pipeline.shared.callers import CALLER_KEY
from tests.flow import life
from tests.patience import PATIENCE, until
from tests.processes import working_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
QUICK = [
    {"set_weight": 20, "days": 0.2, "min_requests": 30},
    {"set_weight": 50, "days": 0.3, "min_requests": 60},
]
ENDLESS = [QUICK[0], {"set_weight": 40, "days": 5, "min_requests": 100_000}]
FLIGHT = {**life.UA_1545, "scheduled_departure": "2013-03-02T15:00:00Z"}
BACK_SECONDS = 10
"""Within which everything answers again, if a server or the proxy was killed."""
ALL_BACK_SECONDS = 40
"""The same for the keeper: all that it kept dies with it and is loaded anew."""


def planned(folder, steps, **canary):
    """Give a copy a plan of a few hours."""
    path = folder / "configs/rollout.yaml"
    plan = yaml.safe_load(path.read_text())
    quick = {"steps": steps, "max_days": 8, "bake_days": 0.2, "look_every": 10}
    plan["canary"] |= quick | canary
    path.write_text(yaml.safe_dump(plan))


def moves(folder, rollout=""):
    found = [entry.move for entry in rollout_ledger.entries(folder / rollout_ledger.LEDGER)]
    return [move for move in found if move.rollout.startswith(rollout)]


def events(folder, rollout=""):
    return [move.event for move in moves(folder, rollout)]


def champion(folder):
    script = (
        "from pipeline.registry import versions\n"
        "from pipeline.shared.config.loading import load\n"
        "from pipeline.shared.config.register import RegisterConfig\n"
        "print('champion', versions.version_of_alias(load(RegisterConfig), 'champion').number)"
    )
    done = life.run(folder, "python", "-c", script).well()
    return re.search(r"champion (\d+)", done.words)[1]


def left_over(folder):
    """Processes that work in a copy."""
    return working_in(folder)


# The champion, deployed again.


@pytest.fixture(scope="module")
def deployed(small, shelf):
    """The champion deployed again by a canary; again with a fault; and by blue-green."""
    folder = life.twin(small.folder, shelf / "deployed")
    planned(folder, QUICK)
    run = SimpleNamespace(folder=folder)
    run.canary = life.run(folder, *life.PIPELINE, "canary")
    run.units = life.run(folder, *life.PIPELINE, "canary", "--bad=units")
    run.after_units = champion(folder)
    run.bluegreen = life.run(folder, *life.PIPELINE, "bluegreen")
    return run


@pytest.mark.long
def test_servers_that_are_new_processes_serve_too_and_nobody_asks_a_proxy(deployed, shelf):
    """As on macOS, where a copy of a process that has loaded libraries does not live on."""
    folder = life.twin(deployed.folder, shelf / "anew")
    keeper = folder / "pipeline/rollout/traffic/supervisor.py"
    drill.replace_once(keeper, 'FORKS = sys.platform == "linux"', "FORKS = False")
    dead = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    life.run(folder, *life.PIPELINE, "bluegreen", **dead).well()
    assert events(folder)[-3:] == events(deployed.folder, "0004-bluegreen")[-3:]
    assert left_over(folder) == []


def test_a_champion_that_is_deployed_again_is_promoted_and_no_user_notices(deployed):
    words = deployed.canary.well().words
    assert re.search(r"version 1 \(\w+\) is champion, .* users: 0 failures of [\d,]+ ", words)
    assert "(no challenger is registered: the champion beside itself)" in words
    assert events(deployed.folder)[0] == "registered"
    expected = ["canary", "step", "promoted", "baked"]
    assert events(deployed.folder, "0002-canary") == expected
    shares = [move.shares["challenger"] for move in moves(deployed.folder, "0002-canary")]
    assert shares == [2_000, 5_000, 10_000, 10_000]


def test_every_decision_of_it_comes_out_again(deployed):
    again = life.run(deployed.folder, *life.PIPELINE, "replay-decision", "--rollout=0002-canary")
    assert "2 decisions come out again" in again.well().words
    assert "step: advance, promoted: promote" in again.words
    assert (deployed.folder / "data/rollout/0002-canary/rollout.png").is_file()


def test_other_units_are_found_by_recomputing_within_a_few_answers_and_taken_back(deployed):
    done = deployed.units
    assert done.code == 1
    assert re.search(
        r"RolledBack: .*answers unlike the recomputed ones: \d+, allowed 2", done.words
    )
    met, failures = map(int, re.search(r"it met (\d+) of .* saw (\d+) f", done.words).groups())
    assert 3 <= met <= 20
    assert failures == 0
    assert events(deployed.folder, "0003-canary") == ["canary", "rolled back"]
    assert deployed.after_units == "1"


def test_blue_green_switches_back_and_forth_and_no_user_notices(deployed):
    words = deployed.bluegreen.well().words
    assert re.search(r"users: 0 failures of [\d,]+ ", words)
    expected = ["blue-green", "switched", "switched back", "switched", "promoted"]
    assert events(deployed.folder, "0004-bluegreen") == expected


def test_who_served_is_answered_for_every_instant_of_it(deployed):
    step = moves(deployed.folder, "0002-canary")[1]
    at = f"--at={step.at:%Y-%m-%dT%H:%M}Z"
    told = life.run(deployed.folder, *life.PIPELINE, "who-served", at).well().words
    assert "50% and version 1" in told
    assert "since 'step' in 0002-canary" in told


def test_nothing_is_left_of_rollouts_that_ended(deployed):
    assert left_over(deployed.folder) == []


# A challenger, and everything that serves it killed.


@dataclass
class Probe:
    """A user who asks all the time: when, for what, the code, and the version that answered."""

    folder: Path
    seen: list[tuple[float, str, int, str]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _ask(self):
        body, number = json.dumps({"flights": [FLIGHT]}), 0
        while not self._over.wait(0.02):
            number += 1
            name, began = f"probe {number}", time.monotonic()
            with contextlib.suppress(OSError, ValueError):
                wanted = json.loads((self.folder / "state/rollout/kept/wanted.json").read_text())
                code, version = self._one(wanted, body, name)
                self.seen.append((began, name, code, version))

    def _one(self, wanted, body, name):
        connection = http.client.HTTPConnection("127.0.0.1", wanted["users"], timeout=5)
        try:
            headers = {"content-type": "application/json", "x-flight": name}
            headers[CALLER_KEY] = wanted["keys"]["caller"]
            connection.request("POST", "/predict", body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers.get("x-version", "")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def between(self, first, last):
        return [one for one in self.seen if first <= one[0] <= last]

    def silent_after(self, instant, until):
        """Seconds until the last failure between two instants."""
        failed = [at - instant for at, _, code, _ in self.between(instant, until) if code != 200]
        return max(failed, default=0.0)


def kept(folder, name):
    """The process that the keeper of a copy runs under a name; 0 for none."""
    with contextlib.suppress(OSError, ValueError):
        status = json.loads((folder / "state/rollout/kept/status.json").read_text())
        return status.get(name, {"pid": 0})["pid"]
    return 0


def kill(folder, name):
    """SIGKILL, and wait for the one after it; the instant."""
    pid = until(lambda: kept(folder, name))
    os.kill(pid, signal.SIGKILL)
    at = time.monotonic()
    until(lambda: kept(folder, name) not in (0, pid))
    return at


def command(folder, *words):
    """A command beside the one that runs."""
    return subprocess.run(
        [*life.PIPELINE, *words],
        cwd=folder,
        env=life.settings(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def alive(folder, probe):
    """The user is answered, without a pause."""
    seen = probe.seen[-20:]
    return len(seen) == 20 and all(code == 200 for _, _, code, _ in seen)


@pytest.fixture(scope="module")
def challenged_small(small, shelf):
    """The small project with a challenger of another model."""
    folder = life.twin(small.folder, shelf / "challenged-small")
    life.configure(folder, "train", **{"boosting.max_iter": 75})
    life.configure(folder, "evaluate", **{"bootstrap.confidence": 0.6})  # it is hardly better
    life.commit(folder)
    graph = "dvc repro --quiet && python -m pipeline register"
    life.run(folder, "bash", "-c", graph).well()
    planned(folder, ENDLESS)
    return folder


@pytest.fixture(scope="module")
def killed(challenged_small):
    """A canary of which everything was killed, one after the other, and which was then ended."""
    folder, run = challenged_small, SimpleNamespace(folder=challenged_small, kills={})
    canary = life.start(folder, *life.PIPELINE, "canary")
    with Probe(folder) as run.probe:
        until(lambda: "step" in events(folder))
        run.stepped = time.monotonic() + 0.5
        until(lambda: alive(folder, run.probe))
        for name in ("champion", "envoy", "control"):
            run.kills[name] = kill(folder, name)
            time.sleep(2)
            until(lambda: alive(folder, run.probe))
        run.kills["keeper"] = time.monotonic()
        os.kill(int((folder / "state/rollout/kept/pid").read_text()), signal.SIGKILL)
        time.sleep(2)
        until(lambda: alive(folder, run.probe))
        time.sleep(2)
        assert canary.poll() is None, life.words(folder)
        run.before = rollout_ledger.entries(folder / rollout_ledger.LEDGER)
        run.kills["controller"] = time.monotonic()
        os.kill(canary.pid, signal.SIGKILL)
        canary.wait()
        again = life.start(folder, *life.PIPELINE, "canary")
        until(lambda: "goes on in step 1" in life.words(folder))
        run.serving = [kept(folder, name) for name in ("champion", "challenger", "envoy")]
        time.sleep(3)
        assert again.poll() is None, life.words(folder)
        run.after = rollout_ledger.entries(folder / rollout_ledger.LEDGER)
        run.rollback_began = time.monotonic()
        run.rollback = command(folder, "rollback")
        run.rolled_back = time.monotonic()
        run.ended = life.finish(again, folder)
        run.gone = time.monotonic()
        run.events = events(folder, "0002-canary")
        run.second = command(folder, "rollback")
        run.events_after = events(folder, "0002-canary")
    return run


@pytest.mark.nightly
def test_a_server_or_a_proxy_that_is_killed_answers_again(
    killed, record_property: Callable[[str, object], None]
):
    instants = sorted(killed.kills.values())
    for name, instant in killed.kills.items():
        later = [at for at in instants if at > instant]
        end = min([*later, killed.rollback_began])
        last = killed.probe.between(instant, end)[-2:]  # the last may have met the next kill
        assert 200 in [code for _, _, code, _ in last], name
        silent = round(killed.probe.silent_after(instant, end), 1)
        record_property(f"seconds until users of a killed {name} were answered again", silent)


@pytest.mark.nightly
def test_users_notice_neither_a_champion_nor_a_controller_that_is_killed(killed):
    spans = {
        "champion": (killed.kills["champion"], killed.kills["envoy"]),
        "controller": (killed.kills["controller"], killed.rollback_began),
    }
    for name, (first, last) in spans.items():
        codes = [code for _, _, code, _ in killed.probe.between(first, last)]
        assert len(codes) > 10, name
        assert set(codes) == {200}, (name, [code for code in codes if code != 200])


@pytest.mark.nightly
def test_whatever_was_killed_no_flight_is_answered_by_another_version_than_the_ledger_says(killed):
    (step,) = [move for move in moves(killed.folder, "0002-canary") if move.event == "step"]
    route = Route({str(arm): share for arm, share in step.shares.items()}, step.salt)
    version = {"champion": "1", "control": "1", "challenger": "2"}
    seen = killed.probe.between(killed.stepped, killed.rollback_began - 0.5)
    answered = [(name, by) for _, name, code, by in seen if code == 200]
    assert len(answered) > 200
    assert [by for _, by in answered] == [version[arm_of(name, route)] for name, _ in answered]
    share = sum(by == "2" for _, by in answered) / len(answered)
    assert share == pytest.approx(0.4, abs=0.12)


@pytest.mark.nightly
def test_who_goes_on_finds_what_serves_and_the_ledger_as_it_was(killed):
    assert killed.after[: len(killed.before)] == killed.before
    assert [entry.move.event for entry in killed.after] == ["registered", "canary", "step"]
    assert all(killed.serving)


@pytest.mark.nightly
def test_a_rollback_takes_the_traffic_back_at_once_while_the_canary_runs(killed):
    assert killed.rollback.returncode == 0, killed.rollback.stdout
    assert re.search(
        r"version 1 .* serves all, .*traffic switched in \d+ ms", killed.rollback.stdout
    )
    seen = killed.probe.between(killed.rolled_back, killed.gone)
    assert {by for _, _, code, by in seen if code == 200} <= {"1"}


@pytest.mark.nightly
def test_the_canary_that_was_taken_back_ends_with_a_refusal_and_writes_nothing_more(killed):
    assert killed.ended.code == 1
    assert "RolloutRefused: 0002-canary was rolled back by hand of" in killed.ended.words
    assert killed.events == ["canary", "step", "rolled back"]


@pytest.mark.nightly
def test_a_second_rollback_changes_nothing(killed):
    assert killed.second.returncode == 0
    assert "nothing to take back" in killed.second.stdout
    assert killed.events == killed.events_after


@pytest.mark.nightly
def test_a_challenger_whose_server_is_killed_is_rolled_back_with_its_evidence(killed):
    folder = killed.folder
    refused = life.run(folder, *life.PIPELINE, "canary")
    assert refused.code == 1
    assert "FORCE=1" in refused.words
    canary = life.start(folder, *life.PIPELINE, "canary", "--force")
    with Probe(folder) as probe:
        until(lambda: any(by == "2" for *_, by in probe.seen))
        os.kill(kept(folder, "challenger"), signal.SIGKILL)
        done = life.finish(canary, folder)
    assert done.code == 1
    assert "RolledBack: 0003-canary" in done.words
    assert events(folder, "0003")[-1] == "rolled back"
    assert {by for _, _, code, by in probe.seen if code == 200} == {"1", "2"}
    assert all(move.evidence for move in moves(folder) if move.event in ("step", "promoted"))
    again = life.run(folder, *life.PIPELINE, "replay-decision").well()
    assert "rolled back: rollback" in again.words


@pytest.mark.nightly
def test_after_it_nothing_is_left_and_the_champion_is_who_it_was(killed):
    assert left_over(killed.folder) == []
    assert champion(killed.folder) == "1"
