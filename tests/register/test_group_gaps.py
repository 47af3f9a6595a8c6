"""Every version's card says for whom the model warns too much or too little."""

import numpy as np
import pytest

from pipeline.features.definitions import LABEL
from pipeline.register.group_gaps import group_gaps, judged_rows
from pipeline.registry import release, versions
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from tests.builders import feature_rows

pytestmark = pytest.mark.answer("fairness")
CONFIG = load(EvaluateConfig)


@pytest.fixture(scope="module")
def frame():
    return feature_rows(9_000, "2013-03-01", 31)


def by_name(frame, risk, config=CONFIG):
    return {one.name: one for one in group_gaps(frame, risk, config)}


def test_a_gap_is_the_mean_risk_of_a_group_less_its_share_of_late_flights(frame):
    risk = np.random.default_rng(0).random(len(frame))
    found = by_name(frame, risk)["origin JFK"]
    of = (frame["origin"] == "JFK").to_numpy()
    late = frame[LABEL].to_numpy()[of]
    assert found.gap.point == pytest.approx(risk[of].mean() - late.mean())
    assert (found.rows, found.late_share) == (of.sum(), late.mean())
    assert found.gap.low < found.gap.point < found.gap.high


def test_a_group_that_is_warned_too_much_or_too_little_is_named(frame):
    share = frame[LABEL].mean()
    risk = np.full(len(frame), share)
    risk[frame["origin"] == "JFK"] = share + 0.2
    risk[frame["origin"] == "LGA"] = share - 0.2
    found = by_name(frame, risk)
    answers = {name: one.answer for name, one in found.items() if name.startswith("origin")}
    assert answers == {
        "origin EWR": "calibrated",
        "origin JFK": "too high",
        "origin LGA": "too low",
    }


def test_a_group_with_too_few_late_flights_says_nothing(frame):
    risk = np.full(len(frame), 0.3)
    few = frame["carrier"].eq("HA") & (frame.groupby("carrier").cumcount() >= 100)
    found = by_name(frame[~few].reset_index(drop=True), risk[~few])
    assert "carrier HA" not in found
    assert "carrier UA" in found


@pytest.mark.slow
def test_each_registered_versions_card_holds_every_group(registered):
    config, registry = load(EvaluateConfig), load(RegisterConfig)
    expected = group_gaps(*judged_rows(config), config)
    assert {one.name.split()[0] for one in expected} == {"carrier", "origin"}
    version = versions.get_version(registry, "1")
    place = release.artifact_path(version.tag("release"))
    card = (versions.fetch_folder(registry, version, place) / release.CARD).read_text()
    for one in expected:
        row = f"| {one.name} | {one.rows:,} | {one.late_share:.1%} | {one.gap.point:+.3f} ["
        assert row in card
        assert f"] | {one.answer} |" in card
