"""The label feed: late, twice, out of order and corrected, it says one thing in the end."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from pipeline.features import windows
from pipeline.features.definitions import LABEL
from pipeline.flights.events import deadline
from pipeline.flights.names import flight_names, from_names
from pipeline.flights.request import Flight, flight_id
from pipeline.monitor.performance import delayed_labels
from pipeline.monitor.performance.delayed_labels import feed_table
from pipeline.monitor.performance.label_ledger import read_events, receive
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.errors import ArtifactTampered, LabelsRefused
from tests.monitor.performance.feed import at, folded_slowly, random_events, told

pytestmark = pytest.mark.answer("delayed-labels")
FLIGHT, OTHER = "2013-04-18/UA/1/EWR", "2013-04-18/UA/2/EWR"


# The fold.


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_100_000_labels_late_shuffled_twice_and_corrected_say_what_they_say_in_order(seed):
    feed = random_events(100_000, seed)
    in_order = delayed_labels.fold(feed.sort_values(["arrived_at", "revision"], ignore_index=True))
    shuffled = feed.sample(frac=1, random_state=seed + 1)
    found = delayed_labels.fold(shuffled)
    assert found.table.equals(in_order.table)
    assert found.conflicts.equals(in_order.conflicts)
    assert (found.duplicates, found.corrections) == (in_order.duplicates, in_order.corrections)
    final, split = folded_slowly(feed)
    assert dict(zip(found.table["flight"], found.table["late"], strict=True)) == {
        flight: late for flight, (late, _) in final.items()
    }
    assert set(found.conflicts["flight"]) == split
    assert split
    assert found.corrections > 1_000


def test_a_feed_that_is_told_again_changes_nothing_and_is_counted():
    feed = random_events(2_000, 9)
    once, twice = delayed_labels.fold(feed), delayed_labels.fold(pd.concat([feed, feed]))
    assert twice.table.equals(once.table)
    assert twice.duplicates == once.duplicates + len(feed)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_the_highest_revision_wins_in_whatever_order_it_comes(order):
    said = [told(late=late, revision=n) for n, late in enumerate([0, 1, 0])]
    found = delayed_labels.fold(feed_table([said[n] for n in order]))
    assert found.table[["late", "revision"]].values.tolist() == [[0, 2]]
    assert found.corrections == 0


def test_a_label_has_arrived_when_it_was_first_told():
    again = told(arrived_at=at("04-25 10:00"))
    found = delayed_labels.fold(feed_table([again, told()]))
    assert found.table["arrived_at"].tolist() == [at("04-19 10:00")]
    assert found.duplicates == 1


@pytest.mark.parametrize("other", [{"late": 1}, {"known_at": at("04-18 19:00")}])
def test_two_things_said_under_one_revision_are_set_aside_by_name(other):
    found = delayed_labels.fold(feed_table([told(), told(**other), told(OTHER)]))
    assert found.table["flight"].tolist() == [OTHER]
    assert found.conflicts["flight"].tolist() == [FLIGHT, FLIGHT]


def test_a_later_revision_settles_a_conflict():
    found = delayed_labels.fold(feed_table([told(), told(late=1), told(late=1, revision=1)]))
    assert found.table[["flight", "late"]].values.tolist() == [[FLIGHT, 1]]
    assert found.conflicts.empty


def test_a_conflict_is_not_settled_by_what_was_said_before_it():
    found = delayed_labels.fold(
        feed_table([told(), told(late=1, revision=1), told(late=0, revision=1)])
    )
    assert found.table.empty


def test_a_flight_in_conflict_is_not_counted_as_corrected():
    found = delayed_labels.fold(
        feed_table([told(), told(late=1, revision=1), told(late=0, revision=1)])
    )
    assert (found.corrections, len(found.conflicts)) == (0, 2)


def test_no_events_are_no_labels():
    assert delayed_labels.fold(feed_table([])).table.empty


# What was known when.


def test_as_of_an_instant_there_is_only_what_had_arrived_by_then():
    feed = feed_table([told(), told(late=1, revision=1, arrived_at=at("04-21 10:00"))])
    seen = [
        delayed_labels.fold(delayed_labels.arrived_events(feed, at(f"04-{day} 10:00"))).table
        for day in (18, 19, 20, 21)
    ]
    assert [table["late"].tolist() for table in seen] == [[], [0], [0], [1]]


def test_a_label_that_is_known_but_has_not_arrived_is_not_known_here():
    feed = feed_table([told(known_at=at("04-18 20:00"), arrived_at=at("04-19 10:00"))])
    assert delayed_labels.arrived_events(feed, at("04-19 09:59")).empty


def test_a_label_of_a_flight_that_nobody_asked_for_is_kept_apart():
    asked = pd.Series({FLIGHT: at("04-18 10:00")})
    found = delayed_labels.settle(asked, feed_table([told(), told(OTHER)]))
    assert found.table["flight"].tolist() == [FLIGHT]
    assert found.unrequested["flight"].tolist() == [OTHER]


@pytest.mark.parametrize(
    ("known", "possible"), [("09:59", False), ("10:00", False), ("10:01", True)]
)
def test_a_label_known_by_the_prediction_is_impossible(known, possible):
    asked = pd.Series({FLIGHT: at("04-18 10:00")})
    found = delayed_labels.settle(asked, feed_table([told(known_at=at(f"04-18 {known}"))]))
    assert len(found.table) == possible
    assert len(found.impossible) == (not possible)


def test_an_impossible_correction_does_not_replace_what_was_possible():
    asked = pd.Series({FLIGHT: at("04-18 10:00")})
    wrong = told(late=1, revision=1, known_at=at("04-18 09:00"))
    found = delayed_labels.settle(asked, feed_table([told(), wrong]))
    assert found.table["late"].tolist() == [0]


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("late", 2, "neither late"),
        ("flight", "UA 1545", "names no flight"),
        ("revision", -1, "no whole revision"),
        ("arrived_at", at("04-18 19:59"), "arrived before it was known"),
        ("arrived_at", pd.NaT, "arrived before it was known"),
    ],
)
def test_a_feed_that_is_none_is_refused_with_the_rule_the_count_and_an_event(column, value, rule):
    feed = feed_table([told(), told(OTHER)])
    feed.loc[1, column] = value
    with pytest.raises(LabelsRefused, match=rf"1 of 2 events .*{rule}"):
        delayed_labels.require_sound_feed(feed)


def test_labels_are_settled_from_a_sound_feed_only():
    feed = feed_table([told(), told(OTHER)])
    feed.loc[0, "late"] = 7
    with pytest.raises(LabelsRefused, match="neither late"):
        delayed_labels.settle(pd.Series({FLIGHT: at("04-18 10:00")}), feed)


def test_a_feed_without_a_column_or_a_time_zone_is_refused():
    feed = feed_table([told()])
    with pytest.raises(LabelsRefused, match="lacks revision"):
        delayed_labels.require_sound_feed(feed.drop(columns="revision"))
    with pytest.raises(LabelsRefused, match=r"known_at .* has no time zone"):
        delayed_labels.require_sound_feed(
            feed.assign(known_at=feed["known_at"].dt.tz_localize(None))
        )


# The ledger.


@pytest.fixture
def file(tmp_path):
    """A file of two labels, as it comes."""
    path = tmp_path / "labels-2013-04-18.parquet"
    feed_table([told(), told(OTHER, 1)]).drop(columns="arrived_at").to_parquet(path, index=False)
    return path


def test_a_file_is_received_once_whatever_it_is_called(file, tmp_path):
    ledger = tmp_path / "labels.db"
    again = shutil.copy(file, tmp_path / "labels-again.parquet")
    first = receive(file, at("04-19 10:00"), ledger)
    second = receive(again, at("04-20 10:00"), ledger)
    assert (first.added, first.known) == (2, False)
    assert (second.added, second.known, second.file) == (0, True, first.file)
    assert read_events(ledger).equals(feed_table([told(), told(OTHER, 1)]))


def test_what_was_received_cannot_be_changed_or_taken_out(file, tmp_path):
    ledger = tmp_path / "labels.db"
    receive(file, at("04-19 10:00"), ledger)
    with closing(sqlite3.connect(ledger)) as database:
        for statement in ("UPDATE labels SET late = 1", "DELETE FROM files", "DELETE FROM labels"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                database.execute(statement)


def test_a_file_that_is_refused_leaves_nothing_behind(file, tmp_path):
    ledger = tmp_path / "labels.db"
    with pytest.raises(LabelsRefused, match="arrived before it was known"):
        receive(file, at("04-18 12:00"), ledger)
    assert read_events(ledger).empty


def test_a_file_cannot_arrive_before_the_last_one(file, tmp_path):
    ledger = tmp_path / "labels.db"
    receive(file, at("04-20 10:00"), ledger)
    other = tmp_path / "other.parquet"
    feed_table([told(late=1, revision=1)]).drop(columns="arrived_at").to_parquet(other, index=False)
    with pytest.raises(LabelsRefused, match=r"04-19 10:00Z, the last file arrived at 2013-04-20"):
        receive(other, at("04-19 10:00"), ledger)


def test_a_ledger_that_is_none_is_told_and_one_that_is_not_there_is_empty(file, tmp_path):
    ledger = tmp_path / "labels.db"
    assert read_events(ledger).empty
    ledger.write_bytes(b"no database at all" * 100)
    with pytest.raises(ArtifactTampered, match=r"labels\.db is no label ledger"):
        read_events(ledger)


# The real feed.


@pytest.fixture(scope="module")
def rows(published):
    """The real flights of January to March, as they were asked for."""
    return windows.requests(published["flights"], load(FeaturesConfig))


def test_the_daily_files_hold_every_real_label_and_none_from_the_future(rows):
    feed = delayed_labels.daily(rows)
    delayed_labels.require_sound_feed(feed)
    names = flight_names(rows)
    found = delayed_labels.settle(pd.Series(rows["predict_at"].array, index=names), feed)
    assert len(found.table) == len(rows)
    assert found.impossible.empty
    late = pd.Series(rows[LABEL].to_numpy(), index=names)
    assert (late.loc[found.table["flight"]].to_numpy() == found.table["late"]).all()


def test_a_label_that_is_known_after_the_usual_file_comes_with_the_next(rows):
    some = rows.head(3).copy()
    usual = delayed_labels.daily(some)["arrived_at"]
    late = pd.Series(pd.to_timedelta([-60, 0, 1], unit="min"), some.index)
    some[f"{LABEL}_known_at"] = usual + late
    found = delayed_labels.daily(some)
    delayed_labels.require_sound_feed(found)
    days = (found["arrived_at"] - usual) / pd.Timedelta(days=1)
    assert list(days) == [0, 0, 1]


def test_no_late_flight_was_known_before_its_deadline_and_no_flight_after_it(rows):
    early = rows["late_known_at"] < deadline(rows)
    assert rows.loc[early, LABEL].sum() == 0
    assert (rows["late_known_at"] <= deadline(rows)).all()


def test_flights_are_called_what_the_server_calls_them(rows):
    some = rows.sample(300, random_state=0)
    names = flight_names(some)
    for (_, row), name in zip(some.iterrows(), names, strict=True):
        flight = Flight(
            carrier=row["carrier"],
            flight=int(row["flight"]),
            origin=row["origin"],
            dest=row["dest"],
            scheduled_departure=f"{row['sched_dep_utc']:%Y-%m-%dT%H:%M}Z",
            block_minutes=int(row["block_minutes"]),
            distance=int(row["distance"]),
        )
        assert flight_id(flight) == name
    assert np.array_equal(from_names(names)["carrier"], some["carrier"])
    assert np.array_equal(from_names(names)["origin"], some["origin"])
