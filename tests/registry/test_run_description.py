"""The words by which people find runs and versions in MLflow."""

import pytest

from pipeline.registry import run_description
from pipeline.shared.contracts import Check, Kind, Verdict

OURS, THEIRS = "a" * 64, "b" * 64


def check(name: str, kind: Kind, passed: bool = True) -> Check:
    return Check(
        kind=kind, name=name, passed=passed, blocking=True, found=0.5, limit=0.25, detail="why"
    )


def verdict(*checks: Check, champion: str | None = THEIRS) -> Verdict:
    return Verdict(
        challenger=OURS,
        judged=OURS,
        champion=champion,
        kind="change" if champion else "first",
        window="2013-04-01..2013-04-30",
        rows=28_330,
        days=30,
        config_hash=OURS,
        features_hash=OURS,
        predictions_hash=OURS,
        checks=list(checks),
        passed=all(one.passed for one in checks),
    )


@pytest.mark.parametrize(("champion", "against"), [(None, "baselines only"), (THEIRS, THEIRS[:12])])
def test_tags_say_the_verdict_and_what_the_challenger_was_compared_with(champion, against):
    found = verdict(check("beats champion", Kind.CHAMPION), champion=champion)
    assert run_description.verdict_tags(found) == {
        "gate": "passed",
        "kind": "change" if champion else "first",
        "judged_on": "2013-04-01 to 2013-04-30",
        "compared_with": against,
    }


def test_a_refusal_names_every_blocking_check_that_failed():
    found = verdict(
        check("beats champion", Kind.CHAMPION),
        check("storm", Kind.CHAMPION_SLICE, passed=False),
        check("JFK", Kind.CHAMPION_SLICE),
    )
    assert run_description.verdict_name(found) == "gate: refused, 2 of 3 checks"
    lines = run_description.verdict_description(found).splitlines()[2:]
    assert lines == [
        "- beats champion: 0.5, limit 0.25 (why)",
        "- storm: 0.5, limit 0.25 (why)",
    ]


def test_a_checks_name_becomes_a_metric_that_mlflow_takes():
    assert run_description.metric_name("direction: wind +15/0.2") == "direction_ wind _15_0.2"
