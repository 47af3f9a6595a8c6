from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.flights.names import flight_names
from pipeline.monitor.predictions import days_of
from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import WHOLE, Move, Side
from pipeline.retrain.replayed_predictions import ReplayedYear, serves_all
from pipeline.rollout.traffic.routes import Route, arm_of
from tests.builders import feature_rows

pytestmark = pytest.mark.answer("closed-loop")

OLD, NEW = (Side(version=v, release=v * 64, features="f") for v in ("1", "2"))
CANARY = {"challenger": 2_500, "champion": 5_000, "control": 2_500}


def instant(text):
    return datetime.fromisoformat(f"2013-{text}").replace(tzinfo=UTC)


BEGINS = instant("03-02 10:00")


@pytest.fixture
def year():
    frame = feature_rows(2_000, first="2013-03-01", days=20).sort_values("predict_at")
    frame = frame.reset_index(drop=True).assign(name=flight_names)
    columns = ["carrier", "origin", "dest", "predict_at"]
    base = frame[columns].assign(flight=frame["name"], request_id=frame["name"], source="batch")
    risks = {side.release: np.full(len(frame), place / 10) for place, side in ((1, OLD), (2, NEW))}
    return ReplayedYear(frame, days_of(frame["name"]), base, risks)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def moved(path, at, event, shares, salt="salt"):
    move = Move(
        at=at,
        event=event,
        rollout="0002-canary",
        champion=OLD,
        challenger=None if event == "registered" else NEW,
        shares=shares,
        salt=salt,
        by="a test",
    )
    rollout_ledger.append(move, path)


def story(path, end="promoted"):
    moved(path, BEGINS, "registered", {"champion": WHOLE})
    moved(path, instant("03-05 05:00"), "canary", CANARY)
    after = {"challenger": WHOLE} if end == "promoted" else {"champion": WHOLE}
    moved(path, instant("03-09 15:00"), end, after)
    return rollout_ledger.entries(path)


def everything(year):
    return year.between("2013-01-01", "2013-12-31")


def test_every_flight_is_answered_once_by_whom_the_ledger_names(
    year, path, record_property: Callable[[str, object], None]
):
    rows = year.predictions(story(path), everything(year))
    at = rows["predict_at"]
    assert not rows["flight"].duplicated().any()
    assert set(rows["flight"]) == set(year.base.loc[year.frame["predict_at"] > BEGINS, "flight"])
    assert set(rows.loc[at <= instant("03-05 05:00"), "version"]) == {"1"}
    assert set(rows.loc[at > instant("03-09 15:00"), "version"]) == {"2"}
    assert at.is_monotonic_increasing
    record_property("flights answered, each once and by whom the ledger names", len(rows))


def test_within_a_canary_it_is_the_arm_that_the_proxy_assigns(
    year, path, record_property: Callable[[str, object], None]
):
    rows = year.predictions(story(path), everything(year))
    within = rows[rows["predict_at"].between(instant("03-05 05:01"), instant("03-09 15:00"))]
    route = Route({str(arm): share for arm, share in CANARY.items()}, "salt")
    arms = within["flight"].map(lambda name: arm_of(name, route))
    assert (within["version"] == np.where(arms == "challenger", "2", "1")).all()
    assert 0.15 < (within["version"] == "2").mean() < 0.35
    assert within.groupby("version")["risk"].first().to_dict() == {"1": 0.1, "2": 0.2}
    record_property("flights answered within the canary, each by the proxy's arm", len(within))


def test_at_the_minute_of_a_transition_the_one_before_still_answers(year, path):
    at = year.frame["predict_at"].iloc[1_500]
    moved(path, BEGINS, "registered", {"champion": WHOLE})
    moved(path, at.to_pydatetime(), "promoted", {"challenger": WHOLE})
    rows = year.predictions(rollout_ledger.entries(path), everything(year))
    assert set(rows.loc[rows["predict_at"] == at, "version"]) == {"1"}
    assert set(rows.loc[rows["predict_at"] > at, "version"]) == {"2"}


@pytest.mark.parametrize(
    ("entries", "version", "since"),
    [(1, "1", "2013-03-03"), (2, "1", "2013-03-03"), (3, "2", "2013-03-10")],
    ids=["alone", "within the canary", "after it"],
)
def test_who_serves_all_and_since_which_whole_day(path, entries, version, since):
    side, first = serves_all(story(path)[:entries])
    assert (side.version, first) == (version, since)


def test_a_champion_that_was_never_gone_has_served_since_its_beginning(path):
    side, first = serves_all(story(path, end="rolled back"))
    assert (side.version, first) == ("1", "2013-03-03")
