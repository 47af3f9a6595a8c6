import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest

from pipeline import train
from pipeline.evaluate import gate
from pipeline.features.definitions import FEATURES
from pipeline.features.feature_table import ROWS
from pipeline.register import register
from pipeline.register.register import promote
from pipeline.registry import runs, versions
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import (
    EVALUATE,
    INGEST,
    TRAIN,
    Manifest,
    Training,
    Verdict,
    read_record,
)
from pipeline.shared.errors import (
    ArtifactMissing,
    EnvironmentUnfit,
    GateRefused,
    RegistryRefused,
)
from pipeline.shared.files import file_hash, read_parquet, write_json, write_parquet
from tests.builders import check
from tests.shared import project

pytestmark = [pytest.mark.answer("ci-cd"), pytest.mark.slow]


def client():
    url = load(RegisterConfig).tracking_url.get_secret_value()
    mlflow.set_tracking_uri(url)
    return mlflow.MlflowClient(url, url)


def numbers():
    found = client().search_model_versions("name = 'flight-delay'")
    return sorted(int(version.version) for version in found)


def alias(name):
    found = versions.version_of_alias(load(RegisterConfig), name)
    return found and found.number


def the_verdict():
    return read_record(Verdict, EVALUATE / "verdict.json", "evaluate")


def the_training():
    return read_record(Training, TRAIN / "training.json", "train")


def judge_as(**changes):
    """Write another verdict in the place of the gate's."""
    write_json(EVALUATE / "verdict.json", the_verdict().model_dump() | changes)


# What is refused.


@pytest.mark.answer("devops-engineer")
def test_a_refused_verdict_registers_nothing(judged):
    judge_as(checks=[check(passed=False).model_dump()], passed=False)
    with pytest.raises(RegistryRefused, match=r"failed \(1 blocking check\(s\)\)"):
        register.run()
    assert numbers() == []


def test_a_verdict_about_another_model_registers_nothing(judged):
    judge_as(challenger="c" * 64)
    with pytest.raises(RegistryRefused, match=r"is about cccccccccccc, data/train/ holds"):
        register.run()
    assert numbers() == []


def test_a_model_file_that_changed_after_its_verdict_registers_nothing(judged):
    path = TRAIN / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(RegistryRefused, match=r"is about .*, data/train/ holds .*`make evaluate`"):
        register.run()
    assert numbers() == []


def test_the_verdict_of_an_earlier_model_registers_no_later_one(challenged):
    judge_as(challenger=versions.version_of_alias(load(RegisterConfig), "champion").digest)
    with pytest.raises(RegistryRefused, match="is about"):
        register.run()


def test_a_verdict_that_met_no_champion_is_refused_once_there_is_one(challenged):
    judge_as(champion=None)
    with pytest.raises(RegistryRefused, match=r"compared with no champion, the champion is"):
        register.run()
    assert alias("champion") == "1"


def test_a_verdict_against_another_champion_is_refused(challenged):
    judge_as(champion="e" * 64)
    with pytest.raises(RegistryRefused, match=r"compared with eeeeeeeeeeee, the champion is"):
        register.run()
    assert alias("champion") == "1"


def test_without_a_verdict_nothing_is_registered(judged):
    (EVALUATE / "verdict.json").unlink()
    with pytest.raises(ArtifactMissing, match="`make evaluate`"):
        register.run()
    assert numbers() == []


def test_outside_a_git_checkout_nothing_is_registered(judged):
    shutil.rmtree(".git")
    with pytest.raises(EnvironmentUnfit, match="is not a git checkout with a commit"):
        register.run()
    assert EnvironmentUnfit.exit_code == 2
    assert numbers() == []


# What is registered.


@pytest.mark.answer("model-registry")
def test_the_first_model_that_passes_becomes_champion(judged):
    closing = register.run()
    assert (numbers(), alias("champion"), alias("challenger")) == ([1], "1", None)
    assert "version 1" in closing
    assert "registered, now champion, the first" in closing


@pytest.mark.long
@pytest.mark.answer("model-registry")
def test_a_later_model_that_passes_becomes_challenger(registered):
    project.judge(20)
    closing = register.run()
    assert (numbers(), alias("champion"), alias("challenger")) == ([1, 2], "1", "2")
    assert "registered, now challenger; `make promote` makes it champion" in closing
    assert versions.find_version(load(RegisterConfig), the_verdict().challenger).number == "2"


def test_registering_the_champion_again_changes_nothing_and_says_so(registered):
    before = client().get_model_version("flight-delay", "1")
    assert "is already champion: nothing to do" in register.run()
    assert numbers() == [1]
    assert dict(client().get_model_version("flight-delay", "1")) == dict(before)


def test_registering_the_challenger_again_adds_no_version_and_says_so(challenged):
    before = dict(client().get_model_version("flight-delay", "2"))
    assert "version 2" in (closing := register.run())
    assert "was registered before, now challenger" in closing
    assert numbers() == [1, 2]
    assert dict(client().get_model_version("flight-delay", "2")) == before


def test_a_version_holds_the_file_that_was_judged(registered):
    config = load(RegisterConfig)
    path = versions.fetch_model(config, versions.version_of_alias(config, "champion"))
    assert path.is_relative_to(registered)
    assert file_hash(path) == the_verdict().challenger


@pytest.mark.answer("model-registry")
def test_a_version_carries_its_lineage(judged, record_property):
    register.run()
    tags = versions.version_of_alias(load(RegisterConfig), "champion").tags
    training = the_training()
    assert tags["git_commit"] == project.git("rev-parse", "HEAD")
    assert tags["git_tree"] == "clean"
    assert tags["dvc_lock_hash"] == file_hash(Path("dvc.lock"))
    assert tags["environment_hash"] == file_hash(Path("requirements.lock"))
    assert tags["predictions_hash"] == training.predictions_hash
    assert tags["verdict_hash"] == file_hash(EVALUATE / "verdict.json")
    assert tags["model_digest"] == training.digest
    assert {n: tags[n] for n in ("window", "seed", "threads", "compared_with")} == {
        "window": "2013-01-08..2013-02-28",
        "seed": "0",
        "threads": "1",
        "compared_with": "baselines only",
    }
    assert len(tags["data_hash"]) == len(tags["config_hash"]) == 64
    record_property("entries that a version carries beside its file", len(tags))


# The run behind a version.


def the_run():
    champion = versions.version_of_alias(load(RegisterConfig), "champion")
    return client().get_run(champion.run_id)


def artifacts(run_id, folder):
    return {Path(item.path).name for item in client().list_artifacts(run_id, folder)}


@pytest.mark.answer("experiment-tracking")
def test_a_run_has_its_parameters_metrics_and_lineage(registered, record_property):
    run = the_run()
    assert run.info.status == "FINISHED"
    assert run.data.params["max_iter"] == "10"
    assert run.data.params["monotone"] == "True"
    assert run.data.params["inputs"] == str(len(FEATURES))
    trained, judged = (
        json.loads((folder / "metrics.json").read_text()) for folder in (TRAIN, EVALUATE)
    )
    curve = json.loads((TRAIN / "curve.json").read_text())
    last = {"log_loss_training": curve[-1]["log_loss_training"]}
    assert run.data.metrics == pytest.approx(trained | judged | last)
    assert run.data.tags["git_commit"] == project.git("rev-parse", "HEAD")
    assert run.data.tags["model_digest"] == the_training().digest
    record_property("parameters of a run", len(run.data.params))
    record_property("metrics of a run", len(run.data.metrics))


@pytest.mark.answer("experiment-tracking")
def test_a_run_names_the_months_that_it_learned_from_by_their_digests(registered):
    manifest = read_record(Manifest, Path("data/ingest/manifest.json"), "ingest")
    found = {i.dataset.name: i.dataset.digest for i in the_run().inputs.dataset_inputs}
    assert found == {
        f"flights-{s.month}": s.content_hash[:32] for s in manifest.snapshots if s.month < "2013-03"
    }


def test_a_run_has_its_model_with_a_signature_and_an_example(registered):
    (model,) = client().search_logged_models([the_run().info.experiment_id])
    info = mlflow.models.get_model_info(f"models:/{model.model_id}")
    (inputs,) = info.signature.inputs.inputs
    assert (inputs.name, inputs.type) == ("inputs", np.dtype("float32"))
    assert inputs.shape == (-1, len(FEATURES))
    assert [output.name for output in info.signature.outputs.inputs] == ["label", "probabilities"]
    assert info.saved_input_example_info is not None


def test_a_run_keeps_its_figures_configs_and_verdict(registered):
    run_id = the_run().info.run_id
    assert artifacts(run_id, "figures") == {"calibration.png", "roc.png", "importance.png"}
    assert "train.yaml" in artifacts(run_id, "configs")
    assert {"verdict.json", "verdict.html"} <= artifacts(run_id, "verdict")
    assert artifacts(run_id, "lineage") == {"manifest.json", "requirements.lock", "dvc.lock"}


@pytest.mark.long
def test_a_changed_tree_leaves_its_patch_in_the_run(judged, tmp_path_factory):
    Path("requirements.lock").write_bytes(b"numpy==2.4.1 # caf\xe9\r\n")
    Path("extra.py").write_text("print('an untracked file')\n")
    project.configure("train", **{"boosting.max_iter": 11})
    train.run()
    project.settle()
    register.run()
    champion = versions.version_of_alias(load(RegisterConfig), "champion")
    assert champion.tags["git_tree"].startswith("changed, patch ")
    patch = client().download_artifacts(
        champion.run_id, "lineage/tree.patch", str(tmp_path_factory.mktemp("patch"))
    )
    elsewhere = tmp_path_factory.mktemp("clone") / "clone"
    project.git("clone", "--quiet", ".", str(elsewhere))
    project.git("-C", str(elsewhere), "apply", patch)
    for name in ("requirements.lock", "extra.py", "configs/train.yaml"):
        assert (elsewhere / name).read_bytes() == Path(name).read_bytes()


@pytest.mark.long
def test_a_store_that_is_gone_is_filled_again_from_what_was_trained(registered):
    shutil.rmtree(project.STATE)
    # MLflow keeps a lost database open: what another process would find is one of another name.
    url = f"sqlite:///{registered}/{project.STATE}/again.db"
    project.configure("register", tracking_url=url)
    digest = file_hash(TRAIN / "model.onnx")
    register.run()
    champion = versions.version_of_alias(load(RegisterConfig), "champion")
    assert champion.digest == digest
    assert the_run().data.params["max_iter"] == "10"
    assert artifacts(champion.run_id, "figures")
    assert file_hash(versions.fetch_model(load(RegisterConfig), champion)) == digest


# Promotion.


def test_the_challenger_becomes_champion_and_the_old_champion_stays(challenged):
    assert "version 2 is champion, before it version 1" in promote()
    assert (numbers(), alias("champion")) == ([1, 2], "2")


def test_promoting_twice_changes_nothing_and_says_so(challenged):
    promote()
    assert promote() == "version 2 is champion already: nothing to do"
    assert alias("champion") == "2"


def test_without_a_challenger_there_is_nothing_to_promote(registered):
    with pytest.raises(RegistryRefused, match="has no challenger"):
        promote()
    assert alias("champion") == "1"


@pytest.fixture
def overtaken(challenged):
    """The second version is champion, and the first one, which it beat, is challenger."""
    promote()
    versions.set_alias(load(RegisterConfig), "challenger", "1")


def test_a_challenger_that_was_not_compared_with_the_champion_is_not_promoted(overtaken):
    with pytest.raises(
        RegistryRefused,
        match=r"version 1 was compared with baselines on.*, the champion is .*; run `make evaluate",
    ):
        promote()
    assert alias("champion") == "2"


@pytest.mark.long
def test_a_registered_model_that_is_judged_anew_can_be_promoted(overtaken):
    champion = versions.version_of_alias(load(RegisterConfig), "champion")
    project.configure("train", **{"boosting.max_iter": 10})
    train.run()
    judge_as(challenger=the_training().digest, champion=champion.digest)
    project.locked()
    assert "version 1" in (closing := register.run())
    assert "was registered before, now challenger" in closing
    version = versions.version_of_alias(load(RegisterConfig), "challenger")
    assert version.tags["compared_with"] == champion.digest
    assert version.tags["verdict_hash"] == file_hash(EVALUATE / "verdict.json")
    assert version.tags["git_commit"] == project.git("rev-parse", "HEAD")
    assert "version 1 is champion, before it version 2" in promote()


def test_a_challenger_whose_file_is_gone_is_not_promoted(challenged):
    config = load(RegisterConfig)
    path = versions.fetch_model(config, versions.version_of_alias(config, "challenger"))
    shutil.rmtree(path.parent)
    with pytest.raises(RegistryRefused, match="no longer holds it: restore"):
        promote()
    assert alias("champion") == "1"


def test_a_config_that_changed_after_training_is_not_recorded_as_its_lineage(judged):
    project.configure("train", seed=1)
    with pytest.raises(
        RegistryRefused, match=r"trained or judged with configs/train\.yaml \w+, the checkout"
    ):
        register.run()


def test_data_that_arrived_after_training_are_not_recorded_as_its_lineage(judged):
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    write_json(INGEST / "manifest.json", manifest.model_copy(update={"snapshots": []}).model_dump())
    with pytest.raises(
        RegistryRefused, match=r"trained or judged with data \w+, .*`make train evaluate`"
    ):
        register.run()


def test_a_champion_that_was_registered_by_other_means_is_told(registered):
    client().delete_model_version_tag("flight-delay", "1", "window")
    champion = versions.version_of_alias(load(RegisterConfig), "champion")
    with pytest.raises(RegistryRefused, match="version 1 has no tag 'window'"):
        champion.tag("window")


def test_a_gate_that_was_loosened_for_the_verdict_does_not_count(judged):
    project.configure("evaluate", **{"behaviour.stormy_evening_min": 0.6})
    with pytest.raises(RegistryRefused, match=r"judged with configs/evaluate\.yaml \w+, the"):
        register.run()


def test_features_that_changed_after_the_verdict_are_told(judged):
    write_parquet(ROWS, read_parquet(ROWS, "features")[1:])
    with pytest.raises(RegistryRefused, match=r"judged with data/features/rows\.parquet \w+, the"):
        register.run()


# What a user of MLflow looks for: names, steps, tags, descriptions.


def nested(run_id):
    found = client().search_runs(
        [the_run().info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"
    )
    return {run.info.run_name: run for run in found}


def test_a_run_is_called_by_its_newest_day_and_describes_its_data(registered):
    run = the_run()
    assert run.info.run_name == f"trained to 2013-02-28 ({the_training().digest[:8]})"
    assert run.data.tags["mlflow.note.content"].startswith(f"{the_training().rows:,} flights from")
    assert run.data.tags["trained_until"] == "2013-02-28"
    assert "nested" in client().get_experiment(run.info.experiment_id).tags["mlflow.note.content"]


def test_a_runs_loss_is_there_step_by_step_and_falls(registered):
    found = client().get_metric_history(the_run().info.run_id, "log_loss_training")
    assert [point.step for point in found] == [10]
    project.configure("train", **{"boosting.max_iter": 30})
    train.run()
    run_id = runs.find_run(load(RegisterConfig), the_training().digest)
    curve = client().get_metric_history(run_id, "log_loss_training")
    assert [point.step for point in curve] == [10, 20, 30]
    assert curve[0].value > curve[1].value > curve[2].value


def test_a_verdict_is_a_nested_run_with_every_check_and_tags_to_search_by(registered):
    run, verdict = the_run(), json.loads((EVALUATE / "verdict.json").read_text())
    (name, judged), *others = nested(run.info.run_id).items()
    blocking = sum(check["blocking"] for check in verdict["checks"])
    assert (name, others) == (f"gate: passed, {blocking} of {blocking} checks", [])
    assert len(judged.data.metrics) == len({check["name"] for check in verdict["checks"]})
    assert run.data.tags["gate"] == "passed"
    assert run.data.tags["judged_on"] == "2013-03-01 to 2013-03-31"


def test_what_the_gate_refused_is_tracked_with_its_verdict(registered):
    project.configure("train", **{"boosting.max_iter": 1})
    train.run()
    with pytest.raises(GateRefused):
        gate.run()
    run_id = runs.find_run(load(RegisterConfig), the_training().digest)
    assert client().get_run(run_id).data.tags["gate"] == "refused"
    (name,) = nested(run_id)
    assert name.startswith("gate: refused, ")


def test_a_version_and_the_model_are_described_for_a_reader(registered):
    entry = client().get_model_version("flight-delay", "1")
    assert entry.description.startswith("The first model. Trained on ")
    assert "ROC AUC" in entry.description
    assert len(entry.description) < 5_000
    assert "`champion` serves" in client().get_registered_model("flight-delay").description
