"""Each injected fault does what it is called, and nothing else."""

import multiprocessing
import pkgutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import FEATURES, ROLLING
from pipeline.serve.predictor import Predictor
from pipeline.shared.errors import ConfigError
from simulation import faults
from simulation.faults import FAULTS, InjectedFailure, injection
from tests.patience import PATIENCE
from tests.serve.fakes import Session, Store, loaded

ROWS = 4
AT = FEATURES.index("sched_minute")


def wrapped(name: str) -> Any:
    """What wraps a predictor in the server, as the server finds it by its import path."""
    path = injection(name).wrapper
    return pkgutil.resolve_name(path) if path else lambda sound: sound


def asked(rows=ROWS):
    """Requests as the store takes them."""
    told = {
        "predict_at": 200_000,
        "sched_minute": 600,
        "origin": "EWR",
        "carrier": "UA",
    }
    return {name: [value] * rows for name, value in told.items()}


def matrix(minute=600.0):
    rows = np.full((ROWS, len(FEATURES)), 0.5, dtype="float32")
    rows[:, AT] = minute
    return rows


@pytest.fixture
def session():
    return Session(0.4)


@pytest.fixture
def sound(session):
    return Predictor(loaded(session), Store())


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_leaves_the_release_as_it_is(sound, name):
    assert wrapped(name)(sound).release is sound.release


def test_no_fault_is_the_predictor_itself(sound):
    assert wrapped("")(sound) is sound


@pytest.mark.parametrize("name", ["Slow", "slow ", "none", "units,slow"])
def test_an_unknown_fault_is_refused_with_those_that_there_are(name):
    told = rf"none of the {len(FAULTS)} faults .* slow, failing, .* BAD=slow"
    with pytest.raises(ConfigError, match=told):
        injection(name)


def test_a_slow_server_takes_longer_and_says_the_same(sound, monkeypatch):
    waited = []
    monkeypatch.setattr(faults.time, "sleep", waited.append)
    faulty = wrapped("slow")(sound)
    assert faulty.online(asked()).risk == pytest.approx([0.4] * ROWS)
    assert waited == [faults.SLOW_SECONDS]


def test_a_failing_server_fails_a_share_of_its_answers(sound):
    faulty, failed = wrapped("failing")(sound), 0
    for _ in range(500):
        try:
            faulty.online(asked(1))
        except InjectedFailure:
            failed += 1
    assert failed / 500 == pytest.approx(faults.FAILING_SHARE, abs=0.06)


def _answered(count):
    faulty = wrapped("crashing")(Predictor(loaded(Session(0.4)), Store()))
    for _ in range(faults.CRASH_AFTER + 5):
        faulty.online(asked(1))
        count.value += 1


def test_a_crashing_server_is_gone_after_so_many_answers():
    context = multiprocessing.get_context("spawn")
    count = context.Value("i", 0)
    process = context.Process(target=_answered, args=(count,))
    process.start()
    process.join(PATIENCE)
    assert (process.exitcode, count.value) == (1, faults.CRASH_AFTER)


def test_other_units_are_in_every_share_and_in_nothing_else(sound, session):
    wrapped("units")(sound).vectors(matrix())
    (seen,) = session.seen
    shares = [w.name for w in ROLLING if "late" in w.value]
    changed = [name for name, value in zip(FEATURES, seen[0], strict=True) if value == 50]
    assert changed == [name for name in FEATURES if name in shares] != []
    assert ((seen == 50) | (seen == matrix())).all()


def test_other_units_change_what_is_predicted_and_not_what_is_logged(sound, session):
    found = wrapped("units")(sound).online(asked())
    assert session.seen[-1].max() >= 50
    assert found.values.tolist() == sound.online(asked()).values.tolist()


def test_a_biased_model_adds_to_the_log_odds(sound):
    risk = wrapped("biased")(sound).vectors(matrix())
    odds = np.log(risk / (1 - risk)) - np.log(0.4 / 0.6)
    assert odds == pytest.approx([faults.BIAS] * ROWS, abs=1e-6)


@pytest.mark.parametrize(("minute", "risk"), [(0, 0.4), (1019, 0.4), (1020, 0.2), (1439, 0.2)])
def test_a_model_that_is_bad_in_the_evening_says_half_from_five_on(sound, minute, risk):
    assert wrapped("slice")(sound).vectors(matrix(minute)) == pytest.approx([risk] * ROWS)


def test_a_server_without_a_view_flags_it_and_keeps_the_other_flags(session):
    predictor = Predictor(loaded(session), Store(aircraft="stale"))
    found = wrapped("missing")(predictor).online(asked())
    assert found.flags == [{"aircraft": "stale", "weather": "missing"}] * ROWS


@pytest.mark.parametrize("name", sorted(faults.OF_THE_MODEL))
def test_a_fault_of_the_model_is_the_same_online_and_with_given_features(sound, name):
    faulty = wrapped(name)(sound)
    given = faulty.vectors(matrix(600.0))
    assert faulty.online(asked()).risk == pytest.approx(given)
    assert isinstance(pd.Series(given).mean(), float)


def test_a_server_that_reverses_a_batch_is_right_for_one_row_and_wrong_for_several():
    rows = matrix()
    rows[:, 0] = [100, 200, 300, 400]
    session = Session()
    reversed_ = wrapped("reversed")(Predictor(loaded(session), Store()))
    right = Predictor(loaded(session), Store()).vectors(rows)
    assert reversed_.vectors(rows).tolist() == right[::-1].tolist()
    assert reversed_.vectors(rows[:1]).tolist() == right[:1].tolist()
