import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.shared import dvc, dvc_lock, lineage
from pipeline.shared.errors import ArtifactTampered, DataUnavailable
from tests.shared import project

pytestmark = pytest.mark.answer("three-artefacts")


def test_the_lock_of_the_project_itself_is_read_in_the_order_of_the_flow():
    lock = dvc_lock.read_lock(project.ROOT / "dvc.lock")
    assert list(lock) == ["ingest", "validate", "features", "train", "evaluate"]
    assert lock["train"].outs["data/train/logistic.onnx"]
    assert lock["train"].params["configs/train.yaml"]["seed"] == 0


@pytest.mark.parametrize(
    "text", ["stages: [", "- a list", "stages: {train: 3}", "stages: {train: {outs: [{}]}}", "\x00"]
)
def test_what_dvc_did_not_write_is_refused(tmp_path, text):
    path = tmp_path / "dvc.lock"
    path.write_text(text)
    with pytest.raises(ArtifactTampered, match=r"is not what DVC writes .*`make evaluate`"):
        dvc_lock.read_lock(path)


def lock_of(path, **stages):
    """Write a lock in which each stage reads and writes what is said of it."""
    entries = {
        name: {
            kind: [{"path": f"data/{file}", "md5": "0" * 32} for file in files]
            for kind, files in (("deps", deps), ("outs", outs))
        }
        for name, (deps, outs) in stages.items()
    }
    path.write_text(yaml.safe_dump({"stages": entries}, sort_keys=False))
    return path


def test_the_order_is_the_flows_whatever_the_order_in_the_file(tmp_path):
    lock = lock_of(
        tmp_path / "dvc.lock",
        evaluate=(["train/model.onnx"], ["evaluate/verdict.json"]),
        validate=(["ingest"], ["validate/flights"]),
        train=(["validate/flights"], ["train/model.onnx"]),
        ingest=([], ["ingest/manifest.json"]),
    )
    assert list(dvc_lock.read_lock(lock)) == ["ingest", "validate", "train", "evaluate"]


def test_a_lock_whose_stages_need_each_other_is_refused(tmp_path):
    lock = lock_of(tmp_path / "dvc.lock", a=(["b"], ["a"]), b=(["a"], ["b"]))
    with pytest.raises(ArtifactTampered, match=r"is not what DVC writes .*cycle"):
        dvc_lock.read_lock(lock)


def test_a_graph_that_never_ran_has_no_stages(tmp_path):
    path = tmp_path / "dvc.lock"
    path.write_text("schema: '2.0'\n")
    assert dvc_lock.read_lock(path) == {}


def test_small_figures_are_left_to_git(monkeypatch):
    monkeypatch.chdir(project.ROOT)
    assert {"data/train/metrics.json", "data/evaluate/metrics.json"} <= set(
        dvc_lock.uncached_outputs(Path())
    )
    assert "data/train/logistic.onnx" not in dvc_lock.uncached_outputs(Path())


def test_there_is_no_md5_of_nothing(tmp_path):
    assert dvc_lock.md5(tmp_path / "gone") is None


@pytest.mark.slow
def test_every_md5_is_the_one_that_dvc_gives(judged):
    (judged / "data/train/figures/__pycache__").mkdir()
    (judged / "data/train/figures/__pycache__/left.pyc").write_bytes(b"by a run")
    seen = 0
    for stage in dvc_lock.read_lock(judged / "dvc.lock").values():
        for path, md5 in {**stage.deps, **stage.outs}.items():
            assert dvc_lock.md5(judged / path) == md5, path
            seen += md5.endswith(".dir")
    assert seen == 1  # a folder is among them


@pytest.mark.long
@pytest.mark.slow
def test_what_is_pushed_here_is_pulled_elsewhere_and_what_is_gone_or_changed_is_named(
    judged, tmp_path_factory, monkeypatch
):
    dvc_lock.push()
    shared = tmp_path_factory.mktemp("shared")  # a user's cache for all checkouts, which has it all
    (shared / "config").write_text(f"[cache]\n    dir = {judged / '.dvc/cache'}\n")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(shared))
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "clone"
    project.git("clone", "--quiet", ".", str(elsewhere))
    shutil.copy("dvc.lock", elsewhere)
    dvc_lock.use_remote(elsewhere, dvc_lock.remote(Path()))
    written = dvc_lock.output_digests(Path())
    dvc_lock.pull(elsewhere, written)
    figures = dvc_lock.uncached_outputs(Path())
    assert dvc_lock.output_digests(elsewhere) == {
        p: m for p, m in written.items() if p not in figures
    }
    lock = dvc_lock.read_lock(Path("dvc.lock"))
    model = lock["train"].outs["data/train/logistic.onnx"]
    assert dvc_lock.md5(elsewhere / "data/train/logistic.onnx") == model
    picture = written["data/train/figures/roc.png"]
    stored = [
        dvc_lock.cache_path(picture, judged / ".dvc/remote"),
        dvc_lock.cache_path(model, judged / ".dvc/remote"),
    ]
    stored[0].chmod(0o644)
    stored[0].write_bytes(b"another picture")
    stored[1].unlink()
    for folder in (".dvc/cache", "data"):
        shutil.rmtree(elsewhere / folder)
    with pytest.raises(DataUnavailable) as refused:
        dvc_lock.pull(elsewhere, written)
    assert str(refused.value).startswith(
        f"2 of {len(written)} recorded files did not come from the DVC remote"
    )
    assert f"data/train/logistic.onnx ({model})" in str(refused.value)
    assert f"data/train/figures/roc.png ({picture})" in str(refused.value)


@pytest.mark.slow
def test_a_remote_that_cannot_be_written_is_a_refusal_in_dvcs_words(judged):
    (judged / ".dvc/remote").write_text("a file where the remote should be")
    with pytest.raises(
        DataUnavailable, match=r"could not be stored in the DVC remote.*`make push`"
    ):
        dvc_lock.push()


@pytest.mark.slow
def test_a_checkout_without_a_remote_is_told_how_to_name_one(judged):
    (judged / ".dvc/config").write_text("[core]\n    analytics = false\n")
    with pytest.raises(DataUnavailable, match="`dvc remote add --default NAME URL`"):
        dvc_lock.remote(Path())


def test_the_settings_of_a_command_lead_into_no_other_checkout(monkeypatch):
    for name in ("GIT_DIR", "PYTHONPATH", "PIPELINE_TRACKING_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("AWS_PROFILE", "of the remote")
    assert "elsewhere" not in dvc.isolated_environment().values()
    assert dvc.isolated_environment()["AWS_PROFILE"] == "of the remote"
    assert dvc.environment()["PIPELINE_TRACKING_URL"] == "elsewhere", "it is this project's own"
    assert "GIT_DIR" not in dvc.environment()


def test_the_graph_of_the_small_project_is_the_real_one_without_what_it_lacks():
    real = yaml.safe_load((project.ROOT / "dvc.yaml").read_text())["stages"]
    small = project.small_graph()["stages"]
    assert set(real) - set(small) == {"validate"}
    assert {name: stage["cmd"] for name, stage in small.items()}.items() <= {
        name: stage["cmd"] for name, stage in real.items()
    }.items()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("left", [".DS_Store", "._roc.html", "Thumbs.db", ".ipynb_checkpoints/a"])
def test_what_a_file_manager_leaves_changes_no_hash_and_runs_nothing_again(judged, left):
    folders = [Path("data/train/figures"), Path("configs"), Path("data/features")]
    before = dvc_lock.md5(folders[0]), lineage.configs_hash()
    assert project.dvc("status") == "Data and pipelines are up to date."
    for folder in folders:
        (folder / left).parent.mkdir(exist_ok=True)
        (folder / left).write_text("icons")
    assert (dvc_lock.md5(folders[0]), lineage.configs_hash()) == before
    assert project.dvc("status") == "Data and pipelines are up to date."
