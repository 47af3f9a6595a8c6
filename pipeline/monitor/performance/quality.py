"""Performance figures of labelled predictions: scores, calibration, intervals over days.

The events of one day have much in common, so days are the unit of the bootstrap and of a slice's
p-value. A figure that cannot be computed (no label, one class) is None, never 0.
"""

import math

import numpy as np

from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.contracts import Record
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss, roc_auc

TENTHS = 10
_STEPS = 50


class Interval(Record):
    """A figure with the ends of its interval over days."""

    point: float
    low: float
    high: float


class Tenth(Record):
    """A tenth of the labelled rows by risk: what was predicted, and what came."""

    mean_risk: float
    mean_outcome: float
    rows: int


class Figures(Record):
    """Performance figures of some events.

    `rows` have a prediction, `labelled` a label, `late` the label 1; `coverage` is the labelled
    share, and every figure is of labelled rows. Losses are in nats. `expected_log_loss` is what
    the risks themselves expect, `excess` the log loss above it; `gap` is mean outcome less mean
    risk. `ece` is the mean distance of outcome and risk over tenths of the rows by risk; slope
    and intercept are those of a logistic regression of the outcome on the risk's log odds (1 and
    0: calibrated).
    """

    rows: int
    labelled: int
    days: int
    late: int
    coverage: float
    mean_outcome: float | None = None
    mean_risk: float | None = None
    gap: float | None = None
    log_loss: float | None = None
    expected_log_loss: float | None = None
    excess: float | None = None
    roc_auc: float | None = None
    ece: float | None = None
    slope: float | None = None
    intercept: float | None = None


def expected_loss(risk: np.ndarray) -> np.ndarray:
    """The expected log loss of each risk if it is right."""
    sure, never = np.ones(len(risk)), np.zeros(len(risk))
    return np.asarray(risk * log_loss(sure, risk) + (1 - risk) * log_loss(never, risk))


def figures(late: np.ndarray, risk: np.ndarray, day: np.ndarray) -> Figures:
    """The figures of some events; `late` is 1, 0 or NaN (no label yet), `day` codes the day."""
    known = ~np.isnan(late)
    y, p = late[known], risk[known]
    counted = {
        "rows": len(late),
        "labelled": len(y),
        "days": len(np.unique(day[known])),
        "late": int(y.sum()),
        "coverage": _round(len(y) / len(late)) if len(late) else 0.0,
    }
    if not len(y):
        return Figures.model_validate(counted)
    loss, expected = float(log_loss(y, p).mean()), float(expected_loss(p).mean())
    slope, intercept = recalibration(y, p)
    found = {
        "mean_outcome": float(y.mean()),
        "mean_risk": float(p.mean()),
        "gap": float(y.mean() - p.mean()),
        "log_loss": loss,
        "expected_log_loss": expected,
        "excess": loss - expected,
        "roc_auc": roc_auc(y, p),
        "ece": calibration_error(y, p),
        "slope": slope,
        "intercept": intercept,
    }
    return Figures.model_validate(counted | {name: _finite(value) for name, value in found.items()})


def _finite(value: float | None) -> float | None:
    return _round(value) if value is not None and math.isfinite(value) else None


def _round(value: float) -> float:
    return round(float(value), 6)


def calibration_error(late: np.ndarray, risk: np.ndarray) -> float:
    """The mean distance between late share and mean risk over tenths of the rows by risk.

    It is never below 0: noise alone gives a few thousandths on a month, and more on a slice.
    """
    apart = [abs(late[rows].sum() - risk[rows].sum()) for rows in _tenths(risk)]
    return float(sum(apart) / len(late))


def _tenths(risk: np.ndarray) -> list[np.ndarray]:
    """The rows of each tenth of the rows by risk, the lowest first."""
    return np.array_split(np.argsort(risk, kind="stable"), TENTHS)


def calibration(late: np.ndarray, risk: np.ndarray) -> list[Tenth]:
    """Predicted risk beside the outcome, for each tenth of labelled rows by risk."""
    return [
        Tenth(
            mean_risk=_round(risk[rows].mean()),
            mean_outcome=_round(late[rows].mean()),
            rows=len(rows),
        )
        for rows in _tenths(risk)
        if len(rows)
    ]


def recalibration(late: np.ndarray, risk: np.ndarray) -> tuple[float | None, float | None]:
    """Slope and intercept of the outcome on the risk's log odds; None if they cannot be fitted."""
    kept = np.clip(risk, 1e-6, 1 - 1e-6)
    inputs = np.column_stack([np.log(kept / (1 - kept)), np.ones(len(kept))])
    found = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(inputs @ found, -30, 30)))
        curved = inputs.T @ (inputs * (fitted * (1 - fitted))[:, None])
        if np.linalg.cond(curved) > 1e12:
            return None, None  # one class, or one risk
        step = np.linalg.solve(curved, inputs.T @ (late - fitted))
        found = found + step
        if np.abs(step).max() < 1e-9:
            return float(found[0]), float(found[1])
    return None, None


def intervals(
    late: np.ndarray, risk: np.ndarray, day: np.ndarray, bootstrap: Bootstrap
) -> dict[str, Interval]:
    """Log loss, excess, gap and ROC AUC of labelled rows, each with its interval over days."""
    loss = log_loss(late, risk)
    means = {
        "log_loss": loss,
        "excess": loss - expected_loss(risk),
        "gap": late - risk,
    }
    found = {}
    for name, value in means.items():
        over = difference(value, day, bootstrap)
        ends = (_round(over.point), _round(over.low), _round(over.high))
        found[name] = Interval(point=ends[0], low=ends[1], high=ends[2])
    if (ranked := auc_interval(late, risk, day, bootstrap)) is not None:
        found["roc_auc"] = ranked
    return found


def auc_interval(
    late: np.ndarray, risk: np.ndarray, day: np.ndarray, bootstrap: Bootstrap
) -> Interval | None:
    """ROC AUC with its interval over days, exact: pairs are counted once for each pair of days."""
    names, position = np.unique(day, return_inverse=True)
    won, pairs = _pairs(late, risk, position, len(names))
    if not pairs.sum():
        return None
    rng = np.random.default_rng(bootstrap.seed)
    even = np.full(len(names), 1 / len(names))
    drawn = rng.multinomial(len(names), even, bootstrap.draws).astype("float64")
    above = ((drawn @ won) * drawn).sum(axis=1)
    of = ((drawn @ pairs) * drawn).sum(axis=1)
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(above[of > 0] / of[of > 0], [tail, 1 - tail])
    point = won.sum() / pairs.sum()
    return Interval(point=_round(point), low=_round(low), high=_round(high))


def _pairs(
    late: np.ndarray, risk: np.ndarray, position: np.ndarray, days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Per pair of days: how often a positive of one day has more risk than a negative of two."""
    positive = late == 1
    ours, of_day = risk[positive], position[positive]
    won = np.zeros((days, days))
    for other in range(days):
        theirs = np.sort(risk[~positive & (position == other)])
        below = np.searchsorted(theirs, ours, "left") + np.searchsorted(theirs, ours, "right")
        won[:, other] = np.bincount(of_day, weights=below / 2, minlength=days)
    counts = np.bincount(of_day, minlength=days), np.bincount(position[~positive], minlength=days)
    return won, np.outer(*counts).astype("float64")


def p_nonzero_mean(value: np.ndarray, day: np.ndarray) -> float:
    """The two-sided p-value of a mean of `value` other than 0, with days as the unit.

    A t test on the ratio of daily sums. It assumes independent days; two stormy days in a row are
    not quite, so the p-value is somewhat too small.
    """
    from scipy import stats

    days, error = _error_over_days(value, day)
    if days < 2:
        return 1.0
    if not error:
        return 0.0 if value.mean() else 1.0
    return float(2 * stats.t.sf(abs(value.mean()) / error, days - 1))


def _error_over_days(value: np.ndarray, day: np.ndarray) -> tuple[int, float]:
    """The number of days, and the standard error of the mean of `value` with days as the unit."""
    names, position = np.unique(day, return_inverse=True)
    days = len(names)
    if days < 2:
        return days, math.nan
    counts = np.bincount(position)
    apart = np.bincount(position, weights=value) - value.mean() * counts
    return days, math.sqrt(days / (days - 1) * float((apart**2).sum())) / len(value)


def excess_interval(late: np.ndarray, risk: np.ndarray, day: np.ndarray) -> Interval | None:
    """The excess log loss of labelled rows with its 95 % interval over days, by Student's t.

    None with labels of fewer than two days. For every day of a replay: a bootstrap takes longer.
    """
    from scipy import stats

    known = ~np.isnan(late)
    y, p = late[known], risk[known]
    excess = log_loss(y, p) - expected_loss(p)
    days, error = _error_over_days(excess, day[known])
    if days < 2:
        return None
    point, reach = float(excess.mean()), float(stats.t.ppf(0.975, days - 1)) * error
    return Interval(point=_round(point), low=_round(point - reach), high=_round(point + reach))


def holm(p: list[float]) -> list[float]:
    """Holm's adjusted p-values: any false one is below alpha with a chance of at most alpha."""
    order = np.argsort(p)
    raised = np.maximum.accumulate(np.asarray(p)[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1)
    return [float(value) for value in adjusted]
