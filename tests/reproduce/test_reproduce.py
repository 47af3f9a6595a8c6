"""What a rebuild is compared with, where it may write, and which stage it blames first."""

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.register import register
from pipeline.registry import release, release_consistency, versions
from pipeline.registry.release import MANIFEST, MODEL, TRAINING, VERDICT
from pipeline.reproduce import reproduce
from pipeline.reproduce.compare import ComparedItem, Rebuild
from pipeline.shared import dvc_lock
from pipeline.shared.config.loading import load, read_values
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import REPRODUCE
from pipeline.shared.errors import EnvironmentUnfit, NotReproduced
from pipeline.shared.files import file_hash, write_json
from tests.shared import project

pytestmark = pytest.mark.answer("three-artefacts")

REPORT = REPRODUCE / "version-7.json"


def item(path="data/train/model.onnx", answer="equal", **changes):
    """One output that was compared; its folder says of which stage it is."""
    whole = {"stage": path.split("/")[1], "what": path, "answer": answer}
    return ComparedItem(**whole | {"recorded": "a1" * 32, "found": "b2" * 32} | changes)


def reproduction(*outputs, headlines=(), finished=True):
    return reproduce.Reproduction(
        version="7",
        release="r" * 64,
        commit="c" * 40,
        python="3.12.1",
        threads="1",
        finished=finished,
        headlines=list(headlines),
        outputs=list(outputs),
    )


# The answer.


def test_a_version_of_which_everything_is_equal_is_what_was_registered():
    told = reproduce._summary(reproduction(item(), item("data/evaluate/verdict.json")), REPORT)
    assert told.startswith(
        "version 7 is what was registered: 2 of 2 outputs equal byte for byte -> "
    )
    assert str(REPORT) in told


def test_what_is_tolerated_is_shown_and_does_not_count_as_equal():
    tolerated = item("data/train/logistic.onnx", "within tolerance", detail="by 1e-06")
    told = reproduce._summary(reproduction(item(), tolerated), REPORT)
    assert "1 of 2 outputs equal byte for byte" in told
    assert re.search(r"train +data/train/logistic\.onnx +within tolerance +by 1e-06", told)
    assert "data/train/model.onnx" not in told


@pytest.mark.parametrize(
    ("outputs", "first"),
    [
        ([("evaluate", "different"), ("train", "equal")], "evaluate"),
        ([("ingest", "equal"), ("features", "different"), ("train", "different")], "features"),
        ([("ingest", "within tolerance"), ("train", "different")], "train"),
        ([("ingest", "different"), ("train", "different"), ("evaluate", "different")], "ingest"),
    ],
)
def test_the_first_stage_that_differs_is_named_in_the_order_of_the_flow(outputs, first):
    found = reproduction(*(item(f"data/{name}/x.json", answer) for name, answer in outputs))
    with pytest.raises(NotReproduced, match=f"registered: {first} is the first stage that diff"):
        reproduce._summary(found, REPORT)


def test_a_headline_that_differs_alone_is_enough_and_its_stage_is_named():
    headline = item("data/ingest/x", "different", what="snapshots")
    with pytest.raises(NotReproduced, match="registered: ingest is the first stage that differs"):
        reproduce._summary(reproduction(item(), headlines=[headline]), REPORT)


def test_an_earlier_output_is_named_before_a_later_headline():
    headline = item("data/evaluate/x", "different", what="predictions, test set")
    outputs = [item("data/features/rows.parquet", "different"), item("data/evaluate/y", "equal")]
    with pytest.raises(NotReproduced, match="registered: features is the first stage"):
        reproduce._summary(reproduction(*outputs, headlines=[headline]), REPORT)


def test_a_graph_that_did_not_come_to_its_end_is_not_reproduced_whatever_is_equal():
    with pytest.raises(NotReproduced, match="the DVC pipeline did not finish; 1 of 1 outputs"):
        reproduce._summary(reproduction(item(), finished=False), REPORT)


def test_a_refusal_names_the_report_and_the_next_command():
    with pytest.raises(NotReproduced) as refused:
        reproduce._summary(reproduction(item(answer="different")), REPORT)
    assert str(refused.value).endswith(
        f"all of it: {REPORT}; what it was made of: `make lineage VERSION=7`"
    )
    assert f"{'a1' * 6} was recorded, {'b2' * 6} is there" in str(refused.value)
    assert NotReproduced.exit_code == 1


# The headlines.


@pytest.fixture
def sides(tmp_path):
    """A rebuilt checkout and the papers of what was recorded, the same in all four headlines."""
    for side in ("papers", "now"):
        snapshots = [{"table": "flights", "month": m, "content_hash": m} for m in ("1", "2")]
        write_json(tmp_path / side / MANIFEST, {"snapshots": snapshots})
        write_json(tmp_path / side / TRAINING, {"predictions_hash": "every"})
        write_json(tmp_path / side / VERDICT, {"predictions_hash": "judged"})
    (tmp_path / "now" / MODEL).write_bytes(b"a model")
    return Rebuild(tmp_path / "now", tmp_path / "papers", {}, {})


def headlines(sides, *outputs, model=b"a model"):
    path = sides.folder.parent / "recorded.onnx"
    path.write_bytes(model)
    record = release.Release(
        commit="c" * 40,
        patch=None,
        data="d" * 64,
        model=file_hash(path),
        features="f-1",
        config="e" * 64,
        python="3.12.1",
        machine="m",
        papers={},
    )
    return {one.what: one for one in reproduce.headlines(record, sides, list(outputs))}


SNAPSHOTS, EVERY, TEST = "snapshots", "predictions, every flight", "predictions, test set"


def change(path, **values):
    write_json(path, json.loads(path.read_text()) | values)


def test_four_headlines_come_in_the_order_of_the_flow_and_are_equal(sides):
    found = headlines(sides)
    assert list(found) == [SNAPSHOTS, "model", EVERY, TEST]
    assert {one.answer for one in found.values()} == {"equal"}
    assert [one.stage for one in found.values()] == ["ingest", "train", "train", "evaluate"]
    assert (found[SNAPSHOTS].recorded, found[SNAPSHOTS].found) == ("2", "2")


def test_a_snapshot_that_differs_or_is_gone_is_counted(sides):
    snapshots = json.loads((sides.folder / MANIFEST).read_text())["snapshots"]
    for changed in ([snapshots[0], snapshots[1] | {"content_hash": "9"}], snapshots[:1]):
        change(sides.folder / MANIFEST, snapshots=changed)
        found = headlines(sides)[SNAPSHOTS]
        assert (found.recorded, found.found, found.answer) == ("2", "1", "different")


def test_a_digest_that_differs_is_what_its_output_is(sides):
    change(sides.folder / TRAINING, predictions_hash="other")
    change(sides.folder / VERDICT, predictions_hash="other")
    close = item("data/evaluate/predictions.parquet", "within tolerance")
    found = headlines(sides, close, item(answer="different"), model=b"another model")
    assert (found[EVERY].answer, found[TEST].answer) == ("within tolerance", "within tolerance")
    assert found["model"].answer == "different"


def test_a_digest_that_differs_with_nothing_to_say_how_far_is_different(sides):
    change(sides.folder / TRAINING, predictions_hash="other")
    assert headlines(sides)[EVERY].answer == "different"


def test_what_was_not_made_at_all_is_different_and_no_crash(sides):
    for path in (MODEL, TRAINING, VERDICT, MANIFEST):
        (sides.folder / path).unlink()
    found = headlines(sides)
    assert {one.answer for one in found.values()} == {"different"}
    assert found["model"].found == "nothing"


# The threads.


@pytest.fixture
def train_config(tmp_path):
    path = tmp_path / "configs/train.yaml"
    path.parent.mkdir()
    path.write_bytes((project.ROOT / "configs/train.yaml").read_bytes())
    return path


def test_threads_are_changed_in_the_config_and_nothing_beside_them(train_config):
    before = train_config.read_text()
    told = reproduce._override_threads(train_config.parents[1], 2)
    assert train_config.read_text() == before.replace("\nthreads: 1\n", "\nthreads: 2\n") != before
    assert told == {'"threads": 1': '"threads": 2'}


def test_without_other_threads_nothing_is_changed(train_config):
    before = train_config.read_bytes()
    assert reproduce._override_threads(train_config.parents[1], 0) == {}
    assert train_config.read_bytes() == before


@pytest.mark.parametrize("text", ["seed: 0\n", "threads: 1\nthreads: 1\n", "  threads: 1\n"])
def test_a_config_that_does_not_set_its_threads_once_is_left_alone(train_config, text):
    train_config.write_text(text)
    with pytest.raises(EnvironmentUnfit, match=r"`make reproduce` without THREADS"):
        reproduce._override_threads(train_config.parents[1], 2)
    assert train_config.read_text() == text


# The registry of a rebuild.


@pytest.fixture
def checkout(challenged, tmp_path_factory):
    """A checkout whose configs name the real registry, and the papers of a version."""
    folder = tmp_path_factory.mktemp("rebuild") / "checkout"
    (folder / "configs").mkdir(parents=True)
    for path in Path("configs").glob("*.yaml"):
        (folder / path).write_bytes(path.read_bytes())

    def of(name):
        config = load(RegisterConfig)
        return folder, release_consistency.fetch(config, versions.get_version(config, name))[1]

    return of


def own(folder):
    return RegisterConfig.model_validate(read_values(folder / "configs/register.yaml"))


def kept(folder):
    """Every file of a registry but its database's own journal, byte for byte."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".db")
    return {path.relative_to(folder): file_hash(path) for path in files}


@pytest.mark.slow
def test_a_rebuild_never_names_the_real_registry(challenged, checkout):
    folder, papers = checkout("challenger")
    before = kept(challenged / "state")
    reproduce._isolate_registry(load(RegisterConfig), folder, papers)
    text = (folder / "configs/register.yaml").read_text()
    assert str(challenged) not in text
    for url in (own(folder).tracking_url, own(folder).artifacts_url):
        assert f"{folder}/state/" in str(url)
    assert kept(challenged / "state") == before
    assert sorted(one.number for one in versions._versions(load(RegisterConfig))) == ["1", "2"]


@pytest.mark.slow
def test_the_opponent_is_champion_of_the_rebuild_under_its_digest(challenged, checkout):
    folder, papers = checkout("challenger")
    real = versions.get_version(load(RegisterConfig), "1")
    reproduce._isolate_registry(load(RegisterConfig), folder, papers)
    planted = versions.version_of_alias(own(folder), versions.CHAMPION)
    assert planted.digest == real.digest == json.loads((papers / VERDICT).read_text())["champion"]
    path = versions.fetch_model(own(folder), planted)
    assert path.is_relative_to(folder)
    assert file_hash(path) == real.digest
    assert planted.tag("window") == real.tag("window")


@pytest.mark.slow
def test_a_version_that_met_no_champion_meets_none_again(challenged, checkout):
    folder, papers = checkout("champion")
    reproduce._isolate_registry(load(RegisterConfig), folder, papers)
    assert versions.version_of_alias(own(folder), versions.CHAMPION) is None


@pytest.mark.slow
def test_an_opponent_that_the_registry_no_longer_holds_is_told(challenged, checkout):
    folder, papers = checkout("challenger")
    verdict = json.loads((papers / VERDICT).read_text())
    elsewhere = folder.parent / "papers"
    write_json(elsewhere / VERDICT, verdict | {"champion": "9" * 64})
    with pytest.raises(NotReproduced, match=r"judged against 999999999999, which .* no longer"):
        reproduce._isolate_registry(load(RegisterConfig), folder, elsewhere)


# All of it, on a graph that cannot run: the small project's commit does not hold its code.


@pytest.fixture
def rebuildable(judged):
    """Registers a version whose commit names its registry and needs this numpy, or another."""

    def made(numpy):
        Path("requirements.lock").write_text(f"numpy=={numpy}\n")
        project.locked()
        project.git("add", "--force", "configs/register.yaml")
        project.commit()
        register.run()

    return made


@pytest.mark.long
@pytest.mark.slow
def test_what_a_graph_did_not_make_anew_is_lost_and_the_report_lists_all_of_it(rebuildable):
    rebuildable(version("numpy"))
    with pytest.raises(
        NotReproduced, match="ingest is the first stage that differs; the DVC pipeline"
    ):
        reproduce.run("1")
    report = json.loads((REPRODUCE / "version-1.json").read_text())
    lock = dvc_lock.read_lock(Path("dvc.lock"))
    recorded = {path: md5 for entry in lock.values() for path, md5 in entry.outs.items()}
    assert {one["what"]: one["recorded"] for one in report["outputs"]} == recorded
    assert {(one["answer"], one["found"]) for one in report["outputs"]} == {
        ("different", "nothing")
    }
    assert (report["version"], report["threads"], report["finished"]) == ("1", "1", False)
    assert report["commit"] == project.git("rev-parse", "HEAD")
    assert len(project.git("worktree", "list").splitlines()) == 1


@pytest.mark.long
@pytest.mark.slow
def test_an_environment_that_differs_is_told_before_anything_is_run(rebuildable):
    rebuildable("0.0.1")
    with pytest.raises(EnvironmentUnfit, match=r"numpy .* is installed, 0\.0\.1 was recorded"):
        reproduce.run("1")
    assert not REPRODUCE.exists()
    assert len(project.git("worktree", "list").splitlines()) == 1
