"""The traffic: each flight is asked for when the store holds just what was known then."""

import http.server
import threading
from collections import Counter

import numpy as np
import orjson
import pandas as pd
import pytest

from pipeline.features.definitions import VIEWS
from pipeline.features.feast_repository import keys_of
from pipeline.features.windows import entity_names, minutes
from simulation.traffic import advance, between
from simulation.users import BATCH, BATCH_SHARE, Users, batch_requests
from tests import builders

FIRST, LAST = (pd.Timestamp(f"2013-01-{day} 05:00Z") for day in (10, 13))
GRID = 15


@pytest.fixture(scope="module")
def traffic():
    return between(builders.flights(), builders.weather(), FIRST, LAST)


class Recorded:
    """A store that remembers the newest row of each entity, and what it was told when."""

    def __init__(self):
        self.now, self.complete_to, self.entities = {}, [], {view: {} for view in VIEWS}

    def prepare(self, view, rows):
        return [rows.iloc[[place]] for place in range(len(rows))]

    def write(self, view, told):
        rows = pd.concat(told)
        names = entities(view, rows)
        known = rows[f"{view}_known_at"], rows[f"{view}_available_at"]
        for name, known_at, available_at in zip(names, *known, strict=True):
            before = self.entities[view].get(name, (0, -1))
            assert available_at >= before[1], f"{view} of {name} runs backwards"
            self.entities[view][name] = (known_at, available_at)

    def complete(self, views, until):
        assert views == VIEWS
        self.complete_to.append(until)


def entities(view, rows):
    if keys_of(view) == ["system"]:
        return pd.Series("all", index=rows.index)
    return rows[keys_of(view)].astype(str).agg("/".join, axis=1)


def test_flights_are_asked_for_once_each_in_the_order_of_their_time(traffic):
    store, asked = Recorded(), []
    for places in advance(traffic, store, GRID):
        asked += places.tolist()
    assert asked == list(range(len(traffic.at)))
    assert (np.diff(traffic.at) >= 0).all()
    assert traffic.events["sched_dep_utc"].between(FIRST, LAST, inclusive="left").all()
    assert traffic.events["name"].is_unique


def test_no_row_is_pushed_before_it_is_available_or_off_its_time(traffic):
    for view, rows in traffic.feed.items():
        assert (rows["pushed"] >= rows[f"{view}_available_at"]).all(), view


def stands_as_joined(traffic):
    """At each flight's time the store holds what the offline join found for it, view by view."""
    store, compared = Recorded(), 0
    for places in advance(traffic, store, GRID):
        flights = traffic.events.iloc[places]
        assert (
            int(minutes(pd.Series(store.complete_to[-1:]))[0]) == traffic.at[places[0]] // 15 * 15
        )
        for view in VIEWS:
            names = entity_names(flights, view)
            known = minutes(flights[f"{view}_known_at"])
            for name, expected in zip(names, known, strict=True):
                if expected > 0:
                    assert store.entities[view][name][0] == expected, (view, name)
                    compared += 1
    return compared


def test_when_a_flight_is_asked_for_the_store_holds_what_the_offline_join_found(traffic):
    assert stands_as_joined(traffic) > 5 * len(traffic.at)


@pytest.mark.long
@pytest.mark.parametrize("place", [1, 17, 40])
def test_who_goes_on_later_finds_the_store_as_it_would_have_been(traffic, place):
    left = traffic.since(place)
    assert left.events["name"].tolist() == traffic.events["name"].tolist()[place:]
    assert left.at.tolist() == traffic.at.tolist()[place:]
    assert stands_as_joined(left) > 0


def test_after_the_last_flight_nothing_is_left(traffic):
    left = traffic.since(len(traffic.at))
    assert len(left.events) == 0
    assert list(advance(left, Recorded(), GRID)) == []


def test_a_request_says_what_the_schedule_says_and_nothing_of_what_happened(traffic):
    body = orjson.loads(traffic.events["body"].iloc[0])
    (flight,) = body["flights"]
    assert set(flight) <= {
        "carrier",
        "flight",
        "origin",
        "dest",
        "tailnum",
        "block_minutes",
        "distance",
        "scheduled_departure",
    }
    row = traffic.events.iloc[0]
    assert flight["flight"] == row["flight"]
    assert pd.Timestamp(flight["scheduled_departure"]) == row["sched_dep_utc"]


def test_a_flight_without_an_aircraft_says_nothing_of_it(traffic):
    tails = traffic.events["tailnum"].isna()
    assert tails.any()
    assert all(
        "tailnum" not in orjson.loads(b)["flights"][0] for b in traffic.events["body"][tails]
    )


def bodies(*names):
    return [orjson.dumps({"flights": [{"flight": name}]}) for name in names]


def test_flights_of_a_moment_are_asked_for_one_by_one_or_all_in_one_request():
    kinds = Counter()
    for number in range(400):
        names = [f"{number} {letter}" for letter in "abcdef"]
        asked, contents = batch_requests(names, bodies(*names))
        told = [[f["flight"] for f in orjson.loads(body)["flights"]] for body in contents]
        assert [one for of in told for one in of] == names  # in their order
        assert asked == [of[0] for of in told]
        kinds.update(len(of) for of in told)
    assert set(kinds) == {1, 2, BATCH}
    assert kinds[BATCH] / 400 == pytest.approx(BATCH_SHARE, abs=0.07)
    assert kinds[2] / 400 == pytest.approx(BATCH_SHARE, abs=0.07)


def test_a_flight_that_is_alone_is_asked_for_alone():
    assert all(len(batch_requests([f"{n}"], bodies("x"))[0]) == 1 for n in range(50))
    names = ["the same", "again"]
    assert batch_requests(names, bodies(*names)) == batch_requests(names, bodies(*names))


# Users.


class _Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        flight = self.headers["x-flight"]
        if flight == "cut":
            self.close_connection = True
            return
        self.send_response(503 if flight == "bad" else 200)
        self.send_header("x-request-id", f"id of {flight}")
        self.send_header("x-version", "7")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def users():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    found = Users(server.server_port, "key", 3)
    yield found
    found.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_replies_come_in_the_order_of_the_questions(users):
    names = [f"flight {number}" for number in range(30)]
    replies = users.ask(names, [b"{}"] * 30)
    assert [reply.request_id for reply in replies] == [f"id of {name}" for name in names]
    assert {(reply.code, reply.version, reply.failed) for reply in replies} == {(200, "7", False)}


def test_a_bad_answer_and_none_are_failures_and_the_next_is_asked_anew(users):
    replies = users.ask(["bad", "cut", "fine"], [b"{}"] * 3)
    assert [(reply.code, reply.failed) for reply in replies] == [
        (503, True),
        (0, True),
        (200, False),
    ]
