import mlflow
import pytest

from pipeline.shared import tracking
from pipeline.shared.config import RegisterConfig, load
from tests.shared import project

pytestmark = pytest.mark.slow


def test_asking_a_registry_that_is_not_there_does_not_make_one(
    tmp_path_factory, tmp_path, monkeypatch
):
    project.enter("started", tmp_path_factory, tmp_path, monkeypatch)
    assert tracking.aliased(load(RegisterConfig), tracking.CHAMPION) is None
    assert not (tmp_path / project.STATE).exists()


def test_a_server_is_asked_whether_or_not_a_file_has_its_name(registered):
    server = load(RegisterConfig).model_copy(update={"tracking_url": "https://localhost:1"})
    assert tracking.exists(server)


def test_an_alias_that_was_never_set_names_nothing(registered):
    assert tracking.aliased(load(RegisterConfig), tracking.CHALLENGER) is None


def test_a_run_and_a_version_are_found_by_the_digest_of_their_model(registered):
    config = load(RegisterConfig)
    champion = tracking.aliased(config, tracking.CHAMPION)
    assert tracking.find_run(config, champion.digest) == champion.run_id
    assert tracking.find_version(config, champion.digest) == champion
    assert tracking.find_run(config, "0" * 64) is None
    assert tracking.find_version(config, "0" * 64) is None


def test_a_run_that_failed_is_not_found(registered):
    config = load(RegisterConfig)
    champion = tracking.aliased(config, tracking.CHAMPION)
    client = mlflow.MlflowClient(config.tracking_url)
    client.update_run(champion.run_id, status="FAILED")
    assert tracking.find_run(config, champion.digest) is None


def test_tags_that_are_set_again_are_replaced_and_the_others_kept(registered):
    config = load(RegisterConfig)
    champion = tracking.aliased(config, tracking.CHAMPION)
    changed = tracking.set_tags(config, champion, {"compared_with": "another"})
    assert changed == tracking.aliased(config, tracking.CHAMPION)
    assert changed.tags == champion.tags | {"compared_with": "another"}
