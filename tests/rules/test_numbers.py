"""Numbers of the pages: unit, direction, interval, misses beside hits; recorded facts in order."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.candidates import summary
from docs import numbers
from docs.pages import Answer, pages
from pipeline.evaluate.refresh import NOT_MUCH_WORSE, NOT_WORSE
from tests.rules import tree

PAGES = [page for page in pages() if page.numbers]
CITED = [(page.slug, label, place) for page in PAGES for label, place in page.numbers.items()]
RECORDS = [
    name
    for name in tree.files()
    if re.fullmatch(r"benchmarks/\w+\.json|data/\w+/metrics\.json", name)
]
RISING = [
    ("low", "point", "high"),
    ("p50", "p90", "p95", "p99", "max"),
    ("requests_median", "requests_p90", "of_requests"),
    ("min", "p1", "median", "p99", "max"),
]
"""Names of one record whose values never fall in this order."""
MISSES = {
    "right": ["early", "late", "false", "missed"],
    "days_false": ["days_missed"],
    "days_missed": ["days_false"],
}
"""What a page says beside a count of hits, wherever it was recorded."""


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value
    if isinstance(children, list) or isinstance(value, dict):
        for child in children:
            yield from _objects(child)


def _above(place: str) -> Any:
    """The record that a place's last name belongs to, if that is a plain name."""
    above = place.rpartition(".")[0]
    try:
        return numbers.value(above) if ":" in above else None
    except StopIteration:  # the last name holds a dot itself
        return None


def _is_estimate(value: Any) -> bool:
    return isinstance(value, dict) and set(numbers.INTERVAL) <= set(value)


@tree.each(CITED)
def test_a_number_has_a_unit_and_a_direction(slug: str, label: str, place: str) -> None:
    one = numbers.measure(place)
    assert one.better in ("lower", "higher", "near 0", "–")
    assert not re.search(r"\b(ms|GB|seconds|minutes)\b|^share of", label), "the unit has a column"


def test_every_measure_is_one_of_some_number() -> None:
    from docs import score

    places = [place for *_, place in CITED]
    places += [place for page in pages() for place in page.figures.values()]
    places += [item.benchmark for item in score.board().items if item.benchmark]
    used = {numbers.measure(place).places.pattern for place in places}
    assert {one.places.pattern for one in numbers.measures()} - used == set()


def test_a_number_without_a_measure_is_refused_with_what_to_do() -> None:
    with pytest.raises(LookupError, match=r"0 of \d+ patterns .*; add one, then `make fill`"):
        numbers.measure("benchmarks/year.json:a word of no measure")


@tree.each(CITED)
def test_an_estimate_is_cited_with_its_interval(slug: str, label: str, place: str) -> None:
    above = _above(place)
    assert not (_is_estimate(above) and place.rpartition(".")[2] in numbers.INTERVAL), (
        "cite the whole of it"
    )


def test_a_score_cites_an_estimate_with_its_interval() -> None:
    from docs import score

    places = [item.benchmark for item in score.board().items if item.benchmark]
    assert [p for p in places if p.rpartition(".")[2] in numbers.INTERVAL] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_loss_is_cited_with_its_recorded_comparison(page: Answer) -> None:
    """Two log losses side by side say nothing of chance; the interval of their difference does."""
    cited = set(page.numbers.values())
    for place in cited:
        above = _above(place) if place.endswith(".log_loss") else {}
        compared = [key for key, one in above.items() if _is_estimate(one) and any(one.values())]
        start = place.rpartition(".")[0]
        if compared:
            assert cited & {f"{start}.{key}" for key in compared}, place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_misses_stand_beside_hits(page: Answer) -> None:
    cited = set(page.numbers.values())
    wanted = {
        f"{start}.{miss}"
        for place in cited
        for start, _, name in [place.rpartition(".")]
        for miss in MISSES.get(name, [])
        if miss in (_above(place) or {})
    }
    assert wanted - cited == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_label_names_the_percentile_that_its_place_does(page: Answer) -> None:
    for label, place in page.numbers.items():
        named = re.findall(r"\bp\d\d\b", label)
        assert not named or re.search(rf"\b{named[0]}(_|$)", place), label
    assert len(set(page.numbers.values())) == len(page.numbers)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_percentiles_of_a_page_rise(page: Answer) -> None:
    found: dict[str, dict[str, float]] = {}
    for place in page.numbers.values():
        start, _, name = place.rpartition(".")
        if re.fullmatch(r"p\d\d|max", name):
            found.setdefault(start, {})[name] = numbers.value(place)
    for values in found.values():
        assert list(values.values()) == sorted(values.values())


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_recorded_in_order_rises(name: str) -> None:
    for one in _objects(json.loads(tree.read(name))):
        for names in RISING:
            values = [one[n] for n in names if isinstance(one.get(n), int | float)]
            assert values == sorted(values), (names, one)


@pytest.mark.parametrize("name", RECORDS)
def test_a_recorded_share_is_one(name: str) -> None:
    shares = ("found", "found_by_it", "rollback", "advance", "inconclusive", "coverage")
    for one in _objects(json.loads(tree.read(name))):
        values = [one[n] for n in shares if isinstance(one.get(n), int | float)]
        assert all(0 <= value <= 1 for value in values), one


def _record(name: str) -> Any:
    return json.loads(tree.read(f"benchmarks/{name}.json"))


def test_the_alerts_of_a_rule_are_its_graded_ones() -> None:
    found = _record("alerts")
    for rule in found["rules"].values():
        graded = list(rule["alerts"].values())
        assert {n: rule[n] for n in set(graded)} == {n: graded.count(n) for n in set(graded)}
        assert sum(rule[n] for n in ("right", "early", "late", "false")) == len(graded)
        assert set(rule["missed"]) <= set(found["losses"])


def test_the_page_on_outcomes_met_or_missed_every_loss() -> None:
    found = _record("alerts")
    rule = found["rules"]["refit"]
    assert rule["right"] + len(rule["missed"]) == len(found["losses"])


def test_weeks_with_an_alert_are_right_or_false_and_lost_weeks_met_or_missed() -> None:
    weeks = _record("policies")["alarms"]
    assert sorted(weeks["right"] + weeks["false"]) == weeks["alerted"]
    assert sorted(weeks["right"] + weeks["missed"]) == weeks["lost"]


def test_the_verdicts_on_constructed_cases_add_up_to_the_seeds() -> None:
    found = _record("drifts")
    for case in found["constructed"].values():
        for verdicts in (case["found"], case["without_asking_the_feed"]):
            assert sum(verdicts.values()) == found["seeds"]
        assert case["found"].get(case["truth"], 0) == case["right"]


def test_days_of_a_proxy_s_alert_add_up_to_those_of_the_outcome() -> None:
    found = _record("outcome")
    for proxy in found["proxies"].values():
        alert = proxy["alert"]
        firing = alert["days_both"] + alert["days_missed"]
        assert firing == found["outcome_alert"]["days_firing"]
    months = [month["flights"] for month in found["by_month"].values()]
    assert sum(months) == found["scored"]["flights"]


def test_the_outcomes_of_a_shadow_add_up_to_all() -> None:
    shadow = _record("rollout")["shadow"]["alike"]
    assert shadow["rollback"] + shadow["advance"] + shadow["inconclusive"] == pytest.approx(1)


def test_no_more_outputs_are_equal_than_were_compared() -> None:
    for one in _record("reproduce")["rebuilt"]:
        assert one["equal"] <= one["compared"]


def test_the_faults_in_training_data_are_as_many_as_the_page_says() -> None:
    found = _record("candidates")
    assert {name: found[name] for name in found if name != "cases"} == summary(found["cases"])
    assert set(found["of_these_live"]) <= set(found["live_without_guards"])
    assert set(found["live_without_guards"]) <= set(found["surely_harmful"])
    faults, dates = found["cases"].keys() - {"clean"}, found["cases"]["clean"]
    assert len(found["faulty"]) == len(faults) * len(dates)
    assert (len(faults), len(dates)) == (7, 2), "docs/answers/retraining.md says so"
    refused = [
        told["guards_that_refuse"] for name in faults for told in found["cases"][name].values()
    ]
    assert all(refused), "docs/answers/retraining.md says that the guards refused every case"


def test_the_promotions_that_lost_are_some_of_all() -> None:
    found = _record("loop")
    assert len(found["surely_harmful"]) <= len(found["harmful"]) <= found["promotions"]
    assert len(found["attempts"]) == found["checks"]["retrain"]


def test_every_promotion_of_the_loop_followed_a_champion_of_the_week_before() -> None:
    """The gate compared none with its champion: closed-loop.md says so of all."""
    gates = [one["gate"] for one in _record("loop")["attempts"] if one["result"] == "promoted"]
    assert all("refit stays near what was judged" in gate for gate in gates)
    assert [gate for gate in gates if {NOT_WORSE, NOT_MUCH_WORSE} & set(gate)] == []


@pytest.mark.parametrize(
    ("found", "unit", "said"),
    [
        (0.7601, "AUC", "0.760"),
        (0.76, "AUC", "0.76"),
        (4.0, "times", "4"),
        (372.4, "times", "372"),
        (0.0825, "% of faults", "8.25"),
        (0.8075, "% of canaries", "80.8"),
        (1.0, "% of canaries", "100"),
        (0.0, "%", "0"),
        (99.96, "ms", "100"),
        (1065.4, "s", "1,065"),
        (-0.008097, "nats", "-0.00810"),
        (0.00001, "s", "0.00001"),
        (29425, "flights", "29,425"),
        (["a", "b"], "weeks", "2"),
        ([], "weeks", "0"),
        (True, "–", "yes"),
        (None, "min", "not known"),
        ("retrain", "–", "retrain"),
        ({"point": 0.0039, "low": 0.002, "high": 0.0061}, "nats", "0.0039 [0.002, 0.0061]"),
        ({"point": -0.01, "low": -0.0104, "high": 0.0, "days": 9}, "% points", "-1 [-1.04, 0]"),
    ],
)
def test_a_value_is_shown_in_three_figures_a_list_as_its_length(
    found: Any, unit: str, said: str
) -> None:
    assert numbers.shown(found, unit) == said


def test_an_item_of_a_list_is_found_by_its_slug(tmp_path: Any) -> None:
    (tmp_path / "found.json").write_text('[{"slug": "a", "by": "x"}, {"slug": "b-c", "by": "y"}]')
    assert numbers.value("found.json:b-c.by", tmp_path) == "y"


def test_a_number_is_read_from_lists_and_under_names_with_dots(tmp_path: Any) -> None:
    (tmp_path / "found.json").write_text('{"p below .05": [{"at": 0.25}], "p": 7000}')
    assert numbers.value("found.json:p below .05.0.at", tmp_path) == 0.25
    assert numbers.value("found.json:p", tmp_path) == 7000


def test_a_number_is_read_from_a_text_by_the_words_around_it(tmp_path: Any) -> None:
    (tmp_path / "run.txt").write_text("failed 0 of 1,707\nrequests; excess at most +0.0153, -0.5")
    found = {"of {} requests": 1707, "at most {},": 0.0153, ", {}": -0.5}
    assert {words: numbers.value(f"run.txt:{words}", tmp_path) for words in found} == found
    for words, fits in {"at least {}": 0, " {} ": 2}.items():
        with pytest.raises(LookupError, match=rf"fits {fits} places of the text, 1 is needed"):
            numbers.value(f"run.txt:{words}", tmp_path)


def test_two_places_are_said_as_their_ratio_or_their_difference() -> None:
    days, firing = (f"benchmarks/outcome.json:outcome_alert.{n}" for n in ("days", "days_firing"))
    of, with_an_alert = numbers.value(days), numbers.value(firing)
    assert numbers.said(f"{days} less {firing}") == str(of - with_an_alert)
    assert numbers.said(f"{days} / {firing}") == f"{of / with_an_alert:.1f}"


@tree.each([n for n in tree.files() if re.match(r"(docs|configs)/|README", n)])
def test_a_rise_of_a_rate_says_from_what_to_what(name: str) -> None:
    """ "5 % more errors" is 1 % -> 6 % to one reader and 1 % -> 1.05 % to another."""
    rise = r"(?:\d+(?:\.\d+)? ?%|per ?cent) more (?:errors|failures|requests|missing|answers)"
    recorded = r"`[^`\n]*`|^  [^\n]*: benchmarks/[^\n]*$"
    prose = re.sub(recorded, "", tree.read(name), flags=re.MULTILINE)
    assert re.findall(rise, prose) == []
