"""On-demand features, computed at the request: means shrunk towards the mean of all, and ages.

Pure, and the one definition for training, the store's offline join and its online read: each passes
the rows that it read, and none expires or shrinks a value by itself.
"""

from functools import cache
from itertools import accumulate

import numpy as np

from pipeline.features import windows as transform
from pipeline.features.definitions import ENTITIES, KNOWN_AT, NUMERIC, ROLLING, STATES
from pipeline.features.windows import NEVER, Minutes
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.domain import Rolling
from pipeline.usecase.chosen import SHRINKAGE, USECASE

Columns = dict[str, np.ndarray]


def derive_features(
    joined: Columns, request: Columns, at: Minutes, config: FeaturesConfig
) -> Columns:
    """Every numeric feature (float32) and every view's `known_at` (minutes) of requests at `at`.

    `joined` holds, by column, the last available row of each view: counts and sums of every window,
    the columns of each state, and when each was known. A value known too long ago becomes missing,
    whatever a store returned, and a view whose windows are all empty has no `known_at`.
    """
    joined = dict(joined)
    for state in STATES.values():
        for known_at, names in state.expires.items():
            _expire(joined, known_at, names, at, getattr(config, state.setting))
    values = {**joined, **request, **_shrink(joined, config)}
    values |= USECASE.features.derive(joined, request, at, config)
    numeric = np.array([values[name] for name in NUMERIC], dtype="float32")
    known = {name: joined[name] for name in KNOWN_AT}
    known |= _known_if_any(joined, config)
    return dict(zip(NUMERIC, numeric, strict=True)) | known


@cache
def sources(name: str) -> set[str]:
    """The views behind a numeric feature; none for schedule features."""
    rolling = {w.name: {w.view, "system"} for w in ROLLING}
    states = {of: {view} for view, state in STATES.items() for of in state.features}
    return (rolling | states).get(name, set())


def _expire(joined: Columns, known: str, names: list[str], at: Minutes, hours: int) -> None:
    """Turn values older than `hours` into missing ones, never into a default."""
    fresh = joined[known] >= at - hours * 60
    if fresh.all():  # as they are for most requests
        return
    joined[known] = np.where(fresh, joined[known], NEVER)
    for name in names:
        joined[name] = np.where(fresh, joined[name], np.nan)


def _known_if_any(joined: Columns, config: FeaturesConfig) -> Columns:
    """When each rolling view was known; NEVER where its windows are all empty."""
    if not ENTITIES:
        return {}
    windows = [transform.windows(view, config) for view in ENTITIES]
    counts = np.array([joined[f"{w.name}_count"] for of in windows for w in of])
    first = [*accumulate(map(len, windows[:-1]), initial=0)]
    filled = np.logical_or.reduceat(counts > 0, first)
    names = [f"{view}_known_at" for view in ENTITIES]
    known = np.where(filled, [joined[name] for name in names], NEVER)
    return dict(zip(names, known, strict=True))


def _shrink(joined: Columns, config: FeaturesConfig) -> Columns:
    """Every window's mean, shrunk towards the mean of all events by SHRINKAGE."""
    if not ROLLING:
        return {}
    count, total = (_stack(joined, ROLLING, part) for part in ("count", "sum"))
    means = _baseline_means(joined, config)
    by_view = getattr(config, SHRINKAGE)
    weight = np.array([[by_view[w.view]] for w in ROLLING])
    mean = np.array([means[w.value] for w in ROLLING])
    shrunken = (total + weight * mean) / (count + weight)
    return {w.name: values for w, values in zip(ROLLING, shrunken, strict=True)}


def _baseline_means(joined: Columns, config: FeaturesConfig) -> Columns:
    """By rolled value its mean in the baseline window over all events, which groups shrink to.

    The configured prior stands in where that window is empty.
    """
    bases = transform.baselines(config)
    count, total = (_stack(joined, bases, part) for part in ("count", "sum"))
    prior = np.array([[config.prior[base.value]] for base in bases])
    means = np.where(count > 0, total / np.where(count > 0, count, 1), prior)
    return {base.value: values for base, values in zip(bases, means, strict=True)}


def _stack(joined: Columns, windows: list[Rolling], part: str) -> np.ndarray:
    """The counts or sums of windows, a row per window; an entity without a row had no events."""
    values = np.array([joined[f"{w.name}_{part}"] for w in windows], dtype="float64")
    values[np.isnan(values)] = 0.0
    return values
