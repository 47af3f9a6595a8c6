"""The card says what a model is for and how good it is, from the records and from nothing else."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluate.gate import beats
from pipeline.evaluate.refresh import holds_refreshed_slice, not_worse, report_baselines, stays_near
from pipeline.register.group_gaps import GroupGap
from pipeline.register.model_card import model_card
from pipeline.registry import release, release_consistency, versions
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import Kind, Manifest, Snapshot
from pipeline.shared.errors import ArtifactTampered
from pipeline.shared.files import file_hash
from pipeline.shared.paired_difference import Difference
from tests.builders import check, training, verdict

pytestmark = pytest.mark.answer("lineage")

SECTIONS = [
    "Intended use",
    "Data",
    "Quality on flights it had not seen",
    "Limits",
    "What the data hold, and whom it may harm",
]
FIGURES = {"roc_auc": 0.7301, "log_loss": 0.4712, "mean_risk": 0.2334, "late_share": 0.2445}
SLICE = Kind.BASELINE_SLICE
CHECKS = [
    check(
        "beats logistic",
        kind=Kind.BASELINE,
        detail="-0.0123 [-0.0200, -0.0046] over 30 days, 28,000 flights",
    ),
    check("carrier=UA against logistic", kind=SLICE, detail="-0.0100 [-0.0300, +0.0100]"),
    check("carrier=HA against logistic", kind=SLICE, blocking=False, detail="12 late (too few)"),
    check("invariance: tail number", kind=Kind.BEHAVIOUR, found=0.0, limit=1e-6),
    check("direction: storm", kind=Kind.BEHAVIOUR, found=0.91, limit=0.9),
    check("minimum: calm morning", kind=Kind.BEHAVIOUR, found=0.11, limit=0.2),
    check("risks are probabilities", detail="share of 1,860 risks"),
]


def overall(name, **changes):
    return check(name, kind=Kind.CHAMPION, **changes)


def snapshot(month, rows=100, digest="a" * 64, table="flights"):
    return Snapshot(
        table=table,
        month=month,
        path=f"data/ingest/{table}/{month}.parquet",
        rows=rows,
        first="2013-01-01T10:00:00+00:00",
        last="2013-01-31T10:00:00+00:00",
        content_hash=digest,
        file_hash="f" * 64,
    )


def written(**changes):
    """A card of a model; `changes` replace one of the records that it is written from."""
    months = [snapshot(f"2013-0{n}", 100 * n, f"{n}" * 64) for n in (1, 2, 3)]
    records = {
        "name": "delay",
        "training": training(),
        "verdict": verdict(checks=CHECKS),
        "manifest": Manifest(source="builders", as_of="2013-03", files={}, snapshots=months),
        "figures": FIGURES,
        "groups": [GroupGap("carrier UA", 5_000, 0.25, Difference(0.02, 0.01, 0.03, 5_000, 30))],
    }
    return model_card(**records | changes)


def section(text, title):
    return text.split(f"# {title}\n")[1].split("\n## ")[0]


def rows(text):
    lines = [line for line in text.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_card_has_every_section_in_order_and_none_is_empty():
    assert re.findall(r"^## (.+)$", written(), re.MULTILINE) == SECTIONS
    assert all(len(section(written(), title)) > 200 for title in SECTIONS)
    assert written().startswith("# Model card: delay cccccccccccc\n")


def test_a_card_says_what_the_model_is_for_and_what_it_is_not_for():
    told = section(written(), "Intended use")
    assert "15 or more minutes late, is diverted or is cancelled" in told
    assert "Not for: other airports or years, safety" in told


def test_a_card_lists_the_months_that_the_model_learned_from_and_no_later_one():
    found = rows(section(written(), "Data"))[2:]
    assert [row[1:3] for row in found] == [["2013-01", "100"], ["2013-02", "200"]]
    assert found[0][3] == f"`{'1' * 12}`"


def test_a_card_gives_the_quality_overall_by_slice_and_in_behaviour_with_intervals():
    told = section(written(), SECTIONS[2])
    whole, slices, behaviour, evidence = re.split(r"^### .+$", told, flags=re.MULTILINE)
    assert [row[0] for row in rows(whole)[2:]] == ["beats logistic"]
    assert rows(whole)[2][4] == "-0.0123 [-0.0200, -0.0046] over 30 days, 28,000 flights"
    assert [row[0] for row in rows(slices)[2:]] == [
        "carrier=UA against logistic",
        "carrier=HA against logistic",
    ]
    assert rows(slices)[2][4] == "-0.0100 [-0.0300, +0.0100]"
    assert [row[0].split(":")[0] for row in rows(behaviour)[2:]] == [
        *("invariance", "direction", "minimum")
    ]
    assert [row[0] for row in rows(evidence)[2:]] == ["risks are probabilities"]


def refreshed():
    """A verdict on a refresh of the champion, with the checks that the gate makes of one."""
    by = Difference(point=-0.012, low=-0.02, high=-0.003, days=14, rows=12_000)
    gate = load(EvaluateConfig)
    slices = [holds_refreshed_slice("carrier=UA", by, 900, gate.slices, gate.refresh)]
    champion = [*not_worse(by, gate.refresh), *slices]
    baselines = report_baselines(
        [beats("logistic", by), check("carrier=UA against logistic", kind=SLICE)]
    )
    near = stays_near(np.array([0.2, 0.4]), np.array([0.21, 0.4]), 0.08)
    checks = [check("days judged"), *champion, *baselines, near, *CHECKS[3:]]
    return verdict(kind="refresh", champion="9" * 64, checks=checks)


def test_the_card_of_a_refresh_shows_the_comparison_with_the_champion():
    told = section(written(verdict=refreshed()), SECTIONS[2])
    assert "The champion's recipe on newer days, which may not be worse than it." in told
    whole, slices, *_ = re.split(r"^### .+$", told, flags=re.MULTILINE)
    assert [(row[0], row[3]) for row in rows(whole)[2:]] == [
        ("not worse than champion", "pass"),
        ("surely not much worse than champion", "pass"),
        ("beats logistic", "reported"),
        ("refit stays near what was judged", "pass"),
    ]
    assert "-0.012" in rows(whole)[2][4]
    assert [row[0] for row in rows(slices)[2:]] == [
        "carrier=UA against champion",
        "carrier=UA against logistic",
    ]


@pytest.mark.parametrize("judged", [verdict(checks=CHECKS), refreshed()], ids=lambda v: v.kind)
def test_a_card_shows_every_check_of_the_verdict_once(judged):
    found = rows(section(written(verdict=judged), SECTIONS[2]))
    named = [row[0] for row in found if row[0] != "check" and set(row[0]) != {"-"}]
    assert sorted(named) == sorted(one.name for one in judged.checks)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, "pass"),
        ({"passed": False}, "FAIL"),
        ({"blocking": False}, "reported"),
        ({"blocking": False, "passed": False}, "reported"),
    ],
)
def test_a_card_says_pass_fail_or_reported_of_each_check(changes, answer):
    found = written(verdict=verdict(checks=[overall("beats x", **changes), check()]))
    assert rows(section(found, SECTIONS[2]))[2][3] == answer


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"training": training(rows=4_321)}, "4,321 labelled flights", id="rows"),
        pytest.param({"training": training(positives=312)}, "10.0% late", id="positives"),
        pytest.param(
            {"training": training(window="2013-01-09..2013-02-27")},
            "scheduled 2013-01-09 to 2013-02-27",
            id="window",
        ),
        pytest.param({"training": training(features=["a"])}, ", 1 inputs", id="features"),
        pytest.param({"training": training(feature_service="s-1")}, "`s-1`", id="service"),
        pytest.param({"training": training(digest="9" * 64)}, "delay 999999999999\n", id="model"),
        pytest.param({"name": "other"}, "# Model card: other ", id="name"),
        pytest.param(
            {"verdict": verdict(checks=CHECKS, rows=999)}, "999 flights of 31 days", id="judged"
        ),
        pytest.param({"verdict": verdict(checks=CHECKS, days=7)}, "flights of 7 days", id="days"),
        pytest.param(
            {"verdict": verdict(checks=CHECKS, window="2013-04-01..2013-04-30")},
            "days, 2013-04-01 to 2013-04-30",
            id="test window",
        ),
        pytest.param(
            {"verdict": verdict(checks=[overall("beats x", found=-0.4321)])},
            "| -0.4321 |",
            id="found",
        ),
        pytest.param(
            {"verdict": verdict(checks=[overall("beats x", limit=0.0777)])},
            "| 0.0777 |",
            id="limit",
        ),
        pytest.param(
            {"verdict": verdict(checks=[overall("beats x", detail="so far")])},
            "| so far |",
            id="why",
        ),
        pytest.param({"figures": FIGURES | {"roc_auc": 0.9}}, "ROC AUC 0.9000", id="auc"),
        pytest.param({"figures": FIGURES | {"log_loss": 0.9}}, "log loss 0.9000", id="log loss"),
        pytest.param({"figures": FIGURES | {"mean_risk": 0.9}}, "mean risk 0.9000", id="risk"),
        pytest.param({"figures": FIGURES | {"late_share": 0.9}}, "0.9000 were late", id="share"),
        pytest.param(
            {
                "manifest": Manifest(
                    source="elsewhere",
                    as_of="2013-01",
                    files={},
                    snapshots=[snapshot("2013-01", 77, "b" * 64, "weather")],
                )
            },
            "weather (elsewhere)",
            id="source",
        ),
        pytest.param(
            {
                "manifest": Manifest(
                    source="builders",
                    as_of="2013-01",
                    files={},
                    snapshots=[snapshot("2013-01", 7_777, "b" * 64, "weather")],
                )
            },
            "| weather | 2013-01 | 7,777 | `bbbbbbbbbbbb` |",
            id="a snapshot",
        ),
    ],
)
def test_a_card_says_what_its_records_say(changes, words):
    assert words not in written()
    assert words in written(**changes)


def test_every_number_of_a_card_that_is_no_fixed_text_is_from_the_records():
    fixed = "".join(section(written(groups=[]), SECTIONS[n]) for n in (0, 3, 4))
    assert set(re.findall(r"\d+", fixed)) <= {"15"}


def test_a_card_says_for_each_group_how_far_its_risks_are_off():
    row = ["carrier UA", "5,000", "25.0%", "+0.020 [+0.010, +0.030]", "too high"]
    assert rows(section(written(), SECTIONS[4]))[2:] == [row]


@pytest.mark.parametrize("hostile", ["a|b", "a\nb", "a\r\n\n## Limits\n|b", "|", "a\u2028b"])
def test_a_bar_or_a_line_end_in_a_check_breaks_no_table(hostile):
    checks = [overall(f"beats {hostile}", detail=hostile), *CHECKS]
    found = written(verdict=verdict(checks=checks))
    assert re.findall(r"^## (.+)$", found, re.MULTILINE) == SECTIONS
    assert {len(row) for row in rows(section(found, SECTIONS[2]))} == {5}
    assert len(found.splitlines()) == len(written().splitlines()) + 1


# In a release.


@pytest.mark.slow
def test_the_card_of_a_version_is_sealed_and_tells_of_its_own_model(challenged):
    config = load(RegisterConfig)
    for number in ("1", "2"):
        version = versions.get_version(config, number)
        record, papers, _ = release_consistency.fetch(config, version)
        text = (papers / release.CARD).read_text(encoding="utf-8")
        assert text.startswith(f"# Model card: flight-delay {version.digest[:12]}\n")
        assert record.papers[release.CARD] == file_hash(papers / release.CARD)
        figures = json.loads((papers / "data/evaluate/metrics.json").read_text())
        assert f"ROC AUC {figures['roc_auc']:.4f}" in text


@pytest.mark.slow
def test_a_card_that_was_embellished_is_told(registered):
    config = load(RegisterConfig)
    version = versions.get_version(config, "1")
    _, papers, _ = release_consistency.fetch(config, version)
    path = Path(papers / release.CARD)
    path.write_text(path.read_text().replace("Not for:", "For:"))
    with pytest.raises(ArtifactTampered, match=r"^card\.md of the release has SHA-256"):
        release_consistency.fetch(config, version)
