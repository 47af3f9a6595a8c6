"""Labels against the departure-late flag: poisoned ones are refused by carrier and week."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.features import windows
from pipeline.flights.names import flight_names
from pipeline.monitor.performance.label_checks import (
    group_weeks,
    is_distrusted,
    label_agreement,
    require_agreement,
)
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.errors import LabelsRefused

pytestmark = pytest.mark.answer("delayed-labels")
RULE = load(MonitorConfig).outcome


@pytest.fixture(scope="module")
def winter(published):
    """The real flights of January to March with label and flag."""
    rows = windows.requests(published["flights"], load(FeaturesConfig))
    return rows.assign(flight=flight_names(rows))[["flight", "late", "dep_late"]]


def _week_of(frame: pd.DataFrame, carrier: str, week: str) -> pd.Series:
    of = group_weeks(frame["flight"])
    return (of["group"] == carrier) & (of["week"] == week)


def test_the_agreement_is_what_a_loop_over_flights_counts(winter):
    some = winter.sample(5_000, random_state=0)
    counts: dict[tuple[str, str], list[int]] = {}
    for flight, late, flag in some.itertuples(index=False):
        date = pd.Timestamp(flight[:10])
        monday = f"{date - pd.Timedelta(days=date.dayofweek):%Y-%m-%d}"
        cell = counts.setdefault((flight.split("/")[1], monday), [0, 0, 0, 0, 0])
        cell[0] += 1
        cell[1] += late == flag
        cell[2] += flag
        cell[3] += flag and late == flag
    for week in label_agreement(some, RULE):
        flights, equal, left_late, both, _ = counts.pop((week.group, week.week))
        assert (week.rows, week.agreement) == (flights, round(equal / flights, 4))
        others = flights - left_late
        if min(left_late, others) >= RULE.agreement_min_each:
            balanced = (both / left_late + (equal - both) / others) / 2
            assert week.balanced == round(balanced, 4)
        else:
            assert week.balanced is None
    assert not counts


def test_no_clean_week_of_a_winter_is_distrusted(
    winter, record_property: Callable[[str, object], None]
):
    weeks = label_agreement(winter, RULE)
    trusted, doubted = (sum(w.trusted is told for w in weeks) for told in (True, False))
    assert trusted > 100
    require_agreement(weeks, RULE)
    assert not is_distrusted(winter["flight"], weeks).any()
    assert doubted == 0
    told = f"of {trusted + doubted} weeks of a carrier whose real labels are distrusted"
    record_property(told, doubted)


@pytest.mark.parametrize(("carrier", "week"), [("UA", "2013-02-11"), ("VX", "2013-01-14")])
def test_a_flipped_week_is_refused_by_carrier_week_and_two_numbers(winter, carrier, week):
    of = _week_of(winter, carrier, week)
    poisoned = winter.assign(late=np.where(of, 1 - winter["late"], winter["late"]))
    weeks = label_agreement(poisoned, RULE)
    with pytest.raises(
        LabelsRefused, match=rf"in 1 carrier-week.*{carrier} in the week of {week}: 0\.\d"
    ):
        require_agreement(weeks, RULE)
    assert (is_distrusted(winter["flight"], weeks) == of).all()


@pytest.mark.parametrize("says", [0, 1])
def test_labels_that_all_say_the_same_are_refused_though_most_may_be_right(winter, says):
    of = _week_of(winter, "UA", "2013-02-11")
    poisoned = winter.assign(late=np.where(of, says, winter["late"]))
    (week,) = [w for w in label_agreement(poisoned, RULE) if w.trusted is False]
    assert (week.group, week.week, week.balanced) == ("UA", "2013-02-11", 0.5)
    assert (week.agreement > RULE.min_agreement) == (says == 0)


def test_too_few_flights_say_nothing(winter):
    some = winter[_week_of(winter, "UA", "2013-02-11")].iloc[: RULE.agreement_min_rows - 1]
    (week,) = label_agreement(some.assign(late=1 - some["late"]), RULE)
    assert week.trusted is None
    require_agreement([week], RULE)


def test_a_flight_without_a_flag_or_a_label_is_not_counted(winter):
    some = winter[_week_of(winter, "UA", "2013-02-11")].astype({"late": "float64"})
    holes = some.assign(late=some["late"].where(np.arange(len(some)) % 2 == 0))
    (week,) = label_agreement(holes, RULE)
    assert week.rows == (len(some) + 1) // 2
