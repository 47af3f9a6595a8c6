"""A check says what kind it is, and is shown by that wherever a verdict is: whatever its name."""

import pytest

from docs import report
from pipeline.evaluate.verdict_report import verdict_report
from pipeline.register.model_card import CARD_SECTIONS, model_card
from pipeline.registry import release
from pipeline.registry.release import Release
from pipeline.registry.versions import Version
from pipeline.reproduce.lineage_report import lineage_report
from pipeline.retrain.attempt import gate_figures
from pipeline.shared.contracts import OVERALL, Kind, Manifest
from pipeline.shared.files import write_json
from tests.builders import check, training, verdict

pytestmark = pytest.mark.answer("lineage")

NEW = "a question of next year"
MANIFEST = Manifest(source="builders", as_of="2013-03", files={}, snapshots=[])
FIGURES = dict.fromkeys(("roc_auc", "log_loss", "mean_risk", "late_share"), 0.5)


def judged(*checks):
    return verdict(kind="refresh", champion="9" * 64, checks=[check("days judged"), *checks])


def lineage(papers, stored):
    """The lineage page of a release with this verdict among its papers."""
    write_json(papers / release.VERDICT, stored)
    write_json(papers / release.TRAINING, training().model_dump())
    write_json(papers / release.MANIFEST, MANIFEST.model_dump())
    sealed = Release(
        commit="c" * 40,
        patch=None,
        **dict.fromkeys(("data", "model", "config"), "a" * 64),
        **dict.fromkeys(("features", "python", "machine"), "x"),
        papers={str(release.ENVIRONMENT): "b" * 64},
    )
    return lineage_report("m", Version("1", "a" * 64, "run", {"release": "r"}), sealed, papers, "c")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", Kind)
def test_a_new_check_of_any_kind_is_on_every_page_without_another_edit(kind, tmp_path):
    passed = judged(check(NEW, kind=kind))
    card = model_card("m", training(), passed, MANIFEST, FIGURES, [])
    assert card.count(f"| {NEW} |") == 1
    assert NEW in verdict_report(passed)
    refused = judged(check(NEW, kind=kind, passed=False))
    assert NEW in report.verdict(refused.model_dump())
    assert (NEW in lineage(tmp_path, passed.model_dump())) is (kind in OVERALL)
    assert (NEW in gate_figures(passed)) is (kind in (Kind.EVIDENCE, Kind.CHAMPION, Kind.REFIT))


def test_the_card_shows_each_kind_under_one_title():
    assert sorted(kind for kinds in CARD_SECTIONS.values() for kind in kinds) == sorted(Kind)


def test_the_page_of_a_version_sealed_before_kinds_shows_what_it_was_compared_with(tmp_path):
    stored = judged(check("not worse than champion"), check("storm against champion")).model_dump()
    for one in stored["checks"]:
        del one["kind"]
    shown = lineage(tmp_path, stored)
    assert "| not worse than champion |" in shown
    assert "storm against champion" not in shown
    assert "3 of 3 blocking checks passed" in shown
