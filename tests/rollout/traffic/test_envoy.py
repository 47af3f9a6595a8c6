"""The door to Envoy: the arm of every flight, and what happens to it when an arm breaks."""

import http.client
import json
import pkgutil
import stat
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from pipeline.records import rollout_ledger
from pipeline.rollout.traffic import envoy, listener, routes
from pipeline.rollout.traffic.evidence import HUNG_UP
from pipeline.rollout.traffic.live_traffic import CLIENTS
from pipeline.rollout.traffic.routes import ARMS, Route, arm_of
from pipeline.serve.admission import _MIN_INSIDE
from pipeline.shared.callers import SHADOW, STRANGERS
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import EnvironmentUnfit, ServersFailed
from simulation.__main__ import COMMANDS
from tests.patience import until
from tests.rollout.arms import SALT, proxied
from tests.shared import project

FLIGHTS = [f"2013-05-{day:02}/UA/{number}/EWR" for day in range(1, 21) for number in range(100)]
CHAMPION = {"champion": 10_000}


def shares(weight):
    """A step of so many percent, with a control of the same size."""
    part = 100 * weight
    return {"challenger": part, "champion": 10_000 - 2 * part, "control": part}


def arms(weight, salt=SALT):
    return [arm_of(flight, Route(shares(weight), salt)) for flight in FLIGHTS]


# What is computed.


def test_every_arm_gets_about_its_share():
    found = arms(25)
    assert [found.count(arm) for arm in ARMS] == pytest.approx([500, 1_000, 500], rel=0.12)


@pytest.mark.answer("canary-decides")
def test_a_growing_weight_moves_flights_out_of_the_champion_only():
    weights = [0, 1, 5, 10, 25, 49, 50]
    for few, many in zip(map(arms, weights), map(arms, weights[1:]), strict=False):
        moved = {(a, b) for a, b in zip(few, many, strict=True) if a != b}
        assert moved <= {("champion", "challenger"), ("champion", "control")}


def test_another_rollouts_salt_deals_the_flights_anew():
    one, other = np.array(arms(50)), np.array(arms(50, "another"))
    assert (one == other).mean() == pytest.approx(0.5, abs=0.05)


def test_shares_that_are_not_everything_are_a_mistake():
    with pytest.raises(ValueError, match="not 10000 in all"):
        [arm_of(flight, Route({"champion": 5_000}, SALT)) for flight in FLIGHTS[:50]]


@pytest.mark.parametrize(
    ("given", "main"),
    [
        (CHAMPION, "champion"),
        ({"challenger": 10_000}, "challenger"),
        (shares(25), "champion"),
        ({"challenger": 5_000, "champion": 5_000}, "champion"),
        (shares(50), "champion"),  # which waits to see whether the challenger holds
    ],
)
def test_a_request_that_takes_no_part_goes_to_the_champion_until_another_has_all(given, main):
    assert Route(given, SALT).main == main


def test_a_program_that_is_not_there_is_told_with_how_to_name_one(monkeypatch):
    monkeypatch.setenv("ENVOY_BIN", "/nowhere/envoy")
    with pytest.raises(EnvironmentUnfit, match="ENVOY_BIN="):
        envoy.binary()


@pytest.mark.parametrize("command", ["shadow", "canary", "bluegreen", "replay"])
def test_a_command_that_needs_a_program_says_so_before_it_begins(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(project.ROOT / "configs")
    monkeypatch.setenv("ENVOY_BIN", "/nowhere/envoy")
    with pytest.raises(EnvironmentUnfit, match="no Envoy at '/nowhere/envoy': "):
        pkgutil.resolve_name(COMMANDS[command])()
    assert not (tmp_path / "state/replay").exists()
    assert rollout_ledger.entries() == []


def test_an_envoy_leaves_no_shared_memory_behind(tmp_path):
    """Of a config that is none, at which it ends by itself."""
    (tmp_path / "envoy.json").write_text("[")
    before = set(Path("/dev/shm").glob("envoy_shared_memory_*"))
    assert subprocess.run(envoy.start_command(tmp_path), check=False).returncode == 1
    assert set(Path("/dev/shm").glob("envoy_shared_memory_*")) <= before


def test_a_server_has_room_for_all_that_the_proxy_may_send_it():
    """Strangers and known callers together are not more than a gate lets in at any speed."""
    config = load(ServeConfig)
    assert STRANGERS + CLIENTS <= _MIN_INSIDE <= config.max_waiting
    checks = 2 * (len(ARMS) + 2)  # by each cluster, strangers and copies included
    assert config.max_connections >= listener.CONNECTIONS + STRANGERS + checks
    assert config.idle_seconds > envoy.IDLE_SECONDS


def test_what_envoy_keeps_of_a_connection_is_bounded_at_both_sides(tmp_path):
    envoy.write(
        tmp_path,
        envoy.Ports(1, 2, 4, dict.fromkeys(ARMS, 3)),
        Route(CHAMPION, SALT),
        routes.new_keys(),
    )
    for name in ("listener", "clusters"):
        resources = json.loads((tmp_path / f"{name}.json").read_text())["resources"]
        assert {one["per_connection_buffer_limit_bytes"] for one in resources} == {65_536}


def test_the_access_log_is_its_owners_and_kept_when_the_rest_is_written_again(tmp_path):
    ports = envoy.Ports(1, 2, 4, dict.fromkeys(ARMS, 3))
    envoy.write(tmp_path, ports, Route(CHAMPION, SALT), routes.new_keys())
    log = tmp_path / envoy.ACCESS
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    log.write_text("a line\n")
    envoy.write(tmp_path, ports, Route(CHAMPION, SALT), routes.new_keys())
    assert log.read_text() == "a line\n"


# What the real Envoy does.

real = pytest.mark.slow


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    with proxied(tmp_path_factory.mktemp("envoy")) as found:
        yield found


@pytest.fixture
def proxy(shelf):
    """Envoy before three sound arms, all traffic at the champion."""
    yield shelf
    for arm in ARMS:
        if arm not in shelf.arms:
            shelf.start(arm)
        shelf.arms[arm].code, shelf.arms[arm].answers = 200, 0
        shelf.arms[arm].goes_on.set()
    shelf.healthy(**dict.fromkeys(ARMS, 2), stranger=1)
    shelf.route(CHAMPION)
    for arm in shelf.arms.values():
        arm.seen.clear()


@real
@pytest.mark.parametrize("weight", [5, 25, 50])
@pytest.mark.answer("canary-decides")
def test_envoy_assigns_two_thousand_flights_as_it_is_computed(
    proxy, weight, record_property: Callable[[str, object], None]
):
    proxy.route(shares(weight))
    found = proxy.ask(FLIGHTS)
    assert found == [(200, arm) for arm in arms(weight)]
    record_property(f"flights that Envoy assigned as computed, at {weight}%", len(found))


@real
@pytest.mark.answer("canary-decides")
def test_envoy_moves_no_flight_between_challenger_and_control_as_the_weight_grows(proxy):
    few, many = [(proxy.route(shares(w)), proxy.ask(FLIGHTS[:500]))[1] for w in (10, 40)]
    moved = {(a[1], b[1]) for a, b in zip(few, many, strict=True) if a != b}
    assert moved == {("champion", "challenger"), ("champion", "control")}


@real
@pytest.mark.answer("safe-rollout")
def test_a_tester_meets_the_challenger_before_anybody_else_does(proxy):
    assert set(proxy.ask(FLIGHTS[:20], x_tester="challenger")) == {(200, "challenger")}
    assert {seen["x-arm"] for seen in proxy.arms["challenger"].seen} == {"tester"}


@real
def test_another_word_makes_no_tester(proxy):
    assert set(proxy.ask(FLIGHTS[:20], x_tester="yes")) == {(200, "champion")}


@real
def test_an_arm_that_a_user_claims_is_written_over(proxy):
    proxy.route(shares(50))
    found = proxy.ask(FLIGHTS[:100], x_arm="nobody")
    assert [arm for _, arm in found] == arms(50)[:100]
    for name in ("challenger", "control"):
        assert {seen["x-arm"] for seen in proxy.arms[name].seen} == {name}


@real
def test_who_names_no_flight_is_the_main_arms(proxy):
    proxy.route(shares(25))
    assert set(proxy.ask([None] * 20)) == {(200, "champion")}
    proxy.route({"challenger": 10_000})
    assert set(proxy.ask([None] * 20)) == {(200, "challenger")}
    assert {seen["x-arm"] for seen in proxy.arms["challenger"].seen} == {"challenger"}


@real
def test_a_copy_reaches_the_challenger_marked_as_one(proxy):
    proxy.route(CHAMPION, mirrored=True)
    assert set(proxy.ask(FLIGHTS[:50])) == {(200, "champion")}
    copies = waited_for(lambda: proxy.arms["challenger"].seen, 50)
    assert {seen["x-arm"] for seen in copies} == {"shadow"}
    originals = proxy.arms["champion"].seen
    assert {seen["x-arm"] for seen in originals} == {"champion"}
    ids = [sorted(seen["x-request-id"] for seen in of) for of in (copies, originals)]
    assert ids[0] == ids[1]


def waited_for(what, many):
    until(lambda: len(what()) >= many, lambda: f"{len(what())} of {many}")
    return what()


@real
@pytest.mark.parametrize("broken", ["fails", "hangs", "is gone"])
@pytest.mark.answer("safe-rollout")
def test_users_notice_nothing_of_a_challenger_that_is_mirrored_to_and(
    proxy, broken, record_property: Callable[[str, object], None]
):
    challenger = proxy.arms["challenger"]
    challenger.code = 503
    if broken == "hangs":
        challenger.goes_on.clear()
    if broken == "is gone":
        proxy.stop("challenger")
    proxy.route(CHAMPION, mirrored=True)
    found, copies_waiting = [], 0
    failed_before = envoy.failed_requests(proxy.ports, SHADOW)
    for flight in FLIGHTS[:50]:
        found += proxy.ask([flight])
        copies_waiting = max(copies_waiting, envoy.in_flight(proxy.ports, SHADOW))
    assert set(found) == {(200, "champion")}
    assert copies_waiting > 0 or broken != "hangs"  # the users were answered before their copies
    assert {seen["x-arm"] for seen in proxy.arms["champion"].seen} == {
        "champion"
    }  # no spare's copy
    if broken == "fails":
        until(lambda: envoy.failed_requests(proxy.ports, SHADOW) - failed_before == 50)
    failed = sum(code != 200 for code, _ in found)
    record_property(f"of 50 users failed, while the mirrored challenger {broken}", failed)


@real
def test_all_are_healthy_only_when_no_spare_stands_in(proxy):
    assert envoy.all_healthy(proxy.ports)
    proxy.stop("challenger")
    until(lambda: not envoy.all_healthy(proxy.ports))
    proxy.healthy(challenger=1, champion=2, control=2)  # the champion stands in for the challenger
    assert not envoy.all_healthy(proxy.ports)
    proxy.start("challenger")
    until(lambda: envoy.all_healthy(proxy.ports))


@real
@pytest.mark.answer("safe-rollout")
def test_a_challenger_that_is_gone_is_passed_over_at_once_and_used_again_when_it_is_back(
    proxy, record_property: Callable[[str, object], None]
):
    proxy.route({"challenger": 10_000})
    proxy.stop("challenger")
    found = proxy.ask(FLIGHTS[:200])
    assert set(found) == {(200, "champion")}
    failed = sum(code != 200 for code, _ in found)
    record_property("of 200 users failed, while the challenger that served all was gone", failed)
    proxy.healthy(challenger=1)
    assert set(proxy.ask(FLIGHTS[:50])) == {(200, "champion")}
    proxy.start("challenger")
    proxy.healthy(challenger=2)
    assert set(proxy.ask(FLIGHTS[:50])) == {(200, "challenger")}


@real
def test_many_at_once_notice_nothing_of_a_server_that_is_killed_while_it_answers_them(proxy):
    proxy.route({"challenger": 10_000})
    proxy.arms["challenger"].goes_on.clear()
    with ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(proxy.ask, [flight]) for flight in FLIGHTS[:30]]
        waited_for(lambda: proxy.arms["challenger"].seen, 30)
        proxy.stop("challenger")
        asked += [pool.submit(proxy.ask, [flight]) for flight in FLIGHTS[30:90]]
        found = [one for of in asked for one in of.result()]
    assert set(found) == {(200, "champion")}


@real
def test_a_champion_that_is_gone_is_stood_in_for_by_its_control_never_by_the_challenger(proxy):
    proxy.route(shares(5))
    proxy.stop("champion")
    found = {arm: set() for arm in ARMS}
    for arm, (code, answered) in zip(arms(5)[:500], proxy.ask(FLIGHTS[:500]), strict=True):
        found[arm].add((code, answered))
    assert found["champion"] == found["control"] == {(200, "control")}
    assert found["challenger"] == {(200, "challenger")}


@real
def test_a_bad_answer_is_an_answer_and_is_not_asked_for_again(proxy):
    proxy.route({"challenger": 10_000})
    proxy.arms["challenger"].code = 500
    assert set(proxy.ask(FLIGHTS[:20])) == {(500, "challenger")}
    assert len(proxy.arms["challenger"].seen) == 20


@real
def test_a_server_that_hangs_ends_its_users_wait_after_three_seconds(proxy):
    proxy.route({"challenger": 10_000})
    proxy.arms["challenger"].goes_on.clear()
    assert proxy.ask(FLIGHTS[:1]) == [(504, "")]
    assert proxy.arms["challenger"].answers == 0
    assert '"timeout": "3s"' in (proxy.folder / envoy.ROUTE).read_text()


@real
@pytest.mark.parametrize(
    "content",
    ['{"half', "{}", '{"version_info": "x", "resources": [{"@type": "nothing"}]}'],
    ids=["half a file", "nothing", "nonsense"],
)
def test_a_broken_route_leaves_the_one_before(proxy, content):
    proxy.route(shares(50))
    broken = proxy.folder / "broken"
    broken.write_text(content)
    broken.replace(proxy.folder / envoy.ROUTE)
    time.sleep(0.3)
    assert [arm for _, arm in proxy.ask(FLIGHTS[:100])] == arms(50)[:100]


@real
def test_a_route_that_envoy_refuses_is_told_and_the_one_before_stays(proxy, monkeypatch):
    monkeypatch.setattr(envoy, "_PATIENCE_SECONDS", 0.5)
    nothing = Route({"champion": 0}, SALT)  # weights of nothing
    version = envoy.set_route(proxy.folder, nothing, proxy.keys)
    with pytest.raises(ServersFailed, match="the one before stays"):
        envoy.confirm(proxy.ports, version)
    assert set(proxy.ask(FLIGHTS[:20])) == {(200, "champion")}


@real
@pytest.mark.answer("rollback")
def test_the_same_route_twice_is_confirmed_twice(
    proxy, record_property: Callable[[str, object], None]
):
    took = []
    for _ in range(3):
        started = time.monotonic()
        proxy.route(shares(25))
        took.append(1_000 * (time.monotonic() - started))
    record_property("ms until Envoy said that it routes by a change, the median of 3", median(took))


@real
def test_every_request_has_its_line_with_arm_code_time_and_who_answered(proxy):
    proxy.route(shares(50))
    before = len((proxy.folder / envoy.ACCESS).read_text().splitlines())
    answers = proxy.asked(FLIGHTS[:50])
    log = proxy.folder / envoy.ACCESS
    lines = waited_for(lambda: log.read_text().splitlines()[before:], 50)
    told = [json.loads(line) for line in lines]
    assert [row["flight"] for row in told] == FLIGHTS[:50]
    assert [row["arm"] for row in told] == [row["release"] for row in told] == arms(50)[:50]
    assert [row["request_id"] for row in told] == [head["x-request-id"] for _, head in answers]
    assert {row["code"] for row in told} == {200}
    assert all(row["microseconds"] > 0 for row in told)


@real
def test_who_hangs_up_before_the_answer_is_told_from_a_server_that_fails(proxy):
    proxy.route({"challenger": 10_000})
    proxy.arms["challenger"].goes_on.clear()
    connection = http.client.HTTPConnection("127.0.0.1", proxy.ports.users)
    known = {"x-flight": "hung up", "x-caller-key": proxy.keys.caller}
    connection.request("GET", "/v2/ask", headers=known)
    waited_for(lambda: proxy.arms["challenger"].seen, 1)
    connection.close()
    log = proxy.folder / envoy.ACCESS
    lines = waited_for(lambda: [x for x in log.read_text().splitlines() if "hung up" in x], 1)
    told = json.loads(lines[0])
    assert (told["code"], told["flags"]) == (0, HUNG_UP)


@real
def test_two_requests_never_have_the_same_id_whatever_a_user_sends(proxy):
    found = [head["x-request-id"] for _, head in proxy.asked(FLIGHTS[:10], x_request_id="mine")]
    assert len(set(found)) == 10
