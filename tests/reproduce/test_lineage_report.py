"""Where a version comes from can be read on one page, which tells what was sealed or nothing."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from pipeline.__main__ import main
from pipeline.register import register
from pipeline.registry import release, release_consistency, versions
from pipeline.reproduce.lineage_report import lineage, lineage_report
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import OVERALL, REPRODUCE
from pipeline.shared.errors import ArtifactTampered, VersionUnknown
from pipeline.shared.files import file_hash, write_json

pytestmark = [pytest.mark.answer("lineage"), pytest.mark.slow]

HOSTILE = 'a"]; click x "javascript:1"\n```\n# <b>|`'
"""What would end a box, a graph, a line, a cell or a fence."""


def the_page(number=1):
    return (REPRODUCE / f"lineage-{number}.md").read_text(encoding="utf-8")


def fetched(version="champion"):
    config = load(RegisterConfig)
    registered = versions.get_version(config, version)
    record, papers, _ = release_consistency.fetch(config, registered)
    return registered, record, papers


def section(text, title):
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(text):
    """The cells of the rows of a table, without its head."""
    lines = [line for line in text.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def graph_of(text):
    (graph,) = re.findall(r"^```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return graph


def require_well_formed(graph):
    """Each line defines boxes with balanced quotes, or joins boxes that are defined."""
    first, *lines = graph.splitlines()
    assert first == "flowchart LR"
    box = r'\w+(?:\["[^"\[\]`]*"\])?'
    for line in lines:
        assert re.fullmatch(rf"  {box} --> {box}", line), line
    defined = set(re.findall(r'(\w+)\["', graph)) | {"release"}
    joined = {end for line in lines for end in re.findall(r"(\w+)(?:\[.*?\])?(?: -->|$)", line)}
    assert joined == defined


def test_a_page_names_the_five_parts_in_full(
    registered, record_property: Callable[[str, object], None]
):
    lineage()
    _, record, _ = fetched()
    told = {row[0]: row[1] for row in rows(section(the_page(), "Parts"))}
    assert {part: told[part] for part in ("commit", "data", "model", "config")} == {
        part: getattr(record, part) for part in ("commit", "data", "model", "config")
    }
    assert told["feature service"] == record.features
    assert told["environment"] == file_hash(Path("requirements.lock"))
    assert told["training"] == "2013-01-08..2013-02-28"
    assert told["machine"] == record.machine
    record_property("parts of a version that the page names", len(told))


def test_a_page_lists_every_snapshot(registered, record_property: Callable[[str, object], None]):
    lineage()
    manifest = json.loads(release.MANIFEST.read_text())
    assert len(manifest["snapshots"]) == 3
    listed = rows(section(the_page(), "Data"))
    assert listed == [
        [s["table"], s["month"], f"{s['rows']:,}", s["first"], s["last"], s["content_hash"][:12]]
        for s in manifest["snapshots"]
    ]
    record_property("snapshots that the page lists with rows, instants and hash", len(listed))


def test_a_page_tells_the_verdict_with_its_checks(
    registered, record_property: Callable[[str, object], None]
):
    lineage()
    verdict = json.loads(release.VERDICT.read_text())
    told = section(the_page(), "Verdict")
    blocking = sum(check["blocking"] for check in verdict["checks"])
    assert f"{blocking} of {blocking} blocking checks passed on {verdict['rows']:,} fl" in told
    overall = [c for c in verdict["checks"] if c["kind"] in OVERALL]
    assert rows(told) == [[c["name"], c["detail"]] for c in overall]
    assert overall
    record_property("blocking checks of the verdict that the page tells", blocking)


def test_a_page_lists_the_approvals_in_their_order(challenged):
    register.promote()
    version = versions.get_version(load(RegisterConfig), "2")
    told = {"by": "z", "release": "r", "before": "3", "entry": "e" * 64}
    versions.approve(load(RegisterConfig), version, told)
    lineage("2")
    told = rows(section(the_page(2), "Approvals"))
    assert [row[2] for row in told] == ["version 1", "3"]
    assert told[0][0] <= told[1][0]
    assert told[1][1] == "z"


def test_a_version_that_nobody_approved_says_so(challenged):
    assert "never champion" in lineage("challenger")
    assert section(the_page(2), "Approvals").strip() == "None yet."


def test_the_graph_is_well_formed_and_says_against_whom_the_model_was_judged(challenged):
    lineage("1")
    lineage("2")
    require_well_formed(graph_of(the_page(1)))
    require_well_formed(graph_of(the_page(2)))
    assert "no champion yet" in graph_of(the_page(1))
    champion = versions.get_version(load(RegisterConfig), "1")
    assert f'opponent["champion {champion.digest[:12]}"]' in graph_of(the_page(2))


def test_the_graph_says_whether_the_tree_was_clean(registered):
    version, record, papers = fetched()
    assert '<br/>clean"]' in lineage_report("m", version, record, papers, "card.md")
    patched = record.model_copy(update={"patch": "a" * 64})
    assert '<br/>patched"]' in graph_of(lineage_report("m", version, patched, papers, "card.md"))


def test_hostile_words_break_out_of_no_box_and_no_table(registered, tmp_path_factory):
    version, record, papers = fetched()
    hostile = record.model_copy(update=dict.fromkeys(("commit", "features", "python"), HOSTILE))
    hostile = hostile.model_copy(update={"machine": HOSTILE})
    plain = lineage_report("m", version, record, papers, "card.md")
    verdict = json.loads((papers / release.VERDICT).read_text()) | {"champion": HOSTILE}
    for check in verdict["checks"]:
        check["detail"] = HOSTILE
    manifest = json.loads((papers / release.MANIFEST).read_text()) | {"source": HOSTILE}
    elsewhere = tmp_path_factory.mktemp("papers")
    write_json(elsewhere / release.VERDICT, verdict)
    write_json(elsewhere / release.MANIFEST, manifest)
    write_json(elsewhere / release.TRAINING, json.loads((papers / release.TRAINING).read_text()))
    found = lineage_report("m", version, hostile, elsewhere, "card.md")
    require_well_formed(graph_of(found))
    assert found.count("\n```") == plain.count("\n```")
    assert [line[:2] for line in found.split("\n")] == [line[:2] for line in plain.split("\n")]
    for title in ("Parts", "Verdict"):
        before, after = (rows(section(text, title)) for text in (plain, found))
        assert [len(row) for row in after] == [len(row) for row in before]


def test_the_card_beside_the_page_is_the_sealed_one(registered):
    told = lineage()
    _, record, _ = fetched()
    card = REPRODUCE / "card-1.md"
    assert file_hash(card) == record.papers[release.CARD]
    assert f"[Model card]({card.name})" in the_page()
    assert told.endswith(f"-> {REPRODUCE}/lineage-1.md, {card}")


def test_a_version_is_named_by_its_number_or_its_alias(challenged):
    assert lineage("1").startswith("flight-delay version 1: commit ")
    assert lineage("challenger").startswith("flight-delay version 2: commit ")
    assert lineage().startswith("flight-delay version 1: commit ")


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        *("0", "-1", "1.0", "01", "1 ", " 1", "1\n", "", "٣", "1" * 20),
        *("Champion", "champion\n", "champion@1", "a" * 80),
        *("../1", "/etc/passwd", "1/../2", "..", ".", "1\0"),
        *("1' OR '1'='1", "1; DROP TABLE model_versions", "name = 'x'", "%", "*", "--help"),
    ],
)
def test_what_can_name_no_version_is_refused_and_writes_nothing(registered, name):
    with pytest.raises(VersionUnknown, match=r"is no version: .*`make lineage VERSION=1`"):
        lineage(name)
    assert VersionUnknown.exit_code == 2
    assert not REPRODUCE.exists()
    assert versions.get_version(load(RegisterConfig), "1").number == "1"


@pytest.mark.parametrize("name", ["2", "999999999", "challenger", "latest"])
def test_a_version_that_is_not_there_is_refused_and_writes_nothing(registered, name):
    with pytest.raises(
        VersionUnknown,
        match=r"it has 1 version\(s\) \[1\] .*\['champion'\]; see `make lineage VERSION=1`",
    ):
        lineage(name)
    assert not REPRODUCE.exists()


def test_a_wrong_version_is_wrong_usage_on_the_command_line(registered, capsys):
    assert main(["lineage", "--version", "1' OR '1'='1"]) == 2
    assert capsys.readouterr().err.startswith("lineage: VersionUnknown: ")


def test_without_a_registry_no_version_is_known_and_none_is_made(started):
    with pytest.raises(VersionUnknown, match=r"it has 0 version\(s\)"):
        lineage()
    assert not Path("state").exists()


@pytest.mark.long
@pytest.mark.parametrize("what", ["a tag", "a paper", "the card", "the model", "the record"])
def test_of_a_registry_that_was_rewritten_nothing_is_written(registered, what):
    config = load(RegisterConfig)
    version, _, papers = fetched()
    if what == "a tag":
        versions.set_tags(config, version, {"data_hash": "0" * 64})
    else:
        path = {
            "a paper": papers / release.VERDICT,
            "the card": papers / release.CARD,
            "the record": papers / release.RECORD,
            "the model": versions.fetch_model(config, version),
        }[what]
        path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ArtifactTampered):
        lineage()
    assert not REPRODUCE.exists()


def test_a_version_without_a_release_has_no_page(registered):
    config = load(RegisterConfig)
    client = mlflow.MlflowClient(*[config.tracking_url.get_secret_value()] * 2)
    client.delete_model_version_tag(config.model_name, "1", "release")
    assert main(["lineage"]) == 1
    assert not REPRODUCE.exists()
