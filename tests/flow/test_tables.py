"""A table without event time goes to a champion by its declaration and the usual commands."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import statsmodels

from pipeline.shared import yaml_files
from pipeline.shared.files import file_hash
from tests.flow import life
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
    assert {one["name"] for one in beaten} == {"beats hour_rate", "beats logistic"}
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


def test_a_version_with_a_column_that_determines_the_label_is_refused(visits):
    """The data gate's own rule: whoever declares a leak later is stopped there, too."""
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


def test_a_table_takes_at_most_three_files_and_250_lines():
    files = [path for path in DECLARED.iterdir() if path.suffix in (".py", ".yaml")]
    assert len(files) <= 3
    assert sum(path.read_text().count("\n") for path in files) <= 250
