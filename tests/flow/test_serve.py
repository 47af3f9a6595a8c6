"""Days served by the real commands: the real store, on a file and on the servers that are there."""

import json
import re
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from exercises import drill
from exercises.drills import serving
from pipeline.features.definitions import NUMERIC
from pipeline.records.request_log import last_id, read_predictions
from pipeline.records.request_log_writer import open_log
from pipeline.records.retention import removals, remove_predictions
from tests import needs
from tests.flow import life, stores
from tests.records.test_request_log import answer as example

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
DAY = "2013-02-14"
SERVE = ("python", "-m", "simulation")


@pytest.fixture(scope="module")
def served(small, shelf) -> life.Life:
    """The small project after a day was served and held against training."""
    folder = life.twin(small.folder, shelf / "served")
    return life.Life(folder, life.run(folder, "make", "skew", f"DAY={DAY}").well())


@pytest.mark.answer("skew")
def test_no_value_of_a_whole_day_differs_between_online_offline_and_training(served):
    told = re.search(r"(\d+) of (\d+) flights x (\d+) features differ", served.done.words)
    assert told
    assert int(told[1]) == 0
    assert int(told[2]) >= 900
    assert int(told[3]) == len(NUMERIC)


@pytest.mark.answer("skew")
def test_every_vector_that_was_served_is_in_the_log_with_its_instant_and_its_score(served):
    vectors = pd.read_parquet(served.folder / "data/serve/served.parquet")
    record = json.loads((served.folder / "data/serve/served.json").read_text())
    assert len(vectors) == record["rows"] >= 900
    assert vectors["risk"].between(0, 1).all()
    assert (vectors["system_known_at"] < vectors["predict_at"]).all()
    assert record["flags"]["aircraft"]["missing"] == (vectors["aircraft_flag"] == "missing").sum()
    assert record["online_store"] == "sqlite"


@pytest.mark.answer("skew")
def test_a_second_comparison_serves_nothing_again_and_says_the_same(served):
    before = (served.folder / "data/serve/served.parquet").stat().st_mtime_ns
    done = life.run(served.folder, *SERVE, "skew", f"--day={DAY}").well()
    assert (served.folder / "data/serve/served.parquet").stat().st_mtime_ns == before
    assert re.search(rf" 0 of \d+ flights x {len(NUMERIC)} features differ", done.words)


@pytest.mark.nightly
@pytest.mark.answer("skew")
def test_a_planted_skew_is_found_by_name_though_a_good_day_is_on_record(served, shelf):
    folder = life.twin(served.folder, shelf / "stale-feed")
    stale = next(drill for drill in serving.DRILLS if drill.slug == "stale-feed")
    done = life.run(folder, *SERVE, *stale.inject(folder))
    told = stale.caught(folder, drill.Outcome(done.code, done.words))
    assert re.fullmatch(r"2013-02-14: 500 of 500 .*looks like: stale by 6 h; ROC AUC .*", told)


@pytest.mark.answer("online-or-batch")
def test_a_batch_a_day_ahead_is_worse_than_the_online_path_and_says_both(served):
    done = life.run(served.folder, "make", "batch", "MONTH=2013-02").well()
    assert re.search(r"24 h ahead: ROC AUC 0\.\d+.*2 h ahead: ROC AUC 0\.\d+", done.words)
    found = json.loads((served.folder / "data/serve/batch.json").read_text())
    assert found["ahead"]["roc_auc"] < found["online"]["roc_auc"]
    assert found["ahead"]["log_loss"] > found["online"]["log_loss"]
    scores = pd.read_parquet(served.folder / "data/serve/batch.parquet")
    assert len(scores) == found["rows"]
    assert not scores.duplicated(["year", "month", "day", "carrier", "flight", "origin"]).any()


@pytest.mark.nightly
@pytest.mark.answer("feature-store")
def test_a_killed_materialization_ends_as_any_other_and_time_runs_only_forward(served, shelf):
    undisturbed = life.twin(served.folder, shelf / "undisturbed-online")
    killed = life.twin(served.folder, shelf / "killed-online")
    until = [*SERVE, "materialize", f"--until={DAY}T12:00Z"]
    took = life.run(undisturbed, *until).well().seconds
    for share in (0.6, 0.85):
        process = life.start(killed, *until)
        time.sleep(took * share)
        life.kill(process)
    life.run(killed, *until).well()
    assert (before := online(killed)) == online(undisturbed)
    done = life.run(killed, *SERVE, "materialize", f"--until={DAY}T10:00Z")
    assert done.code == 2
    assert "time does not run backwards" in done.words
    assert online(killed) == before


def online(folder: Path) -> dict[str, list[tuple]]:
    """Every row of every table of the online store; when it was written is left out."""
    import sqlite3

    with closing(sqlite3.connect(folder / "state/feast/online-flights.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: sorted(
                connection.execute(f"SELECT entity_key, feature_name, value FROM [{name}]")
            )
            for (name,) in names
        }


SERVERS = {"redis-server": stores.redis, "postgres": stores.postgresql}


@pytest.mark.answer("feature-store")
@pytest.mark.nightly
@pytest.mark.parametrize("server", SERVERS)
def test_the_same_day_is_served_alike_from_a_server(served, shelf, server):
    if shutil.which(server) is None:
        needs.skip(server)
    folder = life.twin(served.folder, shelf / server)
    with tempfile.TemporaryDirectory(prefix=server) as name, SERVERS[server](Path(name)) as url:
        done = life.run(folder, *SERVE, "skew", f"--day={DAY}", PIPELINE_ONLINE_URL=url).well()
    assert re.search(rf" 0 of 956 flights x {len(NUMERIC)} features differ", done.words)
    record = json.loads((folder / "data/serve/served.json").read_text())
    assert record["online_store"] == url.partition(":")[0]
    ours, theirs = (
        pd.read_parquet(place / "data/serve/served.parquet") for place in (served.folder, folder)
    )
    assert ours.equals(theirs)


@needs.unless(shutil.which("postgres"), "postgres")
def test_the_request_log_is_kept_by_a_postgresql_as_by_a_file():
    given = [example(number) for number in range(3)]
    with tempfile.TemporaryDirectory(prefix="log-") as name, stores.postgresql(Path(name)) as url:
        with open_log(url, 100) as log:
            log.add(given)
            log.add(given[:1])
        told = read_predictions(url)
        assert last_id(url) == told["id"].max()
        assert len(read_predictions(url, since=int(told["id"].iloc[1]))) == 1
        gone = remove_predictions(url, before=int(told["predict_at"].max()) + 1, at=1)
        assert (gone["answers"], gone["last_id"]) == (3, told["id"].max())
        assert removals(url)["answers"].tolist() == [3]
        with open_log(url, 100) as log:
            log.add(given[:1])
        assert last_id(url) > told["id"].max()
    columns = ["request_id", "row", "arm", "release", "risk", "flags"]
    assert told[columns].values.tolist() == [[getattr(one, c) for c in columns] for one in given]
