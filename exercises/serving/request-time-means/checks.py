"""The checks of the shrunk means."""

from exercises.workbench.checking import ROOT, check, expect
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.yaml_files import parse
from pipeline.usecase.chosen import SECTIONS

CONFIG = SECTIONS[FeaturesConfig].model_validate(
    parse((ROOT / "configs/features.yaml").read_text(encoding="utf-8"))
)


def _features(values, config, wanted, requests):
    """Beside the solution: some shrunk means, from counts and sums of which most are 0."""
    import warnings

    import numpy as np

    from pipeline.features.definitions import ROLLING
    from pipeline.features.on_demand import _shrink
    from pipeline.features.windows import baselines

    names = [
        f"{w.name}_{part}" for w in [*ROLLING, *baselines(config)] for part in ("count", "sum")
    ]
    joined = {name: np.zeros(requests) for name in names}
    joined |= {name: np.array(one, "float64") for name, one in values.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _shrink(joined, config)
    return [found[name].tolist() for name in wanted]


def _seen(subject, wanted: list[str], requests: int = 1, **values: list[float]) -> list[object]:
    return subject.do(_features, values, CONFIG, wanted, requests)


ALL = {"system_late_28d_count": [20_000.0], "system_late_28d_sum": [5_000.0]}
"""A fourth of all flights was late in the last four weeks."""


@check(2)
def test_a_window_without_a_flight_is_the_mean_of_all(subject):
    """Nothing is known of the route, so it is like the others."""
    seen = _seen(subject, ["route_late_7d"], **ALL)
    expect(seen, [[0.25]], [([[0.0]], "shrunk towards zero"), ([[float("nan")]], "0 / 0")])


@check(2)
def test_one_flight_moves_the_mean_a_little(subject):
    """One late flight among ten imaginary ones of which 2.5 are late."""
    values = ALL | {"route_late_7d_count": [1.0], "route_late_7d_sum": [1.0]}
    seen = _seen(subject, ["route_late_7d"], **values)
    expect(seen, [[3.5 / 11]], [([[1.0]], "no shrinkage: one flight decides")])


@check(2)
def test_many_flights_speak_for_themselves(subject):
    """A thousand flights are hardly moved by five."""
    values = ALL | {"origin_late_24h_count": [1000.0], "origin_late_24h_sum": [800.0]}
    expect(_seen(subject, ["origin_late_24h"], **values), [[(800 + 5 * 0.25) / 1005]])


@check(2)
def test_the_mean_of_all_is_that_of_the_last_weeks(subject):
    """And the prior only where nothing at all is known yet."""
    expect(_seen(subject, ["carrier_late_24h"], **ALL), [[0.25]])
    few = {"system_late_28d_count": [10.0], "system_late_28d_sum": [1.0]}
    expect(_seen(subject, ["carrier_late_24h"], **few), [[0.1]])
    expect(_seen(subject, ["carrier_late_24h"]), [[CONFIG.prior["late"]]], why="the first hours")


@check(2)
def test_each_view_has_its_own_weight(subject):
    """Ten imaginary flights for a route, twenty for an hour of the day."""
    values = ALL | {
        f"{name}_{part}": [one]
        for name in ("route_late_7d", "hour_late_7d")
        for part, one in (("count", 10.0), ("sum", 10.0))
    }
    seen = _seen(subject, ["route_late_7d", "hour_late_7d"], **values)
    expect(seen, [[12.5 / 20], [15.0 / 30]])


@check(2, hidden=True)
def test_requests_are_computed_side_by_side(subject):
    """Each with its own counts, and its own mean of all."""
    values = {
        "system_late_28d_count": [10.0, 0.0, 100.0],
        "system_late_28d_sum": [5.0, 0.0, 10.0],
        "route_late_7d_count": [0.0, 0.0, 10.0],
        "route_late_7d_sum": [0.0, 0.0, 0.0],
    }
    seen = _seen(subject, ["route_late_7d"], 3, **values)
    expect(seen, [[0.5, CONFIG.prior["late"], 1.0 / 20]])
