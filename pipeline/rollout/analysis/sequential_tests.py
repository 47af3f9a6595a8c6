"""Sequential tests, valid at any number of analyses: bad requests, sample ratio, mean risks.

Each follows an e-process: its mean is at most 1 at any stopping time, if challenger and baseline
("control") are alike. So it reaches 1/alpha in at most a share alpha of rollouts (Ville), and 1
over its largest value so far is a p that stays valid under continuous monitoring.

With arms of equal size, chosen by a hash, a bad request falls into either with probability one half
however storms cluster; given their number, the challenger's are binomial. The mixture over larger
shares is that of Robbins (1970), for counts as in Lindon and Malek (NeurIPS 2022); for means the
normal mixture of Johari et al. (Operations Research 2022), which needs some hundred requests.
"""

import numpy as np

SHARES = np.arange(1, 1000) / 1000
"""The grid of intervals: thousandths of the events."""


def log_e_more(
    challenger: np.ndarray, control: np.ndarray, share: float | np.ndarray = 0.5
) -> np.ndarray:
    """Log e against "at most `share` of bad events are the challenger's", from cumulative counts.

    A uniform prior on the shares above `share`; e's mean is exactly 1 if the share is just that.
    """
    from scipy.special import betainc, betaln

    ours, theirs = np.asarray(challenger, "float64"), np.asarray(control, "float64")
    above = betainc(theirs + 1, ours + 1, 1 - share)
    mixed = betaln(ours + 1, theirs + 1) + np.log(np.maximum(above, 1e-300)) - np.log(1 - share)
    found = mixed - ours * np.log(share) - theirs * np.log(1 - share)
    # With no more than the share, every larger share is less likely; there `above` may underflow.
    return np.asarray(np.where(ours <= share * (ours + theirs), np.minimum(found, 0.0), found))


def log_e_events(is_challenger: np.ndarray, share: float = 0.5) -> np.ndarray:
    """The log e of `log_e_more` after each event in order."""
    ours = np.cumsum(is_challenger)
    return log_e_more(ours, np.arange(1, len(ours) + 1) - ours, share)


def log_e_ratio(
    challenger: np.ndarray,
    control: np.ndarray,
    concentration: float,
    share: float | np.ndarray = 0.5,
) -> np.ndarray:
    """Log e against "just `share` of the assigned are the challenger's", from cumulative counts.

    The prior is a beta around `share`, worth `concentration` requests; both directions count.
    """
    from scipy.special import betaln

    ours, theirs = np.asarray(challenger, "float64"), np.asarray(control, "float64")
    a, b = concentration * share, concentration * (1 - share)
    likelihood = ours * np.log(share) + theirs * np.log(1 - share)
    return np.asarray(betaln(a + ours, b + theirs) - betaln(a, b) - likelihood)


def log_e_mean(z: np.ndarray, requests: np.ndarray, alpha: float, sharpest_at: int) -> np.ndarray:
    """Log e against "the means are equal", from z scores after so many requests an arm."""
    loss = -2 * np.log(alpha)
    r = (loss + np.log(loss + 1)) / sharpest_at
    spread = requests * r
    return np.asarray(-0.5 * np.log1p(spread) + z**2 * spread / (2 * (1 + spread)))


def p_anytime(log_e: np.ndarray) -> float:
    """The p that is valid at any time: 1 over the largest e so far, at most 1."""
    return float(np.exp(-np.max(log_e, initial=0.0)))


def first_alarm(log_e: np.ndarray, alpha: float) -> int | None:
    """The first index at which an e-process reaches 1/alpha; None if it never does."""
    reached = np.flatnonzero(log_e >= -np.log(alpha))
    return int(reached[0]) if len(reached) else None


def share_interval(challenger: int, control: int, alpha: float) -> tuple[float, float]:
    """The interval for the challenger's share of bad events, valid at any time, each end at alpha.

    The lower end is above one half exactly if the present evidence alarms; (0, 1) without events.
    """
    e_low = _log_e_above(challenger, control)
    e_high = _log_e_above(control, challenger)
    return _lowest(e_low, alpha), round(1 - _lowest(e_high, alpha), 3)


def ratio_interval(
    challenger: int, control: int, concentration: float, alpha: float
) -> tuple[float, float]:
    """The interval for the challenger's share of requests: shares that no e of 1/alpha excludes."""
    log_e = log_e_ratio(np.array(challenger), np.array(control), concentration, SHARES)
    kept = SHARES[log_e < -np.log(alpha)]
    return (float(kept[0]), float(kept[-1])) if len(kept) else (0.0, 1.0)


def _log_e_above(ours: int, theirs: int) -> np.ndarray:
    return log_e_more(np.array(ours), np.array(theirs), SHARES)


def _lowest(log_e: np.ndarray, alpha: float) -> float:
    excluded = np.flatnonzero(log_e >= -np.log(alpha))
    return float(SHARES[excluded[-1]]) if len(excluded) else 0.0


def mean_process(
    score: np.ndarray, is_challenger: np.ndarray, alpha: float, sharpest_at: int, least: int
) -> np.ndarray:
    """Log e against equal means after each request in order; 0 below `least` in either arm."""
    ours, theirs = _running_moments(score, is_challenger), _running_moments(score, ~is_challenger)
    counted = np.minimum(ours[0], theirs[0]) >= least
    difference = ours[1] - theirs[1]
    error = np.sqrt(ours[2] / np.maximum(ours[0], 1) + theirs[2] / np.maximum(theirs[0], 1))
    # Two constants: equal ones are no evidence, different ones are conclusive.
    exact = np.where(np.abs(difference) < 1e-12, 0.0, 1e6)
    z = np.where(error > 0, difference / np.where(error > 0, error, 1.0), exact)
    pairs = 2 * ours[0] * theirs[0] / np.maximum(ours[0] + theirs[0], 1)
    return np.where(counted, log_e_mean(z, pairs, alpha, sharpest_at), 0.0)


def _running_moments(
    score: np.ndarray, mine: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = np.cumsum(mine)
    some = np.maximum(count, 1)
    mean = np.cumsum(np.where(mine, score, 0.0)) / some
    square = np.cumsum(np.where(mine, score**2, 0.0)) / some
    variance = np.maximum(square - mean**2, 0.0)
    return count, mean, np.where(variance < 1e-14, 0.0, variance)


def mean_interval(
    ours: np.ndarray, theirs: np.ndarray, alpha: float, sharpest_at: int
) -> tuple[float, float]:
    """The interval for the difference of two mean risks, valid at any time, at 1 - alpha."""
    pairs = 2 * len(ours) * len(theirs) / (len(ours) + len(theirs))
    loss = -2 * np.log(alpha)
    spread = pairs * (loss + np.log(loss + 1)) / sharpest_at
    z = np.sqrt((np.log1p(spread) + loss) * (1 + spread) / spread)
    error = np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
    point = ours.mean() - theirs.mean()
    return float(point - z * error), float(point + z * error)
