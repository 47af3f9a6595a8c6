"""The edge believes nobody: what a caller says of itself changes no arm, no log and no limit."""

import http.client
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.rollout.traffic import envoy, listener, routes
from pipeline.rollout.traffic.routes import ARMS
from pipeline.shared.callers import ARM, CALLER_KEY, EDGE_KEY, REQUEST_ID, STRANGERS
from tests.patience import PATIENCE, until
from tests.rollout.arms import proxied

pytestmark = [pytest.mark.slow, pytest.mark.answer("safe-rollout")]
CANARY = {"challenger": 5_000, "control": 5_000}
CLAIMS = {
    "host": "a-shadow",
    ARM: "shadow",
    EDGE_KEY: "0" * 32,
    CALLER_KEY: "0" * 32,
    REQUEST_ID: "of another's",
    "x-client-trace-id": "1",
    "x-tester": "challenger",
    "x-version": "2",
    "x-release": "f" * 12,
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-host": "a-shadow",
    "x-forwarded-client-cert": "By=me",
    "forwarded": "for=10.0.0.1;host=a-shadow",
    "x-real-ip": "10.0.0.1",
    "x-original-url": "/metrics",
    "x-rewrite-url": "/metrics",
    "x-envoy-original-path": "/metrics",
    "x-envoy-internal": "true",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-max-retries": "100",
    "x-envoy-retry-on": "5xx,4xx",
    "x-envoy-upstream-alt-stat-name": "a" * 60,
    "x-envoy-decorator-operation": "a" * 60,
    "x-envoy-force-trace": "1",
    "x-envoy-never-heard-of": "1",
}
"""Everything that means something to the proxy or to a server, as a caller could write it."""
OURS = {ARM, EDGE_KEY, REQUEST_ID, "host"}
"""What is replaced and not removed."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    with proxied(tmp_path_factory.mktemp("edge")) as found:
        yield found


@pytest.fixture
def proxy(shelf):
    """Envoy before three arms, in the last step of a canary."""
    shelf.route(CANARY)
    for arm in shelf.arms.values():
        arm.seen.clear()
        arm.code = 200
    return shelf


def lines(proxy):
    return (proxy.folder / envoy.ACCESS).read_text().splitlines()


def send(proxy, path="/v2/ask", **headers):
    """One request with exactly these headers: the code, and what was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.ports.users, timeout=PATIENCE)
    connection.putrequest("GET", path, skip_host=True)
    for name, value in ({"host": "localhost"} | headers).items():
        for one in value if isinstance(value, list) else [value]:
            connection.putheader(name, one)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def met(proxy):
    """The arms that were asked, with the headers that they got."""
    return [(name, seen) for name in ARMS for seen in proxy.arms[name].seen]


@pytest.mark.parametrize("name", CLAIMS)
def test_a_stranger_who_claims_to_be_inside_is_the_champions_and_leaves_no_line(proxy, name):
    before = lines(proxy)
    for flight in range(20):
        answer, _ = send(proxy, **{"x-flight": f"flight {flight}", name: CLAIMS[name]})
        assert answer.status == 200
    found = met(proxy)
    assert {arm for arm, _ in found} == {"champion"}
    assert {seen[ARM] for _, seen in found} == {"stranger"}
    assert proxy.ask(["a known caller's"])[0][0] == 200  # whose line comes after any of theirs
    until(lambda: len(lines(proxy)) > len(before))
    (line,) = lines(proxy)[len(before) :]
    assert json.loads(line)["flight"] == "a known caller's"


@pytest.mark.parametrize("shares", [CANARY, {"challenger": 10_000}, {"champion": 10_000}])
def test_strangers_never_meet_the_arm_that_is_judged(proxy, shares):
    """Not even while it has all other traffic, as in the bake and where green serves."""
    proxy.route(shares)
    for flight in range(20):
        send(proxy, **{"x-flight": f"flight {flight}"})
    send(proxy)
    assert {arm for arm, _ in met(proxy)} == {"champion"}


def test_however_many_strangers_come_few_reach_the_champion_and_known_callers_are_answered(
    proxy, record_property: Callable[[str, object], None]
):
    champion = proxy.arms["champion"]
    champion.goes_on.clear()
    proxy.route({"challenger": 10_000})
    with ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(send, proxy) for _ in range(100)]
        until(lambda: len(champion.seen) >= STRANGERS)
        assert len(champion.seen) == STRANGERS
        until(lambda: sum(one.done() for one in asked) >= 100 - STRANGERS - envoy.MAX_PENDING)
        assert set(proxy.ask([f"flight {n}" for n in range(50)])) == {(200, "challenger")}
        champion.goes_on.set()
        codes = [one.result()[0].status for one in asked]
    assert 503 in codes
    assert set(codes) <= {200, 503, 504}  # those who waited for the three seconds of a route
    record_property("of 100 strangers at once, sent away by the proxy", codes.count(503))


def test_strangers_who_hold_every_connection_of_theirs_shut_no_known_caller_out(proxy):
    held = []
    try:
        for _ in range(listener.CONNECTIONS + 20):
            held.append(socket.create_connection(("127.0.0.1", proxy.ports.users), PATIENCE))
        assert not is_open(proxy)
        assert {code for code, _ in proxy.ask(["one", "two"])} == {200}
    finally:
        for one in held:
            one.close()
    until(lambda: is_open(proxy))


def is_open(proxy):
    """Whether a stranger's connection is taken, as once those of before are gone."""
    try:
        return send(proxy)[0].status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize("known", [True, False])
def test_no_claim_of_anybody_reaches_a_server(
    proxy, known, record_property: Callable[[str, object], None]
):
    key = proxy.keys.caller if known else CLAIMS[CALLER_KEY]
    claims = CLAIMS | {"x-flight": "one", CALLER_KEY: key}
    send(proxy, **claims | ({"x-tester": "no"} if known else {}))
    ((arm, seen),) = met(proxy)
    reached = [name for name in CLAIMS.keys() - {"x-tester"} if seen.get(name) == CLAIMS[name]]
    assert reached == []
    assert set(seen) & CLAIMS.keys() - {"x-tester"} == OURS
    assert seen["host"] == routes.HOST_HEADER
    assert seen[EDGE_KEY] == proxy.keys.edge
    assert (arm == "champion") is (not known)
    assert seen[ARM] == (arm if known else "stranger")
    assert "x-forwarded-for" not in seen
    who = "known caller" if known else "stranger"
    record_property(f"of {len(CLAIMS)} claims of a {who} reached a server", len(reached))


TRICKS = {
    "twice": {ARM: ["shadow", "shadow"], EDGE_KEY: ["a", "b"]},
    "in capitals": {"X-ARM": "shadow", "X-Edge-Key": "a", "HOST": "a-shadow"},
    "named in Connection": {"connection": f"keep-alive, {ARM}, {EDGE_KEY}, host", ARM: "shadow"},
    "beside a wrong one": {CALLER_KEY: ["0", "{part}"], ARM: ["", "shadow"]},
    "with spaces": {CALLER_KEY: "{key} x", ARM: " shadow "},
    "in part": {CALLER_KEY: "{part}"},
    "as a pattern": {CALLER_KEY: ".*"},
    "empty": {CALLER_KEY: "", ARM: "", EDGE_KEY: ""},
}


@pytest.mark.parametrize("trick", TRICKS)
def test_no_spelling_of_a_claim_is_believed(proxy, trick):
    keys = {"key": proxy.keys.caller, "part": proxy.keys.caller[:-1]}
    headers = {
        name: [v.format(**keys) for v in value] if isinstance(value, list) else value.format(**keys)
        for name, value in TRICKS[trick].items()
    }
    for flight in range(10):
        answer, _ = send(proxy, **{"x-flight": f"flight {flight}", **headers})
        assert answer.status in (200, 400)
    for arm, seen in met(proxy):
        assert (arm, seen[ARM], seen[EDGE_KEY]) == ("champion", "stranger", proxy.keys.edge)


@pytest.mark.parametrize("path", ["/v2%2fask", "/v2%5cask", "*"])
def test_a_request_that_is_refused_with_its_claims_leaves_no_line(proxy, path):
    """Envoy refuses a path before it removes headers, and logs what it refuses."""
    before = lines(proxy)
    for arm in routes.KNOWN_ARMS:
        answer, _ = send(proxy, path, **{ARM: arm, "x-flight": "one", EDGE_KEY: "0" * 32})
        assert answer.status in (400, 404)
    assert proxy.ask(["a known caller's"])[0][0] == 200
    until(lambda: len(lines(proxy)) > len(before))
    (line,) = lines(proxy)[len(before) :]
    assert json.loads(line)["flight"] == "a known caller's"


def test_a_header_with_underscores_is_refused(proxy):
    answer, _ = send(proxy, x_arm="shadow")
    assert answer.status == 400
    assert met(proxy) == []


def test_a_caller_cannot_shorten_a_servers_time(proxy):
    """With x-envoy-upstream-rq-timeout-ms any answer could be made an error of its arm."""
    hurry = {"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-retry-on": "5xx"}
    proxy.arms["champion"].code = 500
    answer, _ = send(proxy, **hurry, **{"x-envoy-max-retries": "50"})
    assert answer.status == 500
    assert len(met(proxy)) == 1  # nor have it asked again


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/stats", "/config_dump", "//metrics", "/v2/../metrics", "/%6detrics", "/", "/x"],
)
def test_what_is_not_for_users_is_not_behind_their_port(proxy, path):
    for headers in ({}, {CALLER_KEY: proxy.keys.caller}):
        answer, body = send(proxy, path, **headers)
        assert answer.status == 404
        assert json.loads(body)["error"].startswith("there is no such path here")
    assert met(proxy) == []


@pytest.mark.parametrize("path", ["/v2%2f..%2fmetrics", "/v2\\..\\metrics%5c"])
def test_a_path_with_another_spelling_of_its_slashes_is_refused(proxy, path):
    answer, _ = send(proxy, path)
    assert answer.status in (400, 404)
    assert met(proxy) == []


@pytest.mark.parametrize(
    "path", ["/config_dump", "/quitquitquit", "/drain_listeners", "/logging", "/runtime", "/certs"]
)
def test_the_admin_port_shows_its_numbers_and_nothing_else(proxy, path):
    assert envoy.admin(proxy.ports, path) is None
    connection = http.client.HTTPConnection("127.0.0.1", proxy.ports.admin, timeout=PATIENCE)
    connection.request("POST", path)
    assert connection.getresponse().status == 403
    connection.close()
    assert envoy.is_ready(proxy.ports)


def test_every_port_is_this_machines_alone(proxy):
    listeners = json.loads((proxy.folder / "listener.json").read_text())["resources"]
    admin = json.loads((proxy.folder / "envoy.json").read_text())["admin"]
    assert len(listeners) == 2
    for place in (*listeners, admin):
        assert place["address"]["socket_address"]["address"] == "127.0.0.1"


@pytest.mark.parametrize("size", [15_000, 20_000, 400_000])
def test_a_head_of_any_size_is_answered_or_refused_and_the_proxy_lives(proxy, size):
    try:
        code = send(proxy, **{"x-large": "a" * size})[0].status
    except (ConnectionError, http.client.HTTPException):
        code = 431  # it was cut off while it was still being sent
    assert code == (200 if size < 16_000 else 431)
    assert envoy.is_ready(proxy.ports)
