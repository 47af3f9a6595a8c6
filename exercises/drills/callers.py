"""Faults of callers: claims, requests that do not end, too much of everything, and hostile users.

Most are played against one server or one proxy, without a graph, and so take seconds. What a
rollout has to withstand is played against a real one: the champion beside itself.
"""

import re
from collections.abc import Callable
from pathlib import Path

from exercises.drill import Drill, Outcome, configure, replace_once
from exercises.drills.release import ran

KEEPER = "pipeline/rollout/traffic/supervisor.py"
SCRIPT = ("-c",)
SERVER = """
import re, resource, sys, threading, time, zlib
from pathlib import Path
from tests.patience import PATIENCE, until
from tests.serve.fakes import FLIGHT, Store
from tests.serve.live import BODY, HEAD, heard, live

def post(body=BODY, *lines):
    head = ["POST /predict HTTP/1.1", "host: x", f"content-length: {len(body)}", *lines]
    return "\\r\\n".join([*head, "connection: close", "", ""]).encode() + body

def largest():
    # In MB: macOS counts bytes, Linux kB.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)
"""
"""A server over real connections, whose model and store are of no interest here."""
EDGE = """
import json, tempfile
from pathlib import Path
from pipeline.rollout.traffic import envoy
from tests.rollout.arms import proxied
from tests.rollout.test_callers import CLAIMS, met, send

with tempfile.TemporaryDirectory() as name, proxied(folder := Path(name)) as proxy:
    proxy.route({"challenger": 5_000, "control": 5_000})
    for arm in proxy.arms.values():
        arm.seen.clear()
"""
"""A real Envoy before three arms, in the last step of a canary."""


def _played(setting: str, script: str) -> Callable[[Path], list[str]]:
    """The script in a scratch copy, after its setting."""
    indent = "    " if setting is EDGE else ""
    lines = "".join(f"{indent}{line}\n" if line else "\n" for line in script.strip().split("\n"))
    return lambda _: [setting + lines]


def _says(pattern: str) -> Callable[[Path, Outcome], str]:
    """The script ended well, with this said."""

    def caught(_: Path, outcome: Outcome) -> str:
        told = re.search(pattern, outcome.words)
        return told[0] if outcome.code == 0 and told and "Traceback" not in outcome.words else ""

    return caught


CLAIMED = """
for name, value in CLAIMS.items():
    for flight in range(5):
        send(proxy, **{"x-flight": f"flight {flight}", name: value})
found = met(proxy)
arms, told = {arm for arm, _ in found}, {seen["x-arm"] for _, seen in found}
assert (arms, told) == ({"champion"}, {"stranger"}), (arms, told)
lines = (folder / envoy.ACCESS).read_text().splitlines()
told = f"{len(found)} requests with {len(CLAIMS)} claims"
print(f"{told}: all are strangers', {len(lines)} are evidence")
"""
HURRIED = """
for arm in proxy.arms.values():
    arm.code = 500
hurry = {"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-retry-on": "5xx"}
more = {"x-envoy-max-retries": "50", "x-envoy-upstream-rq-per-try-timeout-ms": "1"}
codes = [send(proxy, **hurry, **more)[0].status for _ in range(20)]
assert codes == [500] * 20, codes
print(f"20 requests with a timeout of 1 ms and 50 retries were asked {len(met(proxy))} times")
"""
LOOKED = """
paths = ["/metrics", "/stats", "/config_dump", "//metrics", "/v2/../metrics", "/%6detrics"]
codes = [send(proxy, path)[0].status for path in paths]
assert set(codes) == {404} and not met(proxy), codes
shut = [path for path in ("/config_dump", "/logging") if envoy.admin(proxy.ports, path) is None]
print(f"{len(paths)} spellings got 404, {len(shut)} of 2 pages of the admin port are shut")
"""
REPEATED = """
with live() as here:
    for number in (1, 2, 3):
        body = BODY.replace(b"1545", str(number).encode())
        assert b" 200 " in here.ask(post(body, "x-request-id: mine"))
    ids = [row[0] for row in here.log.rows]
    assert len(set(ids)) == len(ids) == 3, ids
    print(f"3 answers under one id of their caller's are {len(set(ids))} rows: {ids[0][:5]}...")
"""
HUNG_UP = """
with live() as here:
    for number in range(50):
        with here.open() as connection:
            connection.sendall(HEAD + b"\\r\\n" + BODY[: number % 40])
            until(lambda: here.server.server_state.tasks)
    until(lambda: here.counted(499) == 50)
    gone, failed = here.counted(499), here.counted(500)
    print(f"50 callers hung up: {gone:.0f} counted as 499, {failed:.0f} as 500")
"""
HALF_SENT = """
with live(request_ms=500) as here:
    starts = [b"", b"POST /pre", HEAD, HEAD + b"\\r\\n", HEAD + b"\\r\\n" + BODY[:9]]
    held = [here.open() for _ in range(20) for _ in starts]
    for number, connection in enumerate(held):
        connection.sendall(starts[number % len(starts)])
    codes = [heard(connection)[9:12].decode() for connection in held]
    until(lambda: not here.connections)
    print(f"100 requests that did not end: {codes.count('408')} got 408, 0 are still open")
"""
GIANT = """
with live() as here:
    assert b" 200 " in here.ask(post())
    before, sent = largest(), 0
    with here.open() as connection:
        connection.sendall(HEAD + b"x: ")
        try:
            for _ in range(300):
                sent += connection.send(b"a" * 1_000_000)
        except OSError:
            pass
    grown = largest() - before
    assert b" 200 " in here.ask(post())
    assert grown < 30, grown
    print(f"a header of up to 300 MB was cut off after {sent / 1e6:.0f} MB, the server is as large")
"""
BOMB = """
with live() as here:
    assert b" 200 " in here.ask(post())
    packing = zlib.compressobj(wbits=31)
    bomb = b"".join(packing.compress(b" " * 1_000_000) for _ in range(200)) + packing.flush()
    before = largest()
    told = here.ask(post(bomb, "content-encoding: gzip"))
    after = largest()
    assert b" 413 " in told, told
    assert after - before < 30, (before, after)
    reason = re.search(rb"unpacks to more than [0-9]+ bytes", told)[0].decode()
    print(f"{len(bomb):,} bytes that hold 200 MB: 413, it {reason}")
"""
OVERLOADED = """
store = Store()
store.before = lambda: time.sleep(0.01)
with live(store, queue_ms=250, refusal_ms=200, max_connections=512) as here:
    codes, until_ = [], time.monotonic() + 3
    def user():
        with here.open() as connection:
            while time.monotonic() < until_:
                connection.sendall(HEAD + b"\\r\\n" + BODY)
                head = b""
                while b"\\r\\n\\r\\n" not in head:
                    head += connection.recv(1)
                size = int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0])
                while size:
                    size -= len(connection.recv(size))
                codes.append(int(head[9:12]))
    users = [threading.Thread(target=user) for _ in range(120)]
    for one in users:
        one.start()
    for one in users:
        one.join()
    read = len(store.asked)
    assert set(codes) == {200, 503}, set(codes)
    assert read == codes.count(200), (read, codes.count(200))
    fine, away = codes.count(200), codes.count(503)
    print(f"120 users for 64 places: {fine} answered, {away} sent away unread")
"""
ATTACK = """
import http.client, json, random, re, subprocess, sys, threading
from pathlib import Path

kept, over, codes = Path("state/rollout/kept"), threading.Event(), []

def attack():
    flight = dict(carrier="UA", flight=1, origin="EWR", dest="IAH", block_minutes=200)
    flight |= {"distance": 1400, "tailnum": "N14228"}
    body = json.dumps({"flights": [flight | {"scheduled_departure": "2013-03-02T15:00Z"}]})
    while not over.wait(0.02):
        try:
            lines = (kept / "access.jsonl").read_text().splitlines()
            port = json.loads((kept / "wanted.json").read_text())["users"]
            about = json.loads(random.choice(lines))["flight"]
            claims = {"host": "a-shadow", "x-arm": "shadow", "x-flight": about}
            claims |= {"x-envoy-upstream-rq-timeout-ms": "1", "content-type": "application/json"}
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", "/predict", random.choice([body, "{"]), claims)
            if random.random() < 0.8:
                codes.append(connection.getresponse().status)
            connection.close()
        except (OSError, ValueError, IndexError, http.client.HTTPException):
            pass

thread = threading.Thread(target=attack)
thread.start()
command = [sys.executable, "-m", "simulation", "canary"]
done = subprocess.run(command, capture_output=True, text=True)
over.set()
thread.join()
print(done.stdout + done.stderr)
assert done.returncode == 0 and len(codes) > 50 and not {500, 502} & set(codes), set(codes)
print(f"hostile: {len(codes)} requests about the canary's own flights, and it was promoted")
"""
QUICK = [
    {"set_weight": 20, "days": 0.2, "min_requests": 30},
    {"set_weight": 50, "days": 0.4, "min_requests": 100},
]


def _quick(folder: Path) -> None:
    """A champion, and a plan of a day: what is looked for needs no more."""
    ran(folder, "register")
    plan = {"steps": QUICK, "bake_days": 0.1, "look_every": 10}
    configure(folder, "rollout", **{f"canary.{name}": value for name, value in plan.items()})


def _attacked(folder: Path) -> list[str]:
    _quick(folder)
    return [ATTACK]


def _reversed(folder: Path) -> list[str]:
    _quick(folder)
    return ["canary", "--bad=reversed"]


def _lose_rows(folder: Path) -> list[str]:
    """The challenger answers as it should, and every third answer never comes into the log."""
    _quick(folder)
    start = "    serve = pkgutil.resolve_name(SERVER)\n"
    lost = (
        '    if server.arm == "challenger":\n'
        "        from pipeline.records.request_log_writer import Log\n\n"
        "        add, number = Log.add, iter(range(10**9))\n"
        "        Log.add = lambda self, rows: next(number) % 3 and add(self, rows)\n"
    )
    replace_once(folder / KEEPER, start, lost + start)
    return ["canary"]


def _ended(kind: str, reason: str) -> Callable[[Path, Outcome], str]:
    """The canary ended in a refusal of this kind, for this reason."""

    def caught(_: Path, outcome: Outcome) -> str:
        told = re.search(rf"^canary: {kind}: (.*{reason}.*)$", outcome.words, re.MULTILINE)
        return told[1].partition(" -> ")[0].partition("; `")[0] if outcome.code and told else ""

    return caught


DRILLS = [
    Drill(
        slug="claimed-arm",
        stage="rollout",
        fault="a user sends Host: a-shadow, or any other header that means something inside",
        guard="rollout.traffic.listener: the edge removes or replaces what a caller claims to be",
        inject=_played(EDGE, CLAIMED),
        caught=_says(r"\d+ requests with \d+ claims: all are strangers', 0 are evidence"),
        command=SCRIPT,
    ),
    Drill(
        slug="claimed-timeout",
        stage="rollout",
        fault="a user sets the proxy's timeout and retries by x-envoy- headers",
        guard="rollout.traffic.listener: the edge removes every header that begins with x-envoy-",
        inject=_played(EDGE, HURRIED),
        caught=_says(r"20 requests with a timeout of 1 ms and 50 retries were asked 20 times"),
        command=SCRIPT,
    ),
    Drill(
        slug="inner-pages",
        stage="rollout",
        fault="a user asks for a server's metrics and the proxy's config, in six spellings",
        guard="rollout.traffic.routes: the users' port passes on what is for users, by a list",
        inject=_played(EDGE, LOOKED),
        caught=_says(r"6 spellings got 404, 2 of 2 pages of the admin port are shut"),
        command=SCRIPT,
    ),
    Drill(
        slug="repeated-id",
        stage="serve",
        fault="a caller sends one x-request-id with several requests",
        guard="shared.callers.Trust: a stranger's id is the beginning of one that is new",
        inject=_played(SERVER, REPEATED),
        caught=_says(r"3 answers under one id of their caller's are 3 rows"),
        command=SCRIPT,
    ),
    Drill(
        slug="hung-up",
        stage="serve",
        fault="50 callers hang up in the middle of their requests",
        guard="serve.middleware: counted as 499, without a traceback",
        inject=_played(SERVER, HUNG_UP),
        caught=_says(r"50 callers hung up: 50 counted as 499, 0 as 500"),
        command=SCRIPT,
    ),
    Drill(
        slug="half-sent",
        stage="serve",
        fault="100 callers send the beginning of a request, and then nothing",
        guard="serve.connection: a request has to be whole in its time",
        inject=_played(SERVER, HALF_SENT),
        caught=_says(r"100 requests that did not end: 80 got 408, 0 are still open"),
        command=SCRIPT,
    ),
    Drill(
        slug="giant-header",
        stage="serve",
        fault="a caller sends a header of 300 MB",
        guard="serve.connection: a head is read as far as max_header_bytes",
        inject=_played(SERVER, GIANT),
        caught=_says(r"a header of up to 300 MB was cut off after \d+ MB, the server is as large"),
        command=SCRIPT,
    ),
    Drill(
        slug="gzip-bomb",
        stage="serve",
        fault="a caller sends 200 kB that unpack to 200 MB",
        guard="serve.compression.decompress: the limit is of what comes out",
        inject=_played(SERVER, BOMB),
        caught=_says(r"bytes that hold 200 MB: 413, it unpacks to more than \d+ bytes"),
        command=SCRIPT,
    ),
    Drill(
        slug="overload",
        stage="serve",
        fault="twice as many users as there are places ask again as soon as they are refused",
        guard="serve.admission: a request that would wait too long is refused before it is read",
        inject=_played(SERVER, OVERLOADED),
        caught=_says(r"120 users for 64 places: \d+ answered, \d+ sent away unread"),
        command=SCRIPT,
    ),
    Drill(
        slug="hostile-users",
        stage="rollout",
        fault="during a canary strangers ask for its own flights, with claims and broken bodies",
        guard="rollout.traffic.listener: only known callers take part and are logged",
        inject=_attacked,
        caught=_says(r"hostile: \d+ requests about the canary's own flights, and it was promoted"),
        command=SCRIPT,
    ),
    Drill(
        slug="reversed-batch",
        stage="rollout",
        fault="the challenger's server answers the rows of a batch in reverse",
        guard="rollout.canary, a breaker: each row of a batch is held against the recomputed one",
        inject=_reversed,
        caught=_ended("RolledBack", "answers unlike the recomputed ones"),
    ),
    Drill(
        slug="unlogged",
        stage="rollout",
        fault="a third of the challenger's answers never come into the servers' log",
        guard="rollout.canary: missing evidence is counted, and beyond its limit the canary pauses",
        inject=_lose_rows,
        caught=_ended("NotPromoted", "are not in the servers' log"),
    ),
]
