"""Law 2: a word that an interviewer says is found at once by `ls -R pipeline`."""

import re
from pathlib import Path

import pytest

from tests.rules import tree

WORDS: dict[str, list[str]] = {
    "canary": ["pipeline/rollout/canary.py", "pipeline/rollout/analysis/canary.py"],
    "shadow": ["pipeline/rollout/shadow.py", "pipeline/rollout/analysis/shadow.py"],
    "blue-green": ["pipeline/rollout/bluegreen.py"],
    "rollback": ["pipeline/rollout/rollback.py"],
    "gate": ["pipeline/evaluate/gate.py"],
    "slices": ["pipeline/flights/slices.py"],
    "behaviour": ["pipeline/evaluate/behaviour.py"],
    "data gate": ["pipeline/validate/data_gate.py"],
    "skew": ["pipeline/serve/skew.py"],
    "point in time": ["pipeline/features/point_in_time.py"],
    "online store": ["pipeline/features/online_store.py"],
    "drift": ["pipeline/monitor/inputs/drift.py"],
    "delayed labels": ["pipeline/monitor/performance/delayed_labels.py"],
    "alerts": ["configs/monitor/alerts.yml", "pipeline/monitor/operations/alerts.py"],
    "policy": ["pipeline/retrain/policy.py"],
    "lineage": ["pipeline/shared/lineage.py"],
    "model card": ["pipeline/register/model_card.py"],
    "reproduce": ["pipeline/reproduce/reproduce.py"],
    "who served": ["pipeline/rollout/who_served.py"],
}
"""By word, the file that bears it; where the folder makes the sentence, the one that acts first."""
TWICE = {"canary", "shadow", "traffic"}
"""Names that stand twice: rollout/canary.py acts, rollout/analysis/canary.py decides."""


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_field_is_the_name_of_one_file(word: str) -> None:
    wanted = re.sub(r"\W", "", word)
    found = [
        name
        for name in [*tree.code(), *(n for n in tree.files() if n.startswith("configs/"))]
        if "/config/" not in name and re.sub(r"\W|_", "", Path(name).stem) == wanted
    ]
    stages = {f"configs/{stage}.yaml" for stage in tree.stages()}
    assert sorted(set(found) - stages) == sorted(WORDS[word])


def test_no_file_is_named_by_what_every_stage_has() -> None:
    names = [Path(name).stem for name in tree.code()]
    assert {"stage", "page", "utils", "helpers", "common", "base", "manager"} & set(names) == set()


def test_a_file_name_stands_once() -> None:
    """In one use case: each has its rules and its published tables."""
    stages = {*tree.stages(), "__init__", "__main__"}
    folders = tuple(f"pipeline/{name}/" for name in tree.use_cases()[1:])
    names = [
        Path(name).stem
        for name in tree.code()
        if "/config/" not in name and not name.startswith(folders)
    ]
    twice = {name for name in names if names.count(name) > 1 and name not in stages}
    assert twice - TWICE == set()
