"""Everything on servers: the same champion, with no store of its own left in the checkout.

Feast's online store is on Redis, the registry and the request log on PostgreSQL, the registry's
artifacts and the versioned data on an S3-compatible server. The rollout ledger stays a file, whose
lock has one writer at a time on one machine.
"""

import json
import platform
import re
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
import yaml

from benchmarks.model_servers import launch
from pipeline.records.request_log import read_predictions
from pipeline.shared import loopback
from tests import needs
from tests.flow import life, stores
from tests.flow.test_remote import versioned
from tests.patience import PATIENCE, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    pytest.mark.answer("feature-store"),
    needs.unless(shutil.which("redis-server"), "redis-server"),
    needs.unless(shutil.which("postgres"), "postgres"),
    needs.unless(launch.python("s3").exists(), "peers"),
]
EMBEDDED = ["state/mlflow.db", "state/artifacts", "state/serve/log.db", "state/feast/online.db"]
"""What the embedded stores would be."""
FLIGHT = {
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "dest": "IAH",
    "block_minutes": 227,
    "distance": 1400,
    "scheduled_departure": "2013-05-01T14:00Z",
}


@pytest.fixture(scope="module")
def servers(shelf):
    """The settings of a command for which every store is a server."""
    with (
        tempfile.TemporaryDirectory(prefix="redis-") as memory,
        tempfile.TemporaryDirectory(prefix="registry-") as registry,
        tempfile.TemporaryDirectory(prefix="log-") as log,
        stores.redis(Path(memory)) as online_url,
        stores.postgresql(Path(registry)) as tracking_url,
        stores.postgresql(Path(log)) as log_url,
        stores.s3() as s3,
    ):
        yield {
            "PIPELINE_ONLINE_URL": online_url,
            "PIPELINE_LOG_URL": log_url,
            "PIPELINE_TRACKING_URL": tracking_url.replace("postgresql", "postgresql+psycopg", 1),
            "PIPELINE_ARTIFACTS_URL": f"s3://{stores.BUCKET}/artifacts",
            "MLFLOW_S3_ENDPOINT_URL": s3,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": str(stores.lent(shelf / "lent")),
        }


def _remote(folder, servers):
    """Let a copy's DVC remote be the bucket."""
    settings = {
        "url": f"s3://{stores.BUCKET}/dvc",
        "endpointurl": servers["MLFLOW_S3_ENDPOINT_URL"],
    }
    for setting in settings.items():
        life.run(folder, "dvc", "remote", "modify", "--local", "local", *setting).well()
    return folder


@pytest.fixture(scope="module")
def run(servers, shelf):
    """The project, from the published files to a champion and to its data in the bucket."""
    folder = _remote(life.checkout(shelf / "on-servers"), servers)
    commands = "dvc repro --quiet && python -m pipeline register materialize && dvc push --quiet"
    return life.Life(folder, life.run(folder, "bash", "-c", commands, **servers))


def _kept(servers, prefix):
    """How many objects the bucket has below a prefix."""
    port = int(servers["MLFLOW_S3_ENDPOINT_URL"].rpartition(":")[2])
    _, listed = stores.ask(port, "GET", f"/{stores.BUCKET}?list-type=2&prefix={prefix}/")
    return listed.count("<Key>")


def test_the_champion_is_the_committed_one(run):
    run.done.well()
    digest = json.loads((run.folder / "data/train/training.json").read_text())["digest"]
    assert f"version 1 ({digest[:12]}) registered, now champion" in run.done.words
    if platform.machine() in ("x86_64", "AMD64"):
        committed = yaml.safe_load(life.git(run.folder, "show", "HEAD:dvc.lock"))["stages"]
        assert life.lock(run.folder) == committed


def test_no_store_is_left_in_the_checkout(run, servers):
    run.done.well()
    assert [name for name in EMBEDDED if (run.folder / name).exists()] == []
    assert _kept(servers, "artifacts") > 0
    assert _kept(servers, "dvc") > 20


def test_another_machine_has_the_data_from_the_bucket_and_the_champion_from_the_registry(
    run, servers, tmp_path
):
    run.done.well()
    folder = _remote(life.clone(run.folder, tmp_path / "pulled"), servers)
    life.run(folder, "dvc", "pull", "--quiet", **servers).well()
    assert versioned(folder) == versioned(run.folder)
    done = life.run(folder, *life.PIPELINE, "lineage", **servers).well()
    digest = json.loads((run.folder / "data/train/training.json").read_text())["digest"]
    assert digest[:12] in done.words


def test_it_serves_from_redis_and_logs_into_postgresql(run, servers):
    run.done.well()
    process = life.start(run.folder, *life.PIPELINE, "serve-http", "--port=0", **servers)
    told = r"http://127\.0\.0\.1:(\d+) serves version 1 .* ready; the online store is complete"
    port = int(until(lambda: re.search(told, life.words(run.folder)))[1])
    headers = {"content-type": "application/json", "x-request-id": "from-redis"}
    content = json.dumps({"flights": [FLIGHT]}).encode()
    done, answer = loopback.request(port, "/predict", content, headers, PATIENCE)
    assert done.status == 200
    (risk,) = [one["risk"] for one in json.loads(answer)["predictions"]]
    process.send_signal(signal.SIGTERM)
    life.finish(process, run.folder).well()
    logged = read_predictions(servers["PIPELINE_LOG_URL"])
    assert logged["risk"].tolist() == [risk]
    assert logged["request_id"].str.startswith("from-redis").all()
