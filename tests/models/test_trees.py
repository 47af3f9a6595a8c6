import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import sklearn.ensemble  # noqa: F401  a limit holds only for libraries that are loaded
from threadpoolctl import threadpool_limits

from pipeline.features import point_in_time, windows
from pipeline.features.definitions import FEATURES, LABEL, MONOTONE, matrix
from pipeline.models import baselines, trees
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from tests.builders import feature_rows
from tests.rules.tree import ROOT

pytestmark = pytest.mark.answer("behavioural-tests")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the stage fits: on a busy machine a second thread only spins."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def config():
    shipped = load(TrainConfig)
    small = {"max_iter": 30, "learning_rate": 0.15, "min_samples_leaf": 30}
    boosting = shipped.boosting.model_copy(update=small)
    return shipped.model_copy(update={"boosting": boosting})


@pytest.fixture(scope="module")
def rows():
    return feature_rows(1_560)


@pytest.fixture(scope="module")
def inputs(rows):
    return matrix(rows, FEATURES)


def wrong_moves(model, inputs, name):
    """The share of moves of a feature, to any of its values, that move the risk the wrong way."""
    column, sign = FEATURES.index(name), MONOTONE[name]
    values = np.nanquantile(inputs[:, column], np.linspace(0, 1, 9))
    risks = []
    for value in values:
        moved = inputs[::10].copy()
        moved[:, column] = value
        risks.append(model.predict_proba(moved)[:, 1])
    return (sign * np.diff(risks, axis=0) < 0).mean()


def perverse_labels(inputs, name):
    """Labels that follow a feature the wrong way round: the more delay, the less late."""
    values = MONOTONE[name] * inputs[:, FEATURES.index(name)]
    chance = np.random.default_rng(0).random(len(values))
    return (chance < np.where(values < np.nanmedian(values), 0.8, 0.2)).astype("int8")


def test_no_monotone_feature_moves_the_risk_the_wrong_way(
    config, rows, inputs, record_property: Callable[[str, object], None]
):
    model = trees.boosting(config, FEATURES, inputs, rows[LABEL].to_numpy())
    wrong = {name: wrong_moves(model, inputs, name) for name in MONOTONE}
    assert {name: share for name, share in wrong.items() if share} == {}
    record_property("features with a direction that was tried", len(wrong))
    record_property(
        "largest share of moves the wrong way, of the model with constraints", max(wrong.values())
    )


@pytest.mark.parametrize("name", ["system_dep_late_3h", "wind_gust", "visib", "aircraft_slack"])
def test_data_that_say_the_opposite_do_not_turn_a_monotone_feature_round(config, inputs, name):
    labels = perverse_labels(inputs, name)
    assert wrong_moves(trees.boosting(config, FEATURES, inputs, labels), inputs, name) == 0
    free = config.model_copy(update={"monotone": False})
    assert wrong_moves(trees.boosting(free, FEATURES, inputs, labels), inputs, name) > 0.05


def test_the_same_rows_and_seed_give_the_same_risks_to_the_last_bit(config, rows, inputs):
    first, second = (
        trees.boosting(config, FEATURES, inputs, rows[LABEL].to_numpy()) for _ in range(2)
    )
    assert first.predict_proba(inputs).tobytes() == second.predict_proba(inputs).tobytes()


def test_the_hour_rate_is_each_hours_share_of_late_flights(rows):
    hours, labels = matrix(rows, ["sched_hour"]), rows[LABEL].to_numpy()
    found = baselines.hour_rate(hours, labels).predict_proba(hours)[:, 1]
    shares = {
        hour: sum(labels[rows["sched_hour"] == hour]) / sum(rows["sched_hour"] == hour)
        for hour in set(rows["sched_hour"])
    }
    assert found == pytest.approx([shares[hour] for hour in rows["sched_hour"]])
    assert len(shares) == 15
    assert found.std() > 0.03


def test_a_missing_value_is_the_median_to_the_logistic_regression(config, rows, inputs):
    model = baselines.logistic(config, inputs, rows[LABEL].to_numpy())
    column = FEATURES.index("aircraft_arr_delay")
    missing, filled = inputs.copy(), inputs.copy()
    missing[:, column], filled[:, column] = np.nan, pd.Series(inputs[:, column]).median()
    assert model.predict_proba(missing) == pytest.approx(model.predict_proba(filled))


_WITHOUT_AVX2 = (
    "X86_V3 X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX2 FMA3"
)
OTHER_PROCESSORS = {
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "Prescott": {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": _WITHOUT_AVX2},
    "no FMA": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX2_Usable,-FMA_Usable"},
}
"""What makes the libraries add as on an older processor; without effect on ARM."""
FIT = """
import sys
import numpy as np
from pipeline.features.definitions import FEATURES
from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.files import bytes_hash
from pipeline.models import baselines, onnx_export, trees
rows, config = np.load(sys.argv[1]), load(TrainConfig)
inputs, labels = rows["inputs"], rows["labels"]
line = baselines.logistic(config, inputs, labels)
boosted = trees.boosting(config, FEATURES, inputs, labels)
for model in (line, boosted):
    print(bytes_hash(onnx_export.to_onnx(model, FEATURES)))
    print(bytes_hash(model.predict_proba(inputs).astype("float32").tobytes()))
"""


@pytest.mark.long
@pytest.mark.slow
def test_other_processors_give_the_same_bytes(
    published, tmp_path, record_property: Callable[[str, object], None]
):
    """On real flights: planted ones are too simple for a solver to stop at different places."""
    known = load(FeaturesConfig)
    flights = published["flights"].sort_values("sched_dep_utc", ignore_index=True)
    views = windows.views(flights, published["weather"], known)
    rows = point_in_time.historical(windows.requests(flights, known), views, known)
    given = tmp_path / "rows.npz"
    np.savez(given, inputs=matrix(rows, FEATURES), labels=rows[LABEL].to_numpy())
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    hashes = {}
    for name, changes in {"here": {}, **OTHER_PROCESSORS}.items():
        command = [sys.executable, "-W", "ignore", "-c", FIT, given]
        done = subprocess.run(command, cwd=ROOT, env=settings | changes, check=True, stdout=-1)
        hashes[name] = done.stdout.decode().split()
    assert len(hashes["here"]) == 4
    assert all(found == hashes["here"] for found in hashes.values()), hashes
    record_property("real flights learned from as on other processors", len(rows))
    record_property("processors that give the same two models and predictions", len(hashes))
