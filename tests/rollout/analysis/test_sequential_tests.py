from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, stats

from benchmarks.shadows import log_e_days
from pipeline.rollout.analysis.group_sequential import interval_end, limits, p_above
from pipeline.rollout.analysis.sequential_tests import (
    first_alarm,
    log_e_mean,
    log_e_more,
    log_e_ratio,
    mean_interval,
    mean_process,
    p_anytime,
    ratio_interval,
    share_interval,
)

pytestmark = pytest.mark.answer("canary-decides")

LOOKS = (7, 14, 21, 28)
SHARES = pytest.mark.parametrize("share", [0.5, 0.25, 2 / 3])


# Bad events.


@SHARES
@pytest.mark.parametrize("events", [0, 1, 5, 20, 60])
def test_the_mean_of_e_is_exactly_one_where_the_arms_are_alike(share, events):
    k = np.arange(events + 1)
    chance = stats.binom.pmf(k, events, share)
    assert chance @ np.exp(log_e_more(k, events - k, share)) == pytest.approx(1, abs=1e-9)
    assert chance @ np.exp(log_e_ratio(k, events - k, 100, share)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
def test_the_mean_of_e_is_below_one_where_the_challenger_is_better(share):
    k = np.arange(31)
    assert stats.binom.pmf(k, 30, share) @ np.exp(log_e_more(k, 30 - k)) < 1


@SHARES
@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (9, 0), (0, 9), (12, 7), (40, 55)])
def test_e_is_the_likelihood_averaged_over_larger_shares(share, ours, theirs):
    def ratio(of):
        return (of / share) ** ours * ((1 - of) / (1 - share)) ** theirs

    area, _ = integrate.quad(ratio, share, 1, epsabs=0, epsrel=1e-10)
    expected = area / (1 - share)
    found = np.exp(log_e_more(np.array(ours), np.array(theirs), share))
    assert found == pytest.approx(min(expected, 1) if expected < 1 else expected, rel=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (30, 10), (480, 520)])
def test_the_ratios_e_is_the_likelihood_averaged_over_its_prior(ours, theirs):
    def ratio(of):
        return stats.beta.pdf(of, 50, 50) * np.exp(
            ours * np.log(2 * of) + theirs * np.log(2 * (1 - of))
        )

    expected, _ = integrate.quad(ratio, 0, 1, points=[0.5], epsrel=1e-10)
    found = log_e_ratio(np.array(ours), np.array(theirs), 100)
    assert np.exp(found) == pytest.approx(expected, rel=1e-6)


def ever(log_e, alpha, events):
    """The exact chance that an e-process of counts reaches 1/alpha within so many fair events."""
    alive, crossed = np.array([1.0]), 0.0
    for n in range(1, events + 1):
        alive = (np.append(alive, 0) + np.append(0, alive)) / 2
        k = np.arange(n + 1)
        over = log_e(k, n - k) >= -np.log(alpha)
        crossed += alive[over].sum()
        alive = np.where(over, 0, alive)
    return crossed


@pytest.mark.parametrize("alpha", [0.05, 0.015, 0.005])
def test_alike_arms_ever_alarm_in_at_most_alpha_however_often_one_looks(
    alpha, record_property: Callable[[str, object], None]
):
    alarmed = ever(log_e_more, alpha, 400)
    assert alpha / 4 < alarmed <= alpha
    record_property(f"exact chance that alike arms ever alarm, alpha {alpha}", alarmed)
    assert alpha / 8 < ever(lambda k, m: log_e_ratio(k, m, 100), alpha, 1500) <= alpha


def test_a_fixed_test_looked_at_after_each_event_alarms_far_more_often_than_it_says(
    record_property: Callable[[str, object], None],
):
    def naive(k, m):
        z = (k - m) / np.sqrt(np.maximum(k + m, 1))
        return np.where((k + m >= 5) & (z > 1.645), 9, -9)

    alarmed = ever(naive, 0.05, 400)
    assert alarmed > 0.3
    record_property(
        "exact chance that a fixed test at 0.05 does, looked at after each event", alarmed
    )


@pytest.mark.parametrize(
    ("alpha", "needed"), [(0.05, [7, 10, 12]), (0.015, [9, 12, 15]), (0.005, [11, 14, 17])]
)
def test_it_takes_about_ten_bad_requests_whatever_the_rate(alpha, needed):
    k = np.arange(60)
    found = [first_alarm(log_e_more(k, np.full(60, control)), alpha) for control in (0, 1, 2)]
    assert found == needed


def test_a_control_that_fails_a_thousand_times_is_no_evidence_against_the_challenger():
    assert log_e_more(np.array(0), np.array(5000)) <= 0
    assert log_e_more(np.array(100), np.array(5000)) <= 0


def test_a_p_is_one_without_events_and_never_rises_again():
    assert p_anytime(np.zeros(0)) == 1
    assert p_anytime(np.array([-3.0])) == 1
    assert p_anytime(np.array([1.0, 3.0, -5.0])) == pytest.approx(np.exp(-3))


def test_an_alarm_is_the_first_time_that_e_reaches_one_over_alpha():
    log_e = np.log([1, 19, 20.1, 3, 50])
    assert first_alarm(log_e, 0.05) == 2
    assert first_alarm(log_e, 0.01) is None


@pytest.mark.parametrize(("ours", "theirs"), [(8, 0), (9, 0), (11, 1), (12, 1), (60, 25), (5, 5)])
def test_the_lower_end_is_above_one_half_just_where_the_evidence_alarms(ours, theirs):
    low, high = share_interval(ours, theirs, 0.015)
    alarms = log_e_more(np.array(ours), np.array(theirs)) >= -np.log(0.015)
    assert (low >= 0.5) is bool(alarms)
    assert low <= ours / (ours + theirs) <= high


def test_intervals_mirror_each_other_narrow_with_evidence_and_say_nothing_without():
    assert share_interval(0, 0, 0.05) == (0.0, 1.0)
    low, high = share_interval(30, 20, 0.05)
    assert share_interval(20, 30, 0.05) == pytest.approx((1 - high, 1 - low))
    wide, narrow = ratio_interval(50, 50, 100, 0.05), ratio_interval(5000, 5000, 100, 0.05)
    assert wide[0] < narrow[0] < 0.5 < narrow[1] < wide[1]
    assert ratio_interval(6000, 4000, 100, 0.05)[0] > 0.5


# Means.


def dealt(rows, seed):
    chance = np.random.default_rng(seed)
    return chance.beta(1, 3, rows), chance.random(rows) < 0.5


def test_the_mean_process_is_what_a_loop_over_requests_computes():
    score, mine = dealt(600, 1)
    found = mean_process(score, mine, 0.05, 500, 100)
    for i in (150, 300, 599):
        ours, theirs = score[: i + 1][mine[: i + 1]], score[: i + 1][~mine[: i + 1]]
        n, m = len(ours), len(theirs)
        z = (ours.mean() - theirs.mean()) / np.sqrt(ours.var() / n + theirs.var() / m)
        expected = log_e_mean(np.array(z), np.array(2 * n * m / (n + m)), 0.05, 500)
        assert found[i] == pytest.approx(expected if min(n, m) >= 100 else 0)
    assert (found[:199] == 0).all()


def test_the_means_e_averages_to_one_over_a_normal_z():
    z = np.linspace(-37, 37, 40_001)
    e = np.exp(log_e_mean(z, np.full(len(z), 700), 0.05, 500))
    assert integrate.trapezoid(e * stats.norm.pdf(z), z) == pytest.approx(1, abs=1e-6)


def test_equal_mean_risks_ever_alarm_in_at_most_alpha_and_a_shift_of_a_twentieth_soon(
    record_property: Callable[[str, object], None],
):
    alarms = [
        first_alarm(mean_process(*dealt(2000, seed), 0.05, 500, 100), 0.05) for seed in range(400)
    ]
    false = sum(at is not None for at in alarms)
    assert false / 400 <= 0.05
    record_property("false alarms of 400 simulated canaries whose risks are alike", false)
    score, mine = dealt(4000, 5)
    assert first_alarm(mean_process(score + 0.05 * mine, mine, 0.005, 500, 100), 0.005) < 2500


def test_identical_constants_are_no_evidence_and_different_ones_are_all_there_can_be():
    mine = np.arange(400) % 2 == 0
    assert p_anytime(mean_process(np.full(400, 0.3), mine, 0.05, 500, 100)) == 1
    apart = mean_process(np.where(mine, 0.3, 0.4), mine, 0.05, 500, 100)
    assert p_anytime(apart) == 0
    assert mean_process(np.zeros(0), np.zeros(0, dtype=bool), 0.05, 500, 100).size == 0


def test_the_means_interval_leaves_zero_out_just_where_e_alarms():
    score, mine = dealt(1500, 2)
    for shift in (0.0, 0.01, 0.03, 0.04, 0.05, 0.1):
        moved = score + shift * mine
        low, high = mean_interval(moved[mine], moved[~mine], 0.05, 500)
        alarms = mean_process(moved, mine, 0.05, 500, 100)[-1] >= -np.log(0.05)
        assert (low > 0 or high < 0) is bool(alarms)


# Looks.


def test_the_limits_are_those_of_the_published_kind():
    assert limits(LOOKS, 0.05) == pytest.approx([0.0001, 0.0054, 0.0218, 0.0426], abs=2e-4)
    assert limits(LOOKS, 0.025) == pytest.approx([0.00001, 0.0015, 0.0091, 0.0219], abs=2e-4)


@pytest.mark.long
@pytest.mark.parametrize(("looks", "alpha"), [(LOOKS, 0.05), (LOOKS, 0.025), ((3, 5, 20), 0.1)])
def test_the_limits_spend_what_a_multivariate_normal_says(looks, alpha):
    """An oracle that shares no code: the chance to stay below every limit, from scipy's own."""
    times = np.array(looks) / looks[-1]
    corr = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    z = stats.norm.isf(limits(looks, alpha))
    for k in range(1, len(looks) + 1):
        inside = stats.multivariate_normal(
            cov=corr[:k, :k], abseps=1e-8, releps=1e-8, maxpts=1_000_000, seed=0
        ).cdf(z[:k])
        spent = 2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(times[k - 1]))
        assert 1 - inside == pytest.approx(spent, abs=2e-5)


def test_one_look_has_all_of_alpha_and_a_very_early_one_next_to_nothing():
    assert limits((28,), 0.05) == pytest.approx([0.05])
    first, *_, last = limits((3, 84, 168), 0.05)
    assert 0 <= first < 1e-30
    assert 0.04 < last < 0.05


def test_alike_models_are_called_worse_in_alpha_of_normal_worlds():
    chance = np.random.default_rng(0)
    cut, called = limits(LOOKS, 0.05), 0
    for _ in range(1500):
        days = chance.normal(0, 1, 28)
        called += any(p_above(days[:n], 0.0) < p for n, p in zip(LOOKS, cut, strict=True))
    assert called / 1500 == pytest.approx(0.05, abs=0.018)


def test_a_days_p_is_that_of_students_test():
    days = np.random.default_rng(3).normal(0.01, 0.02, 21)
    expected = stats.ttest_1samp(days, 0.005, alternative="greater").pvalue
    assert p_above(days, 0.005) == pytest.approx(expected)


def test_days_that_are_all_alike_leave_no_doubt():
    same = np.full(7, 0.0)
    assert p_above(same, 0.005) == 1
    assert p_above(-same, -0.010) == 0
    assert p_above(np.full(7, 0.1 + 0.2), 0.1) == 0
    assert p_above(np.full(7, 0.1), 0.1) == 1
    assert interval_end(same, 0.05) == 0


@pytest.mark.parametrize("p", [0.0001, 0.0219, 0.05])
def test_the_end_of_the_interval_is_the_margin_that_is_just_not_excluded(p):
    days = np.random.default_rng(4).normal(0.01, 0.02, 14)
    assert p_above(days, interval_end(days, p)) == pytest.approx(p, rel=1e-6)
    assert p_above(-days, interval_end(-days, p)) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_dashboards_e_is_the_noncentral_t_averaged_over_its_prior(seed):
    days = np.random.default_rng(seed).normal(0.2 * seed - 0.2, 1, 12)
    found = np.exp(log_e_days(days, 0.1))
    for n in (2, 5, 12):
        x = days[:n] - 0.1
        t = x.mean() * np.sqrt(n) / x.std(ddof=1)

        def weighed(d, t=t, n=n):
            prior = 2 * stats.norm.pdf(d, 0, np.sqrt(0.3))
            return prior * stats.nct.pdf(t, n - 1, d * np.sqrt(n))

        expected = integrate.quad(weighed, 0, 8, epsabs=1e-12)[0] / stats.t.pdf(t, n - 1)
        assert found[n - 1] == pytest.approx(expected, rel=1e-4)


def test_the_dashboards_e_survives_days_that_are_all_alike():
    assert np.isfinite(log_e_days(np.zeros(5), 0.0)).all()
    assert log_e_days(np.full(10, 0.1), 0.0)[-1] > np.log(20)
    assert log_e_days(np.full(10, -0.1), 0.0)[-1] < 0
