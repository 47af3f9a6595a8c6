"""A diagnosis finds what is there: cases with a known answer, each once here, twenty times kept."""

import json

import numpy as np
import pytest

from benchmarks import drifts
from pipeline.features.feature_table import ROWS
from pipeline.monitor.monitored_model import load_champion
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.files import write_parquet
from tests.builders import feature_rows
from tests.rules import tree

pytestmark = pytest.mark.answer("which-drift")

KEPT = "benchmarks/drifts.json"
FOUND = json.loads(tree.read(KEPT))["constructed"] if KEPT in tree.files() else {}
"""Where the study was kept."""


@pytest.mark.slow
@pytest.mark.parametrize("name", drifts.CASES)
def test_a_case_with_a_known_answer_is_found(registered, name):
    write_parquet(ROWS, feature_rows(15_600))  # 300 flights a day
    case = drifts.CASES[name]
    found = drifts.drawn(load_champion(), case, 1, load(MonitorConfig).diagnosis)
    assert found["cause"] == case.cause


@pytest.mark.slow
def test_without_asking_the_feed_first_broken_data_look_like_a_shift(registered):
    write_parquet(ROWS, feature_rows(15_600))
    config = load(MonitorConfig).diagnosis
    found = drifts.drawn(load_champion(), drifts.CASES["shares in percent"], 1, config)
    assert found["without asking the feed"] not in ("broken data", "no shift")


def test_a_case_moves_what_it_says_and_nothing_else():
    logit = np.linspace(-3, 3, 7)
    assert drifts.CASES["nothing"].relation(logit) is logit
    spread = [np.ptp(f(logit)) for f in (drifts.flatter, drifts.a_little_flatter)]
    assert spread == pytest.approx([0.2 * 6, 0.6 * 6])


def test_the_kept_cases_are_those_of_the_study():
    assert not FOUND or set(FOUND) == set(drifts.CASES)
    for name, found in FOUND.items():
        assert found["truth"] == drifts.CASES[name].cause
        assert sum(found["found"].values()) == drifts.SEEDS


def test_each_known_answer_was_found_in_at_least_17_of_20():
    """Of the small change a month cannot always tell; the study says how often."""
    for name, found in FOUND.items():
        if name != "another relation, by little":
            assert found["right"] >= 17, name
