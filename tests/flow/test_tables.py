"""A table without event time goes to a champion by its declaration and the usual commands."""

import json
import re
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
import statsmodels

from benchmarks import image as images
from pipeline.registry.model import load
from pipeline.shared import loopback, yaml_files
from pipeline.shared.files import file_hash
from pipeline.shared.processes import Patience
from tests.flow import life
from tests.patience import PATIENCE
from tests.rules import tree

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(3600)]
DECLARED = tree.ROOT / "tests/usecase/visits"
TABLE = Path(statsmodels.__file__).parent / "datasets/randhie/randhie.csv"


@pytest.fixture(scope="module")
def visits(shelf: Path) -> life.Life:
    """A checkout whose use case is a declared table, with its champion."""
    folder = life.checkout(shelf / "visits")
    shutil.copytree(DECLARED, folder / "pipeline/visits")
    (folder / "pipeline/visits/published").mkdir()
    shutil.copy(TABLE, folder / "pipeline/visits/published")
    life.run(folder, "python", "-m", "pipeline.usecase.take", "visits").well()
    life.commit(folder)
    life.run(folder, "dvc", "repro", "--quiet").well()
    return life.Life(folder, life.run(folder, "python", "-m", "pipeline", "register").well())


def test_a_table_without_event_time_ends_in_a_gated_champion(visits):
    verdict = json.loads((visits.folder / "data/evaluate/verdict.json").read_text())
    beaten = [one for one in verdict["checks"] if one["name"].startswith("beats ")]
    assert {one["name"] for one in beaten} == {"beats logistic", "beats naive"}
    assert all(one["passed"] and one["blocking"] for one in beaten)
    assert "registered, now champion" in visits.done.words


def test_no_person_was_learned_from_and_held_out(visits):
    rows = pd.read_parquet(visits.folder / "data/features/rows.parquet")
    group = yaml_files.parse((DECLARED / "table.yaml").read_text())["group"]
    held_out = rows["day"] > 8
    assert 0.2 < held_out.mean() < 0.5
    assert (held_out.groupby([rows[name] for name in group]).nunique() == 1).all()


def test_the_model_card_speaks_of_the_table_and_of_no_other_domain(visits):
    card = next((visits.folder / "state").rglob("*card*.md")).read_text()
    assert "groups (lpi, fmde, disea, physlm)" in card
    written = re.sub(r"^\|.*$", "", card, flags=re.MULTILINE)
    assert re.findall(r"flight|carrier|airport|weather", written) == []


def test_the_server_gives_a_row_the_risk_of_its_model_and_a_wrong_one_a_reason(visits):
    """No view is read: every feature comes with the request."""
    row = pd.read_parquet(visits.folder / "data/features/rows.parquet").iloc[[7]]
    training = json.loads((visits.folder / "data/train/training.json").read_text())
    model = load(visits.folder / "data/train/model.onnx", training["digest"])
    given = row[training["features"]].iloc[0].dropna().to_dict()
    port, kind = images.free_port(), {"content-type": "application/json"}
    command = ["python", "-m", "pipeline", "serve-http", f"--port={port}"]
    server = life.start(visits.folder, *command)
    try:
        patience = Patience(PATIENCE)
        while loopback.get(port, "/v2/health/ready") is None:
            assert server.poll() is None, life.words(visits.folder)
            assert not patience.over(), life.words(visits.folder)
            time.sleep(0.1)
        answers = [
            loopback.request(port, "/predict", json.dumps(body).encode(), kind, PATIENCE)
            for body in ({"rows": [given, {}]}, {"rows": [{"disea": "many"}]})
        ]
    finally:
        life.kill(server)
    (ok, said), (refused, reason) = answers
    assert (ok.status, refused.status) == (200, 400)
    risks = [one["risk"] for one in json.loads(said)["predictions"]]
    values = row[training["features"]].to_numpy("float32")
    assert risks[0] == pytest.approx(model.predict_matrix(values)[0], abs=1e-6)
    assert 0 < risks[1] < 1
    assert b"disea" in reason


def test_a_batch_and_monitoring_judge_the_rows_of_a_version(visits):
    done = life.run(visits.folder, "python", "-m", "pipeline", "materialize", "batch", "monitor")
    assert "0 views: every feature of visits comes with the request" in done.well().words
    assert "2001-01: " in done.words
    scored = pd.read_parquet(visits.folder / "data/serve/batch.parquet")
    assert len(scored) == len(pd.read_parquet(visits.folder / "data/features/rows.parquet"))


def test_a_later_version_is_watched_learned_from_and_promoted(visits):
    """Persons who were held out once are held out again; the champion learned from none of them."""
    folder = life.twin(visits.folder, life.beside(visits.folder, "later"))
    life.run(folder, "python", "-m", "pipeline", "relocate").well()
    table = folder / "pipeline/visits/published/second.csv"
    pd.read_csv(TABLE).sample(frac=0.9, random_state=1).to_csv(table, index=False)
    config = folder / "configs/ingest.yaml"
    second = f"\\g<0>\n  second.csv: {file_hash(table)}"
    config.write_text(re.sub(r"  randhie.csv: \w+", second, config.read_text()))
    life.run(folder, "python", "-m", "pipeline", "retrain", "--as-of=2001-02").well()
    life.commit(folder)
    life.run(folder, "dvc", "repro", "--quiet").well()
    rows = pd.read_parquet(folder / "data/features/rows.parquet")
    persons = rows.groupby([rows[name] for name in ("lpi", "fmde", "disea", "physlm")])
    assert (persons["day"].nunique() == 1).all()
    window = yaml_files.parse((folder / "configs/train.yaml").read_text())["window"]
    assert window == {"first": "2001-02-01", "last": "2001-02-08"}
    commands = ["guards", "register", "monitor", "diagnose", "promote"]
    done = life.run(folder, "python", "-m", "pipeline", *commands).well()
    assert "0 guards: years of persons have no order" in done.words
    assert "no label yet" not in done.words
    assert "version 2" in life.run(folder, "python", "-m", "pipeline", "rollout").well().words


@pytest.mark.parametrize(
    "command", ["serve", "skew", "shadow", "canary", "bluegreen", "loop", "monitor-live"]
)
def test_rows_without_an_order_are_not_replayed(visits, command):
    done = life.run(visits.folder, "python", "-m", "simulation", command)
    assert done.code == 2
    assert "'visits' has 0 tables with event time, 1 is needed" in done.words
    assert "`make promote`" in done.words


def test_a_table_takes_at_most_three_files_and_250_lines():
    files = [path for path in DECLARED.iterdir() if path.suffix in (".py", ".yaml")]
    assert len(files) <= 3
    assert sum(path.read_text().count("\n") for path in files) <= 250


def test_a_version_with_a_column_that_determines_the_label_is_refused(visits):
    """The data gate's own rule, last here: it leaves a checkout without accepted rows."""
    folder = visits.folder / "pipeline/visits"
    rows = pd.read_csv(folder / "published/randhie.csv")
    leaking, leak = (
        rows.assign(hlthp=rows["mdvis"].gt(0).astype(int)),
        folder / "published/leak.csv",
    )
    leaking.to_csv(leak, index=False)
    config = visits.folder / "configs/ingest.yaml"
    before = config.read_text()
    config.write_text(re.sub(r"  randhie.csv: \w+", f"  leak.csv: {file_hash(leak)}", before))
    shutil.move(visits.folder / "data/ingest/visits", visits.folder / "data/aside")
    done = life.run(visits.folder, "python", "-m", "pipeline", "ingest", "validate")
    assert done.code == 1
    assert "rule label-leak on columns_that_determine: found 1.0" in done.words
    config.write_text(before)
