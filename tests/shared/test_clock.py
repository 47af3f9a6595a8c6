import pandas as pd
import pytest

from pipeline.shared import clock


def test_months_are_named_from_the_first_to_the_last():
    assert clock.months("2013-11", "2014-02") == ["2013-11", "2013-12", "2014-01", "2014-02"]
    assert clock.months("2013-04", "2013-04") == ["2013-04"]


def test_the_last_of_the_months_may_be_its_beginning_up_to_a_day():
    assert clock.months("2013-03", "2013-05-12") == ["2013-03", "2013-04", "2013-05-12"]
    assert clock.months("2013-01", "2013-01-01") == ["2013-01-01"]


def test_a_month_up_to_its_last_day_is_the_month():
    assert clock.months("2013-01", "2013-02-28") == clock.months("2013-01", "2013-02")


@pytest.mark.parametrize(
    ("month", "at"),
    [
        ("2013-02", "2013-03-01 10:00Z"),
        ("2013-12", "2014-01-01 10:00Z"),
        ("2013-05-12", "2013-05-13 10:00Z"),
        ("2013-02-28", "2013-03-01 10:00Z"),
    ],
)
def test_a_month_or_its_beginning_has_arrived_at_ten_utc_on_the_day_after_its_last(month, at):
    assert clock.arrived_at(month) == pd.Timestamp(at)


def test_by_then_every_label_of_the_month_is_known(published_year):
    rows = published_year["flights"]
    known = (
        rows[["arr_utc"]].assign(by=rows["sched_arr_utc"] + pd.Timedelta(minutes=15)).min(axis=1)
    )
    latest = known.groupby(rows["month"]).max()
    assert len(latest) == 12
    assert all(at <= clock.arrived_at(f"2013-{month:02d}") for month, at in latest.items())


def test_a_label_arrives_with_the_first_file_at_or_after_the_instant_at_which_it_is_known():
    known = ["2024-06-29 09:59", "2024-06-29 10:00", "2024-06-29 10:01", "2024-06-29 23:59"]
    arrived = clock.next_arrival(pd.Series(pd.to_datetime(known, utc=True)))
    assert [f"{at:%m-%d %H:%M}" for at in arrived] == [
        *("06-29 10:00", "06-29 10:00", "06-30 10:00", "06-30 10:00")
    ]


@pytest.mark.parametrize(("latest", "due"), [(1, 34), (34, 34), (34.1, 58), (48, 58), (58.5, 82)])
def test_labels_are_due_with_the_file_that_has_the_last_of_their_day(latest, due):
    assert clock.labels_due(pd.Timedelta(hours=latest)) == pd.Timedelta(hours=due)
