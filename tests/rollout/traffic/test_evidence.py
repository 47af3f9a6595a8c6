"""The evidence: what the edge saw and what the servers logged, of the same request."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.features.windows import DAY_MINUTES
from pipeline.records.request_log import LoggedPrediction
from pipeline.records.request_log_writer import open_log
from pipeline.rollout.traffic import evidence as module
from pipeline.rollout.traffic.evidence import Evidence, with_steps
from pipeline.shared import processes
from pipeline.shared.errors import ServersFailed
from simulation.traffic import ReplayedTraffic

OURS, THEIRS = "a" * 12, "b" * 12
FLIGHTS = ["one", "two", "three"]


@pytest.fixture
def at_work(tmp_path):
    """An evidence over two logs in which nothing is yet."""
    asked = pd.DataFrame(
        {"name": FLIGHTS, "origin": ["EWR", "JFK", "LGA"], "sched_hour": [8, 9, 22]}
    )
    traffic = ReplayedTraffic(asked, np.array([100, 200, 100 + DAY_MINUTES]), {})
    expected_risks = {OURS: np.array([0.1, 0.2, 0.3]), THEIRS: np.array([0.5, 0.6, 0.7])}
    access = tmp_path / "access.jsonl"
    access.touch()
    return Evidence(traffic, expected_risks, access, f"sqlite:///{tmp_path}/log.db", 0)


def edge(evidence, flight, arm="control", code=200, release=OURS, request_id=None, **changes):
    """A line as Envoy writes it."""
    line = {
        "request_id": request_id or f"of {flight}",
        "flight": flight,
        "arm": arm,
        "code": code,
        "flags": None,
        "microseconds": 2_500,
        "release": release or None,
        "at": "1.0",
    }
    with evidence.access_log.open("a") as stream:
        stream.write(json.dumps(line | changes) + "\n")


def answer(
    evidence, flight, risk=0.1, arm="control", release=OURS, flags=None, request_id=None, row=0
):
    """An answer as a server logs it."""
    one = LoggedPrediction(
        request_id=request_id or f"of {flight}",
        row=row,
        arm=arm,
        version="1",
        release=release,
        name=flight,
        predict_at=1,
        features=b"",
        known_at=b"",
        flags=json.dumps(flags or {}),
        risk=risk,
        answered_at=0.0,
        seconds=0.001,
    )
    with open_log(evidence.log_url, 10) as log:
        log.add([one])


def seen(evidence, *flights):
    evidence.wait_for({f"of {flight}" for flight in flights})
    return evidence.observations().set_index("flight")


def test_a_request_is_joined_with_its_answer_and_its_flight(at_work):
    edge(at_work, "two", "challenger", release=THEIRS)
    answer(at_work, "two", 0.6, "challenger", THEIRS)
    row = seen(at_work, "two").loc["two"]
    assert (row["arm"], row["code"], row["release"], row["risk"]) == (
        "challenger",
        200,
        THEIRS,
        0.6,
    )
    assert (row["seconds"], row["minute"], row["day"], row["origin"]) == (0.0025, 200, 0, "JFK")
    assert row["parity"] == 0
    assert not row[["missing", "stale"]].any()


def test_readings_are_parsed_once_and_half_a_line_is_read_when_it_is_whole(
    at_work, tmp_path, monkeypatch
):
    at_work.readings = tmp_path / "resources.jsonl"
    parse, read = module.parse_readings, []
    monkeypatch.setattr(module, "parse_readings", lambda part: (read.append(part), parse(part))[1])
    lines = [
        json.dumps({"at": at, "arm": "control", "memory": memory}) + "\n"
        for at, memory in ((0.5, 100), (2.5, 200))
    ]
    at_work.readings.write_text(lines[0] + lines[1][:9])
    edge(at_work, "one")
    answer(at_work, "one")
    assert seen_memory(at_work, "one") == 100
    with at_work.readings.open("a") as stream:
        stream.write(lines[1][9:])
    edge(at_work, "two", at="2.6")
    answer(at_work, "two", 0.2)
    assert seen_memory(at_work, "two") == 200
    assert read == [line.encode() for line in lines]


def seen_memory(evidence, flight):
    return seen(evidence, flight).loc[flight, "memory"]


def test_before_the_first_request_there_is_nothing(at_work):
    assert at_work.observations().empty


def test_an_answer_is_held_against_the_release_that_gave_it_not_the_arm(at_work):
    edge(at_work, "one", "challenger", release=OURS)
    answer(at_work, "one", 0.1, "challenger", OURS)
    assert seen(at_work, "one").loc["one", "parity"] == 0


def test_a_risk_that_is_not_the_recomputed_one_is_as_far_off_as_it_is(at_work):
    edge(at_work, "one")
    answer(at_work, "one", 0.35)
    assert seen(at_work, "one").loc["one", "parity"] == pytest.approx(0.25)


def test_a_release_that_nobody_recomputed_has_no_parity(at_work):
    edge(at_work, "one", release="c" * 12)
    answer(at_work, "one", release="c" * 12)
    assert np.isnan(seen(at_work, "one").loc["one", "parity"])


@pytest.mark.parametrize("code", [0, 500, 503, 504])
def test_a_request_that_failed_is_kept_without_waiting_for_an_answer(at_work, code):
    edge(at_work, "one", code=code, release="")
    row = seen(at_work, "one").loc["one"]
    assert (row["code"], row["release"]) == (code, "")
    assert np.isnan(row["risk"])
    assert np.isnan(row["parity"])


@pytest.mark.parametrize(
    ("flags", "missing", "stale"),
    [
        ({}, False, False),
        ({"weather": "missing"}, True, False),
        ({"aircraft": "missing"}, False, False),  # an aircraft may be unknown
        ({"route": "missing"}, False, False),
        ({"aircraft": "stale"}, False, True),
        ({"weather": "stale", "origin": "missing"}, True, True),
    ],
)
def test_flags_say_what_lacked_and_what_was_old(at_work, flags, missing, stale):
    edge(at_work, "one")
    answer(at_work, "one", flags=flags)
    row = seen(at_work, "one").loc["one"]
    assert (row["missing"], row["stale"]) == (missing, stale)


def test_flights_are_told_by_bands_of_the_day_and_days_of_the_rollout(at_work):
    for flight in FLIGHTS:
        edge(at_work, flight)
        answer(at_work, flight)
    found = seen(at_work, *FLIGHTS)
    assert found["hour_band"].tolist() == ["from 00h", "from 09h", "from 21h"]
    assert found["day"].tolist() == [0, 0, 1]


def test_a_request_about_no_flight_of_the_traffic_is_no_evidence(at_work):
    edge(at_work, "one")
    answer(at_work, "one")
    edge(at_work, "a stranger's", code=500, release="")
    edge(at_work, None, request_id="nobody's")
    assert seen(at_work, "one").index.tolist() == ["one"]


def test_a_shadows_answer_is_not_taken_for_the_users(at_work):
    edge(at_work, "one")
    answer(at_work, "one", 0.5, "shadow", THEIRS)
    answer(at_work, "one", 0.1)
    assert seen(at_work, "one").loc["one", "risk"] == 0.1
    assert sorted(at_work.predictions()["arm"]) == ["control", "shadow"]


def test_of_two_answers_to_one_request_the_first_counts(at_work):
    edge(at_work, "one")
    answer(at_work, "one", 0.1)
    answer(at_work, "one", 0.9, "champion")
    found = seen(at_work, "one")
    assert found["risk"].tolist() == [0.1]


@pytest.mark.parametrize("arm", ["shadow", "direct", "stranger", "nobody", ""])
def test_an_answer_to_somebody_who_is_not_known_is_nobodys_evidence(at_work, monkeypatch, arm):
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    edge(at_work, "one")
    answer(at_work, "one", 0.9, arm)
    row = seen(at_work, "one").loc["one"]
    assert not row["logged"]
    assert np.isnan(row["risk"])
    assert np.isnan(row["parity"])
    answer(at_work, "one", 0.1)
    row = seen(at_work, "one").loc["one"]
    assert (row["logged"], row["risk"], row["parity"]) == (True, 0.1, 0.0)


def test_the_release_that_answered_speaks_for_a_request_that_two_were_asked(at_work):
    """The challenger died before its answer was out: the proxy asked the champion."""
    edge(at_work, "one", "challenger", release=OURS)
    answer(at_work, "one", 0.5, "challenger", THEIRS)
    answer(at_work, "one", 0.1, "challenger", OURS)
    row = seen(at_work, "one").loc["one"]
    assert (row["risk"], row["parity"]) == (0.1, 0.0)


def in_a_batch(evidence, risks, flights=("one", "two", "three")):
    edge(evidence, "one")
    for row, (flight, risk) in enumerate(zip(flights, risks, strict=True)):
        answer(evidence, flight, risk, request_id="of one", row=row)
    return seen(evidence, "one")


def test_a_batch_is_one_request_and_each_of_its_rows_is_compared(at_work):
    found = in_a_batch(at_work, [0.1, 0.2, 0.3])
    assert found.index.tolist() == ["one"]
    assert found["parity"].tolist() == [0.0]
    assert found["risk"].tolist() == [0.1]


@pytest.mark.answer("safe-rollout")
@pytest.mark.parametrize("risks", [[0.3, 0.2, 0.1], [0.1, 0.3, 0.2], [0.2, 0.2, 0.2]])
def test_a_batch_whose_risks_are_in_another_order_is_as_far_off_as_its_worst_row(at_work, risks):
    right = np.array([0.1, 0.2, 0.3])
    (apart,) = in_a_batch(at_work, risks)["parity"]
    assert apart == pytest.approx(np.abs(right - risks).max())


def test_a_batch_whose_flights_are_in_another_order_is_unlike(at_work):
    (apart,) = in_a_batch(at_work, [0.3, 0.2, 0.1], ["three", "two", "one"])["parity"]
    assert apart == np.inf


def test_one_row_that_is_no_probability_speaks_for_its_batch(at_work):
    assert in_a_batch(at_work, [0.1, 1.5, 0.3])["risk"].tolist() == [1.5]


def test_a_view_that_lacks_for_one_row_lacks_for_its_batch(at_work):
    edge(at_work, "one")
    answer(at_work, "one", request_id="of one")
    answer(at_work, "two", 0.2, request_id="of one", row=1, flags={"weather": "missing"})
    assert seen(at_work, "one").loc["one", "missing"]


def test_the_proxys_log_must_hold_every_request(at_work, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    edge(at_work, "one")
    answer(at_work, "one")
    with pytest.raises(ServersFailed, match="lacks 1 of 2 requests"):
        at_work.wait_for({"of one", "of two"})


def test_an_answer_that_never_comes_is_waited_for_and_then_taken_as_not_logged(
    at_work, monkeypatch
):
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    edge(at_work, "one")
    assert np.isnan(seen(at_work, "one").loc["one", "risk"])


class Clock:
    """Time that passes only where somebody sleeps."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_in_a_shadow_both_answers_are_waited_for(at_work, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(processes, "time", clock)
    edge(at_work, "one")
    answer(at_work, "one")
    at_work.wait_for({"of one"}, mirrored=True)
    waited = clock.now
    assert waited == pytest.approx(module._PATIENCE_SECONDS, abs=0.05)
    answer(at_work, "one", 0.5, "shadow", THEIRS)
    at_work.wait_for({"of one"}, mirrored=True)
    assert clock.now == waited


@pytest.mark.long
def test_a_request_that_was_answered_late_is_judged_anew(at_work, monkeypatch):
    monkeypatch.setattr(module, "time", Clock())
    edge(at_work, "one")
    edge(at_work, "two", code=503)
    first = seen(at_work, "one", "two")
    assert first["risk"].isna().all()
    answer(at_work, "one", 0.1)
    later = seen(at_work, "one", "two")
    assert later.index.tolist() == first.index.tolist() == ["one", "two"]
    assert (later.loc["one", "risk"], later.loc["one", "parity"]) == (0.1, 0.0)


def test_a_crowd_of_other_users_does_not_push_a_request_out_of_sight(at_work):
    edge(at_work, "one")
    answer(at_work, "one")
    for number in range(400):
        edge(at_work, "a stranger's", code=404, request_id=f"stranger {number}")
    assert seen(at_work, "one").index.tolist() == ["one"]


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(at_work):
    edge(at_work, "one")
    answer(at_work, "one")
    whole = at_work.access_log.read_bytes()
    at_work.access_log.write_bytes(whole[:40])
    assert at_work.observations().empty
    at_work.wait_for(set())
    at_work.access_log.write_bytes(whole)
    assert seen(at_work, "one").index.tolist() == ["one"]


def test_half_a_line_of_a_proxy_that_died_takes_no_other_with_it(at_work):
    edge(at_work, "one")
    answer(at_work, "one")
    with at_work.access_log.open("a") as stream:
        stream.write('{"request_id": "of tw\n')
    edge(at_work, "three")
    answer(at_work, "three")
    assert seen(at_work, "one", "three").index.tolist() == ["one", "three"]


def test_what_was_left_unwritten_is_told_and_can_be_left_out(at_work, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    edge(at_work, "one")
    answer(at_work, "one")
    edge(at_work, "two")
    edge(at_work, "three", code=503, release="")
    at_work.wait_for({"of one", "of two", "of three"})
    asked = {"of one", "of two", "of three", "of four"}
    assert at_work.incomplete(asked) == {"of two", "of four"}
    at_work.exclude({"of two"})
    assert at_work.observations()["flight"].tolist() == ["one", "three"]


def test_who_hung_up_when_the_controller_was_killed_is_nobodys_failure(at_work):
    edge(at_work, "one")
    answer(at_work, "one")
    edge(at_work, "two", "challenger", 0, release="", flags="DC")
    at_work.known_bytes = at_work.access_log.stat().st_size
    edge(at_work, "three", "challenger", 0, release="", flags="DC")
    found = seen(at_work, "one", "two", "three")
    assert found["code"].to_dict() == {"one": 200, "three": 0}


def test_a_server_that_failed_before_an_interruption_has_failed(at_work):
    edge(at_work, "one", "challenger", 504, release="", flags="UT")
    edge(at_work, "two", "challenger", 503, release="", flags="UH,DC")
    at_work.known_bytes = at_work.access_log.stat().st_size
    assert seen(at_work, "one", "two")["code"].tolist() == [504, 503]


def test_requests_belong_to_the_step_that_had_begun_and_to_none_before_the_first():
    observed = pd.DataFrame({"minute": [5, 10, 11, 20, 99]})
    found = with_steps(observed, [(10, 0), (20, 1)])
    assert found["minute"].tolist() == [10, 11, 20, 99]
    assert found["step"].tolist() == [0, 0, 1, 1]
