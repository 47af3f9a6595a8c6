"""A refused snapshot stops the graph, and the refusal says what to look at."""

import re

import pytest

from exercises import drill
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def refused(shelf):
    """A small project to which February is published twice."""
    folder = life.small(shelf / "refused")
    drill.drills()["duplicated-month"].inject(folder)
    return life.Life(folder, life.run(folder, "make", "champion"))


def test_a_refused_snapshot_stops_the_graph_before_the_next_stage(refused):
    words = refused.done.words
    assert refused.done.code == 2  # make's own number for a command that failed
    assert "failed to run: python -m pipeline validate, exited with 1" in words
    assert re.findall(r"> python -m pipeline (\w+)", words) == ["ingest", "validate"]
    assert not (refused.folder / "data/features").exists()
    assert [path.name for path in (refused.folder / "state").iterdir()] == ["runs.jsonl"]
    assert not list((refused.folder / "data/validate").rglob("*.parquet"))


def test_the_refusal_names_rule_column_rows_and_an_example(refused):
    words = refused.done.words
    assert "validate: DataRejected: 1 of 2 month(s) refused (2013-02)" in words
    line = next(line for line in words.splitlines() if "unique" in line)
    assert re.search(
        r"2013-02 flights: rule [\w-]+ on year, month, day, carrier, flight, origin", line
    )
    assert "49,902 of 49,902 rows, first year=2013 month=2 day=1 carrier=" in line
    assert "run `make validate`" in words


def test_nothing_is_left_half_written(refused):
    assert life.half_written(refused.folder) == []
