"""The checks of the feature service's version."""

import re

from exercises.workbench.checking import check, expect, holds

SETTINGS = {
    "horizon_minutes": 120,
    "grid_minutes": 15,
    "weather_hours": 6,
    "aircraft_hours": 24,
    "shrink_flights": {"system": 5, "route": 10},
    "prior": {"late": 0.25},
}


@check(3)
def test_another_value_of_a_setting_is_another_version(subject):
    """A feature with another expiry is another feature."""
    one, other = (subject.service_version(SETTINGS | {"weather_hours": h}) for h in (6, 2))
    why = "the names of the settings are in it, their values are not"
    holds(one != other, "two versions", f"{one} for 6 hours and for 2", why)


@check(2)
def test_a_value_deep_within_a_setting_counts(subject):
    """Every number that changes a model's input."""
    deep = SETTINGS | {"shrink_flights": {"system": 5, "route": 20}}
    one, other = subject.service_version(SETTINGS), subject.service_version(deep)
    holds(one != other, "two versions", f"{one} for 10 flights and for 20")


@check(2)
def test_the_order_of_the_settings_does_not_matter(subject):
    """The same meaning is the same version."""
    turned = dict(reversed(SETTINGS.items()))
    one, other = subject.service_version(SETTINGS), subject.service_version(turned)
    holds(one == other, "one version", f"{one} and {other}, by the order of the keys")


@check(1)
def test_a_setting_that_is_gone_is_another_version(subject):
    """What is not set any more has another meaning, too."""
    less = {k: v for k, v in SETTINGS.items() if k != "prior"}
    one, other = subject.service_version(SETTINGS), subject.service_version(less)
    holds(one != other, "two versions", f"{one} with and without a prior")


def _twice(settings):
    """Beside the solution: the version of two copies of the settings."""
    import copy

    from pipeline.features.definitions import service_version

    kept = [copy.deepcopy(settings) for _ in range(3)]
    return [service_version(one) for one in kept]


@check(2, hidden=True)
def test_the_version_is_the_same_in_every_process(subject):
    """It is in the registry, and another process reads it there."""
    seen = subject.do(_twice, SETTINGS)
    holds(len(set(seen)) == 1, "one version", f"{seen}, of equal settings")


@check(1, hidden=True)
def test_the_version_has_the_form_that_is_recorded(subject):
    """The service's name, and twelve hex digits."""
    seen = subject.service_version(SETTINGS)
    holds(bool(re.fullmatch(r"flight_delay-[0-9a-f]{12}", seen)), "flight_delay-<12 digits>", seen)
    expect(seen, subject.service_version(dict(SETTINGS)))
