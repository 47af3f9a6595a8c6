"""The checks of the names of flights."""

import pandas as pd

from exercises.workbench.checking import check, expect


def _names(subject, *departures: str) -> list[str]:
    rows = pd.DataFrame(
        {
            "sched_dep_utc": pd.to_datetime(list(departures), utc=True),
            "carrier": "UA",
            "flight": 1545,
            "origin": "EWR",
        }
    )
    return [name.partition("/")[0] for name in subject.flight_names(rows)]


@check(3)
def test_an_evening_flight_has_the_date_of_new_york(subject):
    """20:30 on 18 April in New York is half past midnight in UTC."""
    seen = _names(subject, "2013-04-19T00:30Z")
    expect(seen, ["2013-04-18"], [(["2013-04-19"], "the date in UTC: the feed names it the 18th")])


@check(1)
def test_a_morning_flight_has_the_same_date_in_both(subject):
    """Which is why nobody saw it before the evening."""
    expect(_names(subject, "2013-04-18T12:00Z"), ["2013-04-18"])


@check(2)
def test_winter_has_another_offset(subject):
    """23:30 on 31 January is 04:30 on 1 February in UTC."""
    expect(_names(subject, "2013-02-01T04:30Z"), ["2013-01-31"])


@check(2)
def test_a_flight_just_after_midnight_is_of_the_new_day(subject):
    """00:10 in July is 04:10 in UTC."""
    expect(_names(subject, "2013-07-05T04:10Z"), ["2013-07-05"])


@check(2, hidden=True)
def test_the_night_of_the_change_has_both(subject):
    """On 10 March clocks went forward at two."""
    seen = _names(subject, "2013-03-10T04:59Z", "2013-03-10T05:00Z", "2013-03-11T03:59Z")
    expect(seen, ["2013-03-09", "2013-03-10", "2013-03-10"])


@check(1, hidden=True)
def test_the_whole_name_is_as_it_was(subject):
    """Date, carrier, number and origin, a row each."""
    rows = pd.DataFrame(
        {
            "sched_dep_utc": pd.to_datetime(["2013-04-19T00:30Z", "2013-04-18T12:00Z"], utc=True),
            "carrier": ["UA", "B6"],
            "flight": [1545, 725],
            "origin": ["EWR", "JFK"],
        }
    )
    expect(subject.flight_names(rows), ["2013-04-18/UA/1545/EWR", "2013-04-18/B6/725/JFK"])
