"""A release is whole: what was sealed is what is read, and its five parts come from one run."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import mlflow
import pytest
import yaml

from pipeline.features.feature_table import SERVICE
from pipeline.register import register
from pipeline.registry import release, release_consistency, versions
from pipeline.registry.release import Release
from pipeline.registry.release_consistency import PARTS
from pipeline.shared import dvc_lock
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.errors import ArtifactTampered, PipelineError, RegistryRefused, ReleaseRefused
from pipeline.shared.files import file_hash, write_json
from tests.shared import project

pytestmark = [pytest.mark.answer("release"), pytest.mark.slow]


@dataclass(frozen=True)
class Made:
    """A sealed release: its record, its papers, its model, and a checkout of its commit."""

    record: Release
    papers: Path
    model: Path
    checkout: Path


def make(shelf, name):
    """Seal what the working folder holds."""
    papers, checkout = shelf / name / "papers", shelf / name / "checkout"
    papers.mkdir(parents=True)
    release.gather(papers)
    (papers / release.CARD).write_text(f"the card of {name}\n")
    record = release.seal(papers)
    project.git("clone", "--quiet", ".", str(checkout))
    model = shelf / name / "model.onnx"
    shutil.copy(release.MODEL, model)
    return Made(record, papers, model, checkout)


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Two releases of one project that have no part in common."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        project.enter("judged", tmp_path_factory, folder / "project", patch)
        first = make(folder, "first")
        project.configure("train", **{"boosting.max_iter": 12})
        Path("requirements.lock").write_text("numpy==2.4.1\n")
        write_json(SERVICE, json.loads(SERVICE.read_text()) | {"version": "planted-2"})
        manifest = json.loads(release.MANIFEST.read_text())
        manifest["snapshots"][0]["content_hash"] = "9" * 64
        write_json(release.MANIFEST, manifest)
        project.commit()
        project.judge(12)
        yield first, make(folder, "second")


WITNESS = {
    "data": [release.MANIFEST],
    "model": [release.TRAINING],
    "features": [release.FEATURE_SERVICE],
    "config": [Path("configs") / f"{s}.yaml" for s in ("ingest", "features", "train", "evaluate")],
    "commit": [],
}
"""The papers that speak for a part; the commit speaks for itself in a checkout."""


def mixed(releases, parts, shelf):
    """A release whose parts come from the first or the second, as `parts` says of each.

    Its dvc.lock and all else are the first's.
    """
    papers = shelf / "papers"
    shutil.copytree(releases[0].papers, papers)
    record = releases[0].record
    for part, chosen in parts.items():
        source = releases[chosen]
        record = record.model_copy(update={part: getattr(source.record, part)})
        for paper in WITNESS[part]:
            shutil.copy(source.papers / paper, papers / paper)
    return Made(record, papers, releases[parts["model"]].model, releases[parts["commit"]].checkout)


def disagreements(made):
    return release_consistency.disagreements(made.record, made.papers, made.model, made.checkout)


def test_the_two_releases_have_no_part_in_common_and_each_is_in_step(releases):
    first, second = releases
    assert all(getattr(first.record, p) != getattr(second.record, p) for p in PARTS)
    assert disagreements(first) == disagreements(second) == {}


@pytest.mark.parametrize(("one", "other"), list(combinations(PARTS, 2)))
@pytest.mark.parametrize("foreign", [0, 1])
def test_a_release_in_which_two_parts_disagree_is_refused(releases, tmp_path, one, other, foreign):
    parts = dict.fromkeys(PARTS, 0) | {(one, other)[foreign]: 1}
    made = mixed(releases, parts, tmp_path)
    assert set(disagreements(made)) == {(one, other)[foreign]}
    with pytest.raises(ReleaseRefused, match=rf"1 of 5 parts .*: {(one, other)[foreign]}: "):
        release_consistency.require_in_step(made.record, made.papers, made.model, made.checkout)


def test_every_mixture_of_two_releases_is_refused_and_its_foreign_parts_are_named(
    releases, tmp_path, record_property: Callable[[str, object], None]
):
    refused = 0
    for number, origin in enumerate(product([0, 1], repeat=len(PARTS))):
        parts = dict(zip(PARTS, origin, strict=True))
        found = set(disagreements(mixed(releases, parts, tmp_path / str(number))))
        assert found == {part for part, chosen in parts.items() if chosen}
        refused += bool(found)
    assert refused == 31, "as docs/answers/release.md says"
    record_property(f"of {number + 1} mixtures refused, all but the one that is whole", refused)


@pytest.mark.parametrize("part", PARTS)
def test_a_record_that_names_another_part_than_its_papers_show_is_refused(releases, tmp_path, part):
    first, second = releases
    record = first.record.model_copy(update={part: getattr(second.record, part)})
    found = release_consistency.disagreements(record, first.papers, first.model, first.checkout)
    assert list(found) == [part]
    assert "the release names" in found[part]


def test_another_model_file_is_refused(releases):
    first, second = releases
    found = release_consistency.disagreements(first.record, first.papers, second.model)
    assert found["model"].startswith("the release names")


def test_without_a_checkout_the_commit_is_not_asked(releases):
    first, second = releases
    record = first.record.model_copy(update={"commit": second.record.commit})
    assert release_consistency.disagreements(record, first.papers, first.model) == {}


# The seal.


@pytest.fixture
def sealed(releases, tmp_path):
    papers = tmp_path / "papers"
    shutil.copytree(releases[0].papers, papers)
    return papers, file_hash(papers / release.RECORD)


def test_what_was_sealed_is_what_is_read(releases, sealed):
    assert release.read(*sealed) == releases[0].record


def test_a_changed_record_is_told(sealed):
    papers, digest = sealed
    record = json.loads((papers / release.RECORD).read_text())
    write_json(papers / release.RECORD, record | {"commit": "0" * 40})
    with pytest.raises(ArtifactTampered, match=r"release\.json of the release has SHA-256"):
        release.read(papers, digest)


@pytest.mark.parametrize("paper", ["dvc.lock", "requirements.lock", "configs/train.yaml"])
@pytest.mark.parametrize("change", ["altered", "gone"])
def test_a_paper_that_changed_is_told_by_name(sealed, paper, change):
    papers, digest = sealed
    if change == "gone":
        (papers / paper).unlink()
    else:
        (papers / paper).write_bytes((papers / paper).read_bytes() + b"\n")
    with pytest.raises(ArtifactTampered, match=rf"^{paper} of the release has .*sealed"):
        release.read(papers, digest)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "./a"])
def test_a_record_cannot_name_a_paper_outside_its_folder(releases, sealed, name):
    papers, _ = sealed
    record = releases[0].record.model_dump()
    write_json(papers / release.RECORD, record | {"papers": {name: "0" * 64}})
    with pytest.raises(ArtifactTampered, match="leads out of the folder"):
        release.read(papers, file_hash(papers / release.RECORD))


@pytest.mark.parametrize("name", ["tree.patch", "pipeline/__main__.py", "configs/release.json"])
def test_a_paper_that_was_added_is_told(sealed, name):
    papers, digest = sealed
    (papers / name).parent.mkdir(exist_ok=True)
    (papers / name).write_text("what nobody sealed")
    with pytest.raises(ArtifactTampered, match=rf"^{name} of the release .* nothing was sealed"):
        release.read(papers, digest)


# A forger, who writes records and papers anew and seals them so that every digest is right.


def forge(papers, change_lock=None, **changes):
    """Seal other papers: each keyword changes a part of the record; returns the new seal."""
    if change_lock:
        lock = yaml.safe_load((papers / dvc_lock.LOCK).read_text())
        change_lock(lock["stages"])
        (papers / dvc_lock.LOCK).write_text(yaml.safe_dump(lock, sort_keys=False))
    named = {p.relative_to(papers).as_posix(): file_hash(p) for p in release._files(papers)}
    record = json.loads((papers / release.RECORD).read_text())
    write_json(papers / release.RECORD, record | {"papers": named} | changes)
    return file_hash(papers / release.RECORD)


def forged(releases, papers, **changes):
    """What is said of forged papers, without and with a checkout of their commit."""
    record = release.read(papers, forge(papers, **changes))
    first = releases[0]
    return [
        release_consistency.disagreements(record, papers, first.model, place)
        for place in (None, first.checkout)
    ]


def rewrite(path, **values):
    write_json(path, json.loads(path.read_text()) | values)


@pytest.mark.parametrize("paper", [*map(str, release.REQUIRED_FILES), release.CARD])
def test_a_record_that_names_too_few_papers_is_refused(sealed, paper):
    papers, _ = sealed
    (papers / paper).unlink()
    with pytest.raises(ArtifactTampered, match=rf"^release\.json of the release names no {paper};"):
        release.read(papers, forge(papers))


@pytest.mark.parametrize(
    ("paper", "part"),
    [
        ("data/evaluate/verdict.json", "model"),
        ("data/evaluate/metrics.json", "model"),
        ("data/train/metrics.json", "model"),
        ("data/ingest/manifest.json", "data"),
        ("data/features/service.json", "features"),
        ("requirements.lock", "commit"),
    ],
)
def test_a_forged_paper_is_not_the_one_that_the_graph_wrote_or_read(releases, sealed, paper, part):
    papers, _ = sealed
    (papers / paper).write_bytes((papers / paper).read_bytes() + b"\n")
    for found in forged(releases, papers):
        assert list(found) == [part]
        assert found[part].startswith(f"{paper} is ")


def test_a_verdict_about_another_model_is_refused_though_the_lock_says_so_too(releases, sealed):
    papers, _ = sealed
    rewrite(papers / release.VERDICT, challenger="9" * 64)

    def admit(stages):
        (out,) = [o for o in stages["evaluate"]["outs"] if o["path"] == str(release.VERDICT)]
        out["md5"] = dvc_lock.md5(papers / release.VERDICT)

    for found in forged(releases, papers, change_lock=admit):
        assert found["model"].endswith("verdict.json is 999999999999")


def test_a_patch_that_the_record_does_not_name_is_refused(releases, sealed):
    papers, _ = sealed
    (papers / release.PATCH).write_text("a patch")
    for found in forged(releases, papers):
        assert found["commit"].startswith("the release names the patch nothing, tree.patch is ")


def test_a_patch_that_the_record_names_and_that_is_gone_is_refused(releases, sealed):
    papers, _ = sealed
    for found in forged(releases, papers, patch="9" * 64):
        assert list(found) == ["commit"]


@pytest.mark.parametrize(
    ("stage", "path", "part"),
    [
        ("evaluate", "data/train/model.onnx", "model"),
        ("train", "data/features/rows.parquet", "features"),
        ("train", "data/ingest/manifest.json", "data"),
    ],
)
def test_a_stage_that_ran_with_what_no_earlier_one_wrote_is_told(
    releases, sealed, stage, path, part
):
    papers, _ = sealed

    def stale(stages):
        (dep,) = [dep for dep in stages[stage]["deps"] if dep["path"] == path]
        dep["md5"] = "9" * 32

    for found in forged(releases, papers, change_lock=stale):
        assert list(found) == [part]
        assert found[part].endswith("a later stage ran with 999999999999")


def test_a_model_that_the_graph_did_not_write_is_told_though_every_stage_agrees(releases, sealed):
    papers, _ = sealed

    def another(stages):
        listed = [*stages["train"]["outs"], *stages["evaluate"]["deps"]]
        for entry in (entry for entry in listed if entry["path"] == str(release.MODEL)):
            entry["md5"] = "9" * 32

    for found in forged(releases, papers, change_lock=another):
        assert list(found) == ["model"]
        assert found["model"].endswith("the DVC pipeline wrote 999999999999")


def test_one_stage_that_ran_with_other_code_than_the_others_is_told(releases, sealed):
    papers, _ = sealed

    def stale(stages):
        (dep,) = [d for d in stages["ingest"]["deps"] if d["path"] == "requirements.lock"]
        dep["md5"] = "9" * 32

    for found in forged(releases, papers, change_lock=stale):
        assert list(found) == ["commit"]


def test_configs_that_are_not_the_commits_are_told_once_it_is_checked_out(releases, sealed):
    papers, _ = sealed
    path = papers / "configs/evaluate.yaml"
    path.write_text(path.read_text().replace("draws: 500", "draws: 501"))

    def admit(stages):
        stages["evaluate"]["params"]["configs/evaluate.yaml"]["bootstrap"]["draws"] = 501

    forge(papers, change_lock=admit)
    lock = dvc_lock.read_lock(papers / dvc_lock.LOCK)
    config = release.config_version(papers, lock)
    without, checked_out = forged(releases, papers, config=config)
    assert without == {}  # only the commit knows
    assert checked_out["commit"].startswith("configs/evaluate.yaml holds other values")


def test_what_is_forged_in_the_record_the_papers_and_the_lock_alike_only_a_rebuild_can_tell(
    releases, sealed
):
    papers, _ = sealed
    rewrite(papers / "data/evaluate/metrics.json", roc_auc=0.99)

    def admit(stages):
        (out,) = [
            o for o in stages["evaluate"]["outs"] if o["path"] == "data/evaluate/metrics.json"
        ]
        out["md5"] = dvc_lock.md5(papers / "data/evaluate/metrics.json")

    assert forged(releases, papers, change_lock=admit) == [{}, {}]


# In the registry.


def the_version(name="champion"):
    return versions.get_version(load(RegisterConfig), name)


def test_a_registered_version_brings_its_release_its_papers_and_its_model(registered):
    record, papers, model = release_consistency.fetch(load(RegisterConfig), the_version())
    assert record.model == file_hash(model) == file_hash(release.MODEL)
    assert record.commit == project.git("rev-parse", "HEAD")
    assert set(record.papers) >= {
        *("dvc.lock", "requirements.lock", "card.md", "configs/train.yaml"),
        *("data/ingest/manifest.json", "data/train/training.json", "data/evaluate/verdict.json"),
        *("data/train/metrics.json", "data/evaluate/metrics.json"),
    }
    assert (papers / "dvc.lock").read_bytes() == Path("dvc.lock").read_bytes()


def test_every_tag_that_is_rewritten_is_told_by_name(registered):
    config, version = load(RegisterConfig), the_version()
    record, papers, _ = release_consistency.fetch(config, version)
    client = mlflow.MlflowClient(*[config.tracking_url.get_secret_value()] * 2)
    for name, value in release.tags(record, papers).items():
        if name == "release":
            continue
        client.set_model_version_tag(config.model_name, version.number, name, "rewritten")
        with pytest.raises(
            ArtifactTampered, match=rf"tag {name} of .* says 'rewritten', its release"
        ):
            release_consistency.fetch(config, the_version())
        client.set_model_version_tag(config.model_name, version.number, name, value)
    assert release_consistency.fetch(config, the_version())


def test_a_seal_that_is_rewritten_leads_to_no_release(registered):
    config, version = load(RegisterConfig), the_version()
    versions.set_tags(config, version, {"release": "0" * 64})
    with pytest.raises(RegistryRefused, match="release/000000000000 is version 1, but"):
        release_consistency.fetch(config, the_version())


def test_a_model_that_was_swapped_in_the_store_is_told(registered):
    config, version = load(RegisterConfig), the_version()
    path = versions.fetch_model(config, version)
    path.write_bytes(Path("data/train/logistic.onnx").read_bytes())
    with pytest.raises(ArtifactTampered, match=r"version 1 has SHA-256 \w+…, \w+… was registered"):
        release_consistency.fetch(config, the_version())


def test_a_config_that_was_changed_in_the_store_is_told(registered):
    config, version = load(RegisterConfig), the_version()
    _, papers, _ = release_consistency.fetch(config, version)
    path = papers / "configs/train.yaml"
    path.write_text(path.read_text().replace("max_iter: 10", "max_iter: 11"))
    with pytest.raises(ArtifactTampered, match=r"^configs/train\.yaml of the release has"):
        release_consistency.fetch(config, the_version())


def test_a_version_that_another_tool_registered_has_no_release(registered):
    config, version = load(RegisterConfig), the_version()
    client = mlflow.MlflowClient(*[config.tracking_url.get_secret_value()] * 2)
    client.delete_model_version_tag(config.model_name, version.number, "release")
    with pytest.raises(RegistryRefused, match="has no tag 'release'"):
        release_consistency.fetch(config, the_version())


@pytest.mark.long
def test_a_model_that_was_trained_outside_the_graph_is_not_registered(judged):
    project.configure("train", **{"boosting.max_iter": 11})
    register_it = register.run
    from pipeline import train
    from pipeline.evaluate import gate as evaluate

    train.run()
    evaluate.run()  # the graph's lock knows of neither
    with pytest.raises(ReleaseRefused, match=r"3 of 5 parts .* commit: .* model: .* config: confi"):
        register_it()
    assert versions.version_of_alias(load(RegisterConfig), "champion") is None


def test_code_that_changed_after_the_graph_ran_is_not_registered(judged):
    Path("requirements.lock").write_text("numpy==2.4.2\n")
    with pytest.raises(ReleaseRefused, match=r"1 of 5 parts .* commit: requirements\.lock is "):
        register.run()


def test_a_model_whose_data_cannot_be_stored_is_not_registered(judged):
    (judged / ".dvc/remote").write_text("a file where the remote should be")
    with pytest.raises(PipelineError, match="a model whose data are nowhere cannot be rebuilt"):
        register.run()
    assert versions.version_of_alias(load(RegisterConfig), "champion") is None


def test_a_registered_version_has_its_data_in_the_remote(registered):
    lock = dvc_lock.read_lock(Path("dvc.lock"))
    stored = registered / ".dvc/remote"
    for path, md5 in lock["train"].outs.items():
        if path not in dvc_lock.uncached_outputs(Path()):
            assert dvc_lock.cache_path(md5, stored).is_file(), path


def test_a_promotion_checks_the_release_first(challenged):
    config = load(RegisterConfig)
    versions.set_tags(config, the_version("challenger"), {"git_commit": "0" * 40})
    with pytest.raises(ArtifactTampered, match="tag git_commit of flight-delay version 2"):
        register.promote()
    assert the_version().number == "1"


def test_every_approval_is_kept_with_who_gave_it_and_what_was_champion_before(challenged):
    register.promote()
    (first,) = versions.approvals(the_version("1"))
    (second,) = versions.approvals(the_version("2"))
    assert (first["before"], second["before"]) == ("none", "version 1")
    assert second["release"] == the_version("2").tags["release"][:12]
    assert second["by"]
    assert second["at"].endswith("+00:00")


@pytest.mark.long
def test_a_model_that_is_judged_again_gets_a_new_release_and_keeps_the_old_one(challenged):
    config = load(RegisterConfig)
    before = the_version("challenger")
    verdict = json.loads(release.VERDICT.read_text())
    write_json(release.VERDICT, verdict | {"window": "2013-03-02..2013-03-31"})
    project.locked()
    register.run()
    after = the_version("challenger")
    assert after.number == before.number
    assert after.tags["release"] != before.tags["release"]
    assert release_consistency.fetch(config, after)
    old = versions.fetch_folder(config, after, release.artifact_path(before.tags["release"]))
    assert release.read(old, before.tags["release"]).model == after.digest
