"""Drift from daily counts is Evidently's figure, and a window is no more than a sum of days."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.monitor.inputs.drift import CATEGORIES, measure
from pipeline.monitor.inputs.psi import (
    LEAST_SHARE,
    count_bins,
    family_limit,
    make_bins,
    psi,
    trailing,
)

pytestmark = pytest.mark.answer("data-drift")


def by_hand(old, new):
    """The PSI of two lists of bins, a list element each; plain Python, zeros as Evidently's."""
    keys = {*old, *new}
    shares = []
    for side in (old, new):
        counts = Counter(side)
        found = {key: counts[key] / len(side) for key in keys}
        least = min(share for share in found.values() if share)
        fill = least / 1e6 if least <= 1e-4 else 1e-4
        shares.append({key: share or fill for key, share in found.items()})
    return sum((shares[1][k] - shares[0][k]) * math.log(shares[1][k] / shares[0][k]) for k in keys)


def whole(reference, current, day=None):
    """Each column's PSI of all rows of `current`, by name."""
    bins = make_bins(reference, current, CATEGORIES)
    before = count_bins(reference, np.zeros(len(reference)), bins)
    after = count_bins(current, np.zeros(len(current)) if day is None else day, bins)
    found = psi(before, after, np.ones((1, len(after.days))))[0]
    return dict(zip(reference, found.tolist(), strict=True))


def table(rows, seed, moved=0.0):
    chance = np.random.default_rng(seed)
    seldom = np.arange(rows) % 4 == 0  # on both sides the same share
    return pd.DataFrame(
        {
            "many values": chance.normal(moved, 1, rows).astype("float32"),
            "few values": chance.integers(0, 7, rows).astype("float32") + (moved > 0),
            "missing values": np.where(seldom, np.nan, chance.exponential(1 + moved, rows)),
            "a value of the reference": np.where(np.arange(rows) < 500 * (not moved), 1.0, 0.0),
            "a share below the least": np.where(
                np.arange(rows) < (0 if moved else 1), 3.0, np.arange(rows) % 3
            ),
            "carrier": chance.choice(["UA", "B6", "EV"], rows, p=[0.5, 0.3, 0.2]),
            "origin": chance.choice(["EWR", "JFK"] if moved else ["EWR", "LGA"], rows),
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("moved", [0.0, 0.4], ids=["nothing moved", "much moved"])
def test_the_figure_of_a_window_is_evidentlys_own_column_by_column(
    moved, record_property: Callable[[str, object], None]
):
    reference, current = table(20_000, 0), table(12_000, 1, moved)
    theirs = measure(reference, current, html=False)
    ours = whole(reference, current)
    assert set(theirs) == set(reference)
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    record_property("columns whose PSI from daily counts is Evidently's own", len(ours))
    farthest = max(theirs.values())
    record_property(f"largest of these PSI, where {'much' if moved else 'nothing'} moved", farthest)


@pytest.mark.parametrize("name", ["few values", "carrier", "origin", "a share below the least"])
@pytest.mark.parametrize("moved", [0.0, 0.4])
def test_the_figure_of_categories_is_the_one_worked_out_by_hand(name, moved):
    reference, current = table(20_000, 0), table(12_000, 1, moved)
    expected = by_hand(reference[name].tolist(), current[name].tolist())
    assert whole(reference, current)[name] == pytest.approx(expected)


def test_numbers_fall_into_bins_of_equal_width_by_sturges_rule():
    old = np.r_[np.arange(63.0), 64.0]  # eight bins for 128 values; some lie on their edges
    new = np.r_[np.arange(0.0, 64.0, 2), np.arange(32.0)]
    places = [[min(int(value / 8), 7) for value in side] for side in (old, new)]
    found = whole(pd.DataFrame({"x": old}), pd.DataFrame({"x": new}))["x"]
    assert found == pytest.approx(by_hand(*places))


@pytest.mark.parametrize("kept", [0.75, 0.5, 0.0])
def test_a_feed_that_loses_values_moves_as_far_as_from_there_to_missing(kept):
    reference = pd.DataFrame({"x": np.tile(np.arange(25.0), 40)})
    current = reference.where(np.arange(1_000)[:, None] % 4 < 4 * kept)
    there = ["there"] * round(1_000 * kept) + ["missing"] * round(1_000 * (1 - kept))
    found = whole(reference, current)["x"]
    assert found == pytest.approx(by_hand(["there"] * 1_000, there))
    assert found > 0.2


def test_what_is_missing_on_both_sides_alike_has_not_moved():
    table = pd.DataFrame({"x": np.where(np.arange(900) % 3 == 0, np.nan, np.arange(900.0))})
    assert whole(table, table)["x"] == 0


def test_a_column_without_any_value_has_not_moved():
    nothing = pd.DataFrame({"x": np.full(10, np.nan)})
    assert whole(nothing, nothing)["x"] == 0


# Windows.


DAYS = np.repeat(np.arange(60), 50)


@pytest.fixture
def sixty_days():
    reference, current = table(5_000, 0), table(3_000, 1, 0.2)
    bins = make_bins(reference, current, CATEGORIES)
    return reference, current, bins, count_bins(reference, np.zeros(5_000), bins)


def test_a_trailing_window_is_what_its_days_come_to_alone(sixty_days):
    _, current, bins, before = sixty_days
    after = count_bins(current, DAYS, bins)
    looks = [6, 27, 40, 59]
    found = psi(before, after, trailing(after.days, looks, 28))
    for look, ours in zip(looks, found, strict=True):
        inside = (look >= DAYS) & (look - 28 < DAYS)
        alone = count_bins(current[inside], DAYS[inside], bins)
        expected = psi(before, alone, np.ones((1, len(alone.days))))[0]
        assert ours == pytest.approx(expected)


def test_a_window_holds_so_many_days_and_ends_with_its_look():
    days = np.array([1, 2, 3, 5, 6])
    assert trailing(days, [3, 6], 3).tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]


def test_a_day_that_is_drawn_twice_counts_twice(sixty_days):
    _, current, bins, before = sixty_days
    current, days = current[:150], DAYS[:150]
    twice = pd.concat([current, current[days == 1]])
    found = psi(before, count_bins(current, days, bins), np.array([[1.0, 2.0, 1.0]]))
    expected = psi(before, count_bins(twice, np.r_[days, [1] * 50], bins), np.ones((1, 3)))
    assert found == pytest.approx(expected)


# What all columns together exceed by chance.


def family(columns, limits=None, window_days=28, block_days=7, chance=0.05, draws=400, days=None):
    table = pd.DataFrame(columns)
    days = np.arange(len(table)) if days is None else days
    kept = count_bins(table, days, make_bins(table, table, list(columns)))
    limits = dict.fromkeys(columns, 0.2) if limits is None else limits
    return family_limit(kept, limits, window_days, block_days, draws, chance, seed=0)


HALF = by_hand(["a", "b"] * 1_000, ["a"])
"""From half and half to one of the two."""


def test_a_window_of_one_of_two_opposite_days_is_always_as_far_as_worked_out_by_hand():
    assert family({"x": ["a", "b"]}, window_days=1, block_days=1) == pytest.approx(HALF / 0.2)
    assert pytest.approx((1 - 0.5) * math.log(2) + (0.5 - LEAST_SHARE) * math.log(5_000)) == HALF


def test_a_window_of_the_whole_reference_has_not_moved():
    assert family({"x": ["a", "b"]}, window_days=2, block_days=2) == 0


def test_a_window_holds_no_more_days_than_it_is_told_though_its_last_block_goes_on():
    assert family({"x": ["a", "b"]}, window_days=1, block_days=2) == pytest.approx(HALF / 0.2)


def test_of_four_windows_the_far_ones_are_exceeded_as_often_as_they_are_drawn():
    two = {"x": ["a", "b"]}  # aa, ab, ba and bb, a quarter each: half of them have not moved
    assert family(two, window_days=2, block_days=1, chance=0.4) == pytest.approx(HALF / 0.2)
    assert family(two, window_days=2, block_days=1, chance=0.6) == 0


@pytest.fixture(scope="module")
def noise():
    chance = np.random.default_rng(0)
    bad = np.repeat(chance.random(50) < 0.3, 40)
    return {
        "x": np.where(bad, "late", chance.choice(["a", "b"], 2_000)),
        "y": chance.choice(list("abcde"), 2_000),
    }, np.repeat(np.arange(50), 40)


def test_a_rarer_alarm_asks_for_more(noise):
    columns, days = noise
    found = [family(columns, days=days, chance=c) for c in (0.5, 0.2, 0.05, 0.01)]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_half_the_limit_is_twice_the_factor(noise):
    columns, days = noise
    halved = family(columns, dict.fromkeys(columns, 0.1), days=days)
    assert halved == pytest.approx(2 * family(columns, days=days))


def test_more_columns_exceed_more_and_those_without_a_limit_count_for_nothing(noise):
    columns, days = noise
    alone = family({"y": columns["y"]}, days=days)
    both = family(columns, days=days)
    assert both >= family({"x": columns["x"]}, days=days) > alone
    assert family(columns, {"y": 0.2}, days=days) == alone


def test_days_that_follow_each_other_alike_move_windows_farther(noise):
    weeks = np.repeat(np.random.default_rng(1).choice(list("ab"), 8), 7 * 20)
    days = np.repeat(np.arange(56), 20)
    single = family({"x": weeks}, days=days, block_days=1, window_days=14)
    assert family({"x": weeks}, days=days, block_days=7, window_days=14) > 1.5 * single


def test_the_same_seed_draws_the_same_windows(noise):
    columns, days = noise
    assert family(columns, days=days) == family(columns, days=days)
