"""Faults that drills put into the label feed: each changes its files, and keeps their columns."""

import pandas as pd
import pytest

from exercises.drills import labels
from pipeline.monitor.performance.delayed_labels import LABEL_COLUMNS, DelayedLabel, feed_table

DAYS = pd.date_range("2013-02-11", "2013-02-24", tz="UTC")


@pytest.fixture
def files():
    """Two weeks of files, each with 30 flights of two carriers a day."""
    return {day + pd.Timedelta(hours=34): feed_table(_labels_of(day)) for day in DAYS}


def _labels_of(day):
    known = day + pd.Timedelta(hours=20)
    return [
        DelayedLabel(f"{day:%Y-%m-%d}/{carrier}/{number}/JFK", 1, number % 2, known, known)
        for carrier in ("UA", "B6")
        for number in range(15)
    ]


@pytest.mark.parametrize("fault", labels.FAULTS)
def test_a_fault_of_labels_changes_the_files_and_keeps_their_columns(files, fault):
    changed = labels.FAULTS[fault](files)
    assert {tuple(file) for file in changed.values()} == {tuple(LABEL_COLUMNS)}
    whole, before = (pd.concat(of, ignore_index=True) for of in (changed, files))
    assert list(changed) != list(files) or not whole.equals(before)


def test_flipped_labels_are_those_of_one_carriers_week(files):
    both = zip(labels.FAULTS["poisoned"](files).values(), files.values(), strict=True)
    changed = pd.concat(now[now["late"] != then["late"]] for now, then in both)
    carrier, week = labels.POISONED
    assert set(changed["flight"].str.split("/").str[1]) == {carrier}
    assert changed["flight"].str[:10].min() == week
    assert len(changed) == 7 * 15
