"""Windows of a table's versions, and the days of a rollout by the plan of a use case."""

from pathlib import Path

import pytest

from pipeline.retrain.loop import rollout_days
from pipeline.retrain.training_windows import _of_version
from pipeline.shared.config.loading import load
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.tabular.published import HELD_OUT_DAYS, LEARNED_DAYS
from pipeline.usecase import take
from tests.rules import tree


def test_the_windows_of_a_version_never_cross_its_split() -> None:
    moves = _of_version("2001-03", LEARNED_DAYS, HELD_OUT_DAYS)
    trained, judged = moves["train"], moves["evaluate"]
    assert trained == {
        "window.first": "2001-03-01",
        "window.last": f"2001-03-{LEARNED_DAYS:02}",
        "refit_until": "null",
    }
    assert judged["window.first"] == f"2001-03-{LEARNED_DAYS + 1:02}" > trained["window.last"]
    assert moves["monitor"] == judged
    assert int(judged["window.last"][-2:]) == LEARNED_DAYS + HELD_OUT_DAYS <= 28


def test_a_rollout_of_bikes_needs_more_days_than_one_of_flights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree.ROOT)
    assert rollout_days() == 10
    own = take.changes(Path("pipeline/bikes"))[Path("configs/rollout.yaml")]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/rollout.yaml").write_text(own, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    plan = load(RolloutConfig).canary
    assert rollout_days() >= sum(step.days for step in plan.steps) + plan.bake_days + 2 > 10
