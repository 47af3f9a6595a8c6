"""The matrix of faults and guards: every drill is in its record, each with a guard that stands."""

import json

import pytest

from docs import book
from exercises import error_rates, matrix
from exercises.drill import Drill, Outcome, drills, exposed
from tests.rules import tree

RECORD = json.loads(matrix.RECORD.read_text(encoding="utf-8"))


def test_every_drill_was_run():
    assert {found["slug"] for found in RECORD["drills"]} == set(drills())


@pytest.mark.parametrize("found", RECORD["drills"], ids=lambda found: found["slug"])
def test_a_fault_was_caught_by_the_guard_that_is_named(found):
    assert found["ended"] == "CAUGHT", found["by"]


@pytest.mark.answer("mlops")
def test_most_faults_pass_every_test_of_code(record_property):
    met = RECORD["caught_at"]
    assert met == matrix.caught_at(RECORD["drills"])
    assert met["all"] == sum(met[stage] for stage in matrix.STAGES)
    assert met["rules"] < 0.25 * met["all"]
    assert sum(met[stage] > 0 for stage in matrix.STAGES) == len(matrix.STAGES)
    record_property("faults that were injected and caught", met["all"])
    record_property("of these by tests of code", met["rules"])


@pytest.mark.answer("mlops")
@pytest.mark.parametrize("ended", ["MISSED", "BY LUCK", "BROKEN"])
def test_only_a_fault_that_its_own_guard_caught_counts(ended):
    first, second = RECORD["drills"][:2]
    assert matrix.caught_at([first, second | {"ended": ended}])["all"] == 1


@pytest.mark.parametrize("found", RECORD["clean"], ids=lambda found: found["name"])
def test_what_has_no_fault_was_refused_by_none(found):
    assert not found["refused"], found["said"]


def test_everything_without_a_fault_was_run():
    assert [one["name"] for one in RECORD["clean"]] == list(matrix.CLEAN)


def test_a_guard_stands_in_a_stage_or_in_the_rules():
    assert {drill.stage for drill in drills().values()} <= {*tree.stages(), "rules"}
    assert {drill.stage for drill in drills().values()} <= set(matrix.STAGES)


def test_the_matrix_shows_another_guard_and_a_miss_as_such():
    first, second, third = RECORD["drills"][:3]
    found = [first, second | {"ended": "BY ANOTHER GUARD"}, third | {"ended": "MISSED"}]
    page = matrix.page(RECORD | {"drills": found})
    assert "1 of 3 faults were caught" in page
    caught = f"| `{first['slug']}` | {drills()[first['slug']].stage} |"
    assert page.count(caught) == page.count("| BY ANOTHER GUARD |") == page.count("| MISSED |") == 1


@pytest.mark.parametrize(
    ("stage", "words", "who"),
    [
        ("rollout", "rolled back: it met 43 of 995 requests, users saw 0 failures", "43 of 995"),
        ("serve", "shadow: ServersFailed: not ready", "none"),
        ("serve", "skew: SkewFound: 1 of 500", "a replayed morning"),
        ("validate", "validate: DataRejected: no", "none"),
    ],
)
def test_who_was_exposed_is_counted_where_somebody_counted(stage, words, who):
    drill = Drill("x", stage, "f", "g", lambda _: [], lambda *_: "")
    assert exposed(drill, Outcome(1, words)) == who


def test_the_page_is_part_of_what_is_made():
    assert book.ROOT / "docs/drills.md" in book.generated()


def test_every_drill_says_from_which_size_its_fault_is_found():
    assert set(error_rates.sizes()) == set(drills())
    assert all(error_rates.found_from(slug) for slug in drills())


def test_a_size_that_is_recorded_nowhere_is_an_error():
    with pytest.raises(KeyError):
        error_rates.value("benchmarks/rollout.json: faults/no such fault/found")


def test_the_least_size_is_where_all_six_months_found_the_fault():
    assert error_rates.found_from("rotated-carriers") == "1 day in 20 % of rows"
    assert error_rates.found_from("shifted-origin") == "7 days in 100 % of rows"


def test_guards_on_data_refuse_at_most_one_month_of_the_clean_year():
    rows = {(guard, what): refused for guard, what, refused, _ in error_rates.false_alarms([])}
    assert rows["validate", "tables of the months of 2013, as published"] <= 1
    assert rows["validate", "arrivals of the loop's year, a look each Monday"] <= 1
    assert rows["monitor, labels against flags", "weeks of a carrier, as published"] <= 1
