"""The stories of an interview are those that `make run` printed and the year recorded."""

import json
import re

import pandas as pd
import pytest

from docs.pages import find, readable
from tests.rules import tree

pytestmark = pytest.mark.answer("star-stories")
RUN = " ".join(tree.read("docs/run.txt").split())
EVENTS = re.findall(r"(\d)\. (?:to )?(2013-\d\d(?:-\d\d)?) (.*?)(?= \d\. (?:to )?2013|$)", RUN)
PAGE = " ".join(readable(find("star-stories").text).split())
NUMBERS = dict(enumerate("five six seven eight nine ten eleven twelve".split(), 5))
LOOP = json.loads(tree.read("benchmarks/loop.json"))


def event(words):
    """The date and the text of the one event that holds some words."""
    ((_, date, text),) = [one for one in EVENTS if words in one[2]]
    return pd.Timestamp(date), text


def test_it_is_told_in_the_order_of_its_dates():
    assert [number for number, *_ in EVENTS] == [str(n + 1) for n in range(len(EVENTS))]
    dates = [pd.Timestamp(date) for _, date, _ in EVENTS[:-1]]
    assert dates == sorted(dates)


def test_every_check_before_the_loss_held_and_the_loss_is_one_of_late_june():
    _, text = event("quiet weeks")
    held, checks = map(int, re.findall(r"(\d+) of (\d+) checks hold", text)[0])
    assert held == checks > 3
    at, text = event("the outcome falls")
    assert pd.Timestamp("2013-06-17") <= at <= pd.Timestamp("2013-06-30")
    found, limit = map(float, re.findall(r"log loss is \+(\d\.\d+) .* limit (\d\.\d+);", text)[0])
    assert found > limit


def test_the_retrained_model_won_by_its_bound_and_was_promoted_in_the_days_said(record_property):
    trained, text = event("trained anew")
    point, bound = map(
        float, re.findall(r"log loss is (-\d\.\d+) \(97\.5% bound (-\d\.\d+)\)", text)[0]
    )
    assert point < bound < 0
    promoted, text = event("canary: promoted")
    days = NUMBERS[(promoted - trained).days]
    assert len(re.findall(rf"(?i)\b{days}\s+days", PAGE)) == 3
    failed, requests = re.findall(r"failed (\d+) of ([\d,]+) requests", text)[0]
    assert (failed, int(requests.replace(",", "")) > 1000) == ("0", True)
    record_property("days from the alert to the promotion", (promoted - trained).days)


def test_the_slow_release_met_as_many_requests_as_are_said(record_property):
    _, text = event("INJECTED: a slow challenger")
    met = int(re.findall(r"rolled back: after (\d+) requests", text)[0])
    assert f"It had answered {met} requests" in PAGE
    record_property("requests that met the slow release", met)


def test_the_month_in_kilometres_was_refused_by_the_shift_of_a_mean():
    _, text = event("INJECTED: a month in kilometres")
    assert re.search(r"refused: mean-shift of distance found \d+", text)


def test_the_loop_beats_a_champion_that_is_never_retrained_and_only_data_were_refused():
    assert LOOP["against_never"]["high"] < 0
    others = [one["result"] for one in LOOP["attempts"] if one["result"] != "promoted"]
    assert others == ["refused data"]
    assert LOOP["promotions"] + len(others) == LOOP["checks"]["retrain"]
    assert len(LOOP["surely_harmful"]) == 1, "so the page says"
