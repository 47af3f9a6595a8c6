"""The acceptance checks of the feature is_weekend."""

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.yaml_files import parse
from pipeline.usecase.chosen import SECTIONS

CONFIG = SECTIONS[FeaturesConfig].model_validate(
    parse((ROOT / "configs/features.yaml").read_text(encoding="utf-8"))
)


def _definitions():
    """Beside the solution: the lists of features by name."""
    from pipeline.features import definitions as d

    return {
        "request": d.REQUEST,
        "schedule": d.SCHEDULE,
        "features": d.FEATURES,
        "ranges": d.RANGES,
        "version": d.service_version({}),
    }


def _derived(config, days):
    """Beside the solution: the feature of requests on some days of the week."""
    import numpy as np

    from pipeline.features import windows
    from pipeline.features.definitions import KNOWN_AT, ROLLING
    from pipeline.features.on_demand import derive_features
    from pipeline.flights.features import DEPARTURE, LANDING, WEATHER

    many = len(days)
    names = [w.name for w in [*ROLLING, *windows.baselines(config)]]
    joined = {f"{name}_{part}": np.zeros(many) for name in names for part in ("count", "sum")}
    joined |= {name: np.zeros(many) for name in [*WEATHER, *DEPARTURE, *LANDING, "ready"]}
    instants = np.full(many, windows.NEVER)
    joined |= {name: instants.copy() for name in [*KNOWN_AT, "landed_at"]}
    request = {
        "sched_minute": np.full(many, 1230),
        "day_of_week": np.array(days),
        "distance": np.full(many, 1400),
        "block_minutes": np.full(many, 227),
    }
    found = derive_features(joined, request, np.full(many, 150_000), config)
    return [found["is_weekend"], str(found["is_weekend"].dtype)]


@check(2)
def test_the_feature_is_one_of_the_schedule(subject):
    """By its name, among the inputs of the model."""
    seen = subject.do(_definitions)
    holds("is_weekend" in seen["schedule"], "is_weekend in SCHEDULE", f"{seen['schedule']}")
    expect(seen["features"].count("is_weekend"), 1, why="one input of the model")


@check(3)
def test_saturday_and_sunday_are_the_weekend(subject):
    """By the request's day in New York, Monday is 0."""
    seen = subject.do(_derived, CONFIG, list(range(7)))[0]
    turns = [([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0], "0 is Monday here, not Sunday")]
    expect(seen, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], turns)


@check(1)
def test_it_is_a_number_like_the_others(subject):
    """float32, as the model reads it."""
    expect(subject.do(_derived, CONFIG, [5])[1], "float32")


@check(2)
def test_the_feature_has_a_range(subject):
    """What lies outside is refused at every read."""
    expect(subject.do(_definitions)["ranges"].get("is_weekend"), [0.0, 1.0])


@check(2)
def test_callers_send_what_they_sent_before(subject):
    """The request has its four columns; the feature is derived."""
    seen = subject.do(_definitions)["request"]
    expect(seen, ["sched_minute", "day_of_week", "distance", "block_minutes"])


@check(1, hidden=True)
def test_the_service_has_a_new_version(subject):
    """Another set of features is another service."""
    from pipeline.features.definitions import service_version

    seen, before = subject.do(_definitions)["version"], service_version({})
    holds(seen != before, f"another version than {before}", seen)
