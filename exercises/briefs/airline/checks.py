"""What the airline's brief asks for, check by check, seen from outside."""

import ast
import asyncio
import re

from exercises.briefs import service, users
from exercises.briefs.suite import Subject
from exercises.workbench.checking import Unmet, Words, check, expect, holds
from pipeline.shared import yaml_files

USERS, MOST_MS = 100, 100.0
FLIGHT = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "month": 4,
    "day_of_week": 3,
    "minute": 1020,
    "distance": 1400,
    "block_minutes": 227,
}
EARLY = {**FLIGHT, "carrier": "DL", "origin": "LGA", "dest": "ATL", "minute": 360, "distance": 762}
LATE = {**FLIGHT, "carrier": "EV", "month": 7, "day_of_week": 4, "minute": 1170, "distance": 200}
WRONG = {
    "a body that is not JSON": b"{",
    "no list": {"flight": FLIGHT},
    "an empty list": {"flights": []},
    "a missing field": {"flights": [{k: v for k, v in FLIGHT.items() if k != "origin"}]},
    "text for a number": {"flights": [{**FLIGHT, "distance": "far"}]},
    "a month that there is not": {"flights": [{**FLIGHT, "month": 13}]},
    "an airport that there is not": {"flights": [{**FLIGHT, "origin": "XXX"}]},
    "nothing for a number": {"flights": [{**FLIGHT, "minute": None}]},
}


@check(5)
def test_it_states_how_it_is_started(subject: Subject) -> None:
    """service.toml can be read."""
    holds(bool(subject.statement.serve), "a command", subject.statement.serve)


@check(10)
def test_there_is_a_model_class(subject: Subject) -> None:
    """The stated class is in its module, with a method that predicts."""
    name, _, wanted = subject.statement.model.partition(":")
    path = subject.folder / name
    holds(path.is_file(), "model = 'path.py:Class'", subject.statement.model)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == wanted]
    methods = [n.name for c in found for n in c.body if isinstance(n, ast.FunctionDef)]
    holds(any(m.startswith("predict") for m in methods), f"{wanted} has predict...", methods)


@check(10)
def test_its_own_tests_pass(subject: Subject) -> None:
    """The stated command ends well, and says that tests passed."""
    holds(bool(subject.statement.tests), "tests = a command", "none is stated")
    code, said = service.run(subject.folder, subject.statement.tests)
    holds(code == 0, "exit code 0", code, said)
    holds(bool(re.search(r"[1-9]\d* passed", said)), "tests that passed", Words(said))


@check(5)
def test_a_workflow_runs_tests_on_pull_requests(subject: Subject) -> None:
    """The stated workflow is started by pull requests and has a step that tests."""
    path = subject.folder / subject.statement.workflow
    holds(path.is_file(), "workflow = a file", subject.statement.workflow)
    # YAML reads a bare `on` as a truth value; some loaders keep the word.
    text = path.read_text(encoding="utf-8")
    holds("pull_request" in text, "it starts on pull_request", "it does not")
    jobs = yaml_files.parse(text)["jobs"].values()
    steps = [str(step.get("run", "")) for job in jobs for step in job.get("steps", [])]
    holds(any("test" in step for step in steps), "a step that runs tests", steps)


@check(10)
def test_a_container_runs_it_without_rights_and_with_a_health_check(subject: Subject) -> None:
    """The stated file has what a container needs."""
    path = subject.folder / subject.statement.container
    holds(path.is_file(), "container = a file", subject.statement.container)
    text = path.read_text(encoding="utf-8")
    said = dict(re.findall(r"^(FROM|USER|HEALTHCHECK|ENTRYPOINT|CMD)\s+(.+)$", text, re.MULTILINE))
    holds("FROM" in said and bool(said.keys() & {"CMD", "ENTRYPOINT"}), "FROM and a command", said)
    holds(
        said.get("USER", "root").split(":")[0] not in ("root", "0"), "a USER without rights", said
    )
    holds(said.get("HEALTHCHECK", "NONE") != "NONE", "a HEALTHCHECK", sorted(said))


@check(10)
def test_it_starts_and_is_ready(subject: Subject) -> None:
    """The stated command starts, and GET /health answers."""
    holds(subject.service.process.poll() is None, "it runs", "it has ended")


@check(10)
def test_each_flight_gets_its_probability_in_order(subject: Subject) -> None:
    """Three flights together get what each gets alone."""
    alone = [_late(subject, [one])[0] for one in (FLIGHT, EARLY, LATE)]
    expect(_late(subject, [FLIGHT, EARLY, LATE]), alone, tolerance=1e-5)
    holds(len(set(alone)) == len(alone), "other flights, other probabilities", alone)
    holds(all(0 <= one <= 1 for one in alone), "probabilities from 0 to 1", alone)


def _late(subject: Subject, flights: list[dict[str, object]]) -> list[float]:
    found = subject.service.answer({"flights": flights}).get("late")
    holds(isinstance(found, list) and len(found) == len(flights), f"{len(flights)} values", found)
    return [float(one) for one in found]


@check(5)
def test_an_evening_in_july_is_later_than_a_morning_in_april(subject: Subject) -> None:
    """The model has learned what every schedule shows."""
    early, late = _late(subject, [EARLY, LATE])
    holds(late > early, "the evening's probability is higher", (early, late))


@check(10)
def test_what_is_no_flight_is_refused(subject: Subject) -> None:
    """Each wrong request gets a 4xx."""
    found = {name: subject.service.ask(body)[0] for name, body in WRONG.items()}
    wrong = {name: status for name, status in found.items() if not 400 <= status < 500}
    holds(not wrong, "a 4xx for each", wrong)


@check(5)
def test_what_is_known_only_after_departure_is_not_taken(subject: Subject) -> None:
    """The notebook's leak is refused: a caller who sends it would believe that it counts."""
    status, _ = subject.service.ask({"flights": [{**FLIGHT, "dep_delay": 40}]})
    holds(400 <= status < 500, "a 4xx for dep_delay", status)


@check(10)
def test_it_holds_100_users(subject: Subject) -> None:
    """No request of the load fails."""
    requests = [users.request({"flights": [one]}) for one in (FLIGHT, EARLY, LATE)]
    port = subject.service.port
    found = asyncio.run(users.ask(port, requests, USERS, users.for_seconds(subject.seconds)))
    subject.measured["requests"] = len(found.seconds)
    subject.measured["errors"] = len(found.errors)
    subject.measured["p50 ms"] = 1000 * found.percentile(0.5)
    subject.measured["p95 ms"] = 1000 * found.percentile(0.95)
    holds(len(found.seconds) >= USERS, f"{USERS} answers at least", len(found.seconds))
    holds(not found.errors, "no error", f"{len(found.errors)}, such as {found.errors[:3]}")


@check(5)
def test_95_of_100_answers_come_within_100_ms(subject: Subject) -> None:
    """The load's 95th percentile."""
    found = subject.measured.get("p95 ms")
    if found is None:
        raise Unmet(Words(f"p95 of {MOST_MS:.0f} ms"), Words("no load was held"))
    holds(found <= MOST_MS, f"p95 of at most {MOST_MS:.0f} ms", round(found, 1))


@check(5)
def test_it_ends_when_it_is_asked_to(subject: Subject) -> None:
    """SIGTERM ends it, and not by force."""
    holds(
        subject.service.end() is not None, f"it ends in {service.END_SECONDS:.0f} s", "it runs on"
    )
