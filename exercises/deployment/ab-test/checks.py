"""The acceptance checks of an A/B test: its size, its arms, its looks."""

from itertools import islice, pairwise
from typing import Any

import numpy as np
import pandas as pd

from exercises.workbench.checking import check, expect, holds, raised
from pipeline.rollout.analysis.group_sequential import limits
from pipeline.rollout.traffic.routes import Route, arm_of

PLAN: dict[str, Any] = {
    "salt": "may",
    "share": 5000,
    "looks": [7, 14, 21, 28],
    "alpha": 0.05,
    "ratio_alpha": 0.001,
}


def _asked(name, plan, *given):
    """Beside the solution: a function of the test that takes a plan."""
    from pipeline.rollout import ab_test

    made = ab_test.Plan.model_validate(plan)
    if name == "days":
        return ab_test.days(*given, made)
    if name == "arm":
        return [ab_test.arm(flight, made) for flight in given[0]]
    return ab_test.analyse(given[0], made, given[1])


def _arm(unit: str, plan: dict[str, Any]) -> str:
    shares = {"challenger": plan["share"], "control": plan["share"]}
    route = Route({**shares, "champion": 10_000 - 2 * plan["share"]}, plan["salt"])
    return arm_of(unit, route).replace("champion", "")


def _units(arm: str, many: int) -> list[str]:
    """The first units that are dealt to an arm."""
    names = (f"UA/{number}/EWR" for number in range(1, 100_000))
    return list(islice((name for name in names if _arm(name, PLAN) == arm), many))


def _flights(costs: dict[str, dict[int, list[float]]]) -> pd.DataFrame:
    """Flights of units, with the costs of each day; in no order that would help."""
    rows = [
        {"flight": f"2013-05-{day:02}/{unit}", "day": day, "arm": _arm(unit, PLAN), "cost": cost}
        for unit, by_day in costs.items()
        for day, found in by_day.items()
        for cost in found
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


def _trial(many: int, better: float, later: float | None = None, seed: int = 0) -> pd.DataFrame:
    """Units that fly each day for four weeks; the challenger's cost is less by `better`.

    By `later` from the second week on, where it is given.
    """
    by_day = [-better if day <= 7 or later is None else -later for day in range(1, 29)]
    chance = np.random.default_rng(seed)
    costs: dict[str, dict[int, list[float]]] = {}
    for unit in [*_units("challenger", many), *_units("control", many)]:
        own = 0.4 + 0.1 * chance.standard_normal() + 0.2 * chance.standard_normal(28)
        found = own + np.array(by_day) * (_arm(unit, PLAN) == "challenger")
        costs[unit] = {day: [float(found[day - 1])] for day in range(1, 29)}
    return _flights(costs)


@check(2)
def test_a_test_has_a_size(subject):
    """Two-sided, rounded up; units of alike flights need more of them."""
    alone = subject.flights_an_arm(1.0, 0.1, 0.05, 0.8)
    turns = [(1237, "one-sided: a test of two sides needs more"), (1569, "rounded down")]
    expect(alone, 1570, turns)
    expect(subject.flights_an_arm(1.0, -0.1, 0.05, 0.8), 1570, why="the sign does not matter")
    seen = subject.flights_an_arm(1.0, 0.1, 0.05, 0.8, 4.0, 0.2)
    expect(seen, 2512, [(1570, "as if the flights of a unit had nothing in common")])


@check(1)
def test_a_size_takes_days(subject):
    """Of the flights that leave, each arm gets its share."""
    expect(subject.do(_asked, "days", PLAN | {"share": 2500}, 1570, 923.0), 7)
    expect(subject.do(_asked, "days", PLAN | {"share": 1000}, 100, 500.0), 2)


@check(3)
def test_a_unit_keeps_its_arm(subject):
    """On every day, by the hash that routes requests."""
    expect(subject.unit_of("2013-05-01/UA/1545/EWR"), "UA/1545/EWR")
    for unit in _units("challenger", 3) + _units("control", 3):
        names = [f"2013-{month:02}-11/{unit}" for month in range(1, 12)]
        seen = subject.do(_asked, "arm", PLAN, names)
        turn = "the day is in the key: regulars of a flight meet both models"
        expect(seen, [_arm(unit, PLAN)] * 11, why=turn)


@check(2)
def test_a_larger_share_only_lets_more_units_in(subject):
    """From 5 to 25 to 50 percent nobody changes sides, and nobody leaves."""
    names = [f"2013-05-01/UA/{number}/EWR" for number in range(1, 1200)]
    steps = [subject.do(_asked, "arm", PLAN | {"share": s}, names) for s in (500, 2500, 5000)]
    for before, after in pairwise(steps):
        moved = sum(a not in ("", b) for a, b in zip(before, after, strict=True))
        expect(moved, 0, why="units in an arm are in another one a step later")
    counts = [[one.count(arm) for arm in ("challenger", "control")] for one in steps]
    holds(min(counts[0]) > 40 and max(counts[0]) < 80, "5 percent in each arm", counts[0])
    expect(sum(counts[2]), len(names))


@check(4)
def test_a_look_has_a_difference_and_its_interval(subject):
    """Two units an arm: 1/3 against 4/5, with variances of 4/81 and 0.0256 over units."""
    (a, b), (c, d) = _units("challenger", 2), _units("control", 2)
    costs = {
        a: {1: [1.0], 2: [0.0]},
        b: {1: [0.0]},
        c: {1: [1.0, 1.0]},
        d: {1: [0.0], 2: [1.0, 1.0]},
    }
    seen = subject.do(_asked, "analyse", PLAN | {"looks": [2]}, _flights(costs), 2)
    expect(seen.outcome, "no difference")
    look = dict(seen.looks[0])
    reach = 1.959963985 * (4 / 81 + 0.0256) ** 0.5
    sizes = {"day": 2, "challenger": 2, "control": 2, "difference": 1 / 3 - 0.8, "limit": 0.025}
    ends = {"low": 1 / 3 - 0.8 - reach, "high": 1 / 3 - 0.8 + reach}
    expect(look, sizes | ends, why="by unit: cost and flights of each", tolerance=1e-6)


@check(2)
def test_there_are_the_planned_looks_and_no_others(subject):
    """A difference that everybody can see on day 3 is not looked at before day 7."""
    flights = _trial(20, 0.5)
    early = subject.do(_asked, "analyse", PLAN, flights[flights["day"] <= 6], 6)
    expect([early.outcome, list(early.looks)], ["continue", []], why="a look that was not planned")
    seen = subject.do(_asked, "analyse", PLAN, flights[flights["day"] <= 9], 9)
    expect([seen.outcome, [look.day for look in seen.looks]], ["challenger", [7]])


@check(2)
def test_a_look_waits_for_its_labels(subject):
    """One flight of day 5 has no cost yet: day 7 is not looked at, whatever the others say."""
    flights = _trial(20, 0.5)
    flights = flights[flights["day"] <= 7].reset_index(drop=True)
    flights.loc[flights.index[flights["day"] == 5][0], "cost"] = np.nan
    seen = subject.do(_asked, "analyse", PLAN, flights, 7)
    expect([seen.outcome, list(seen.looks)], ["continue", []], why="late flights' labels come last")
    flights["day"] += 3
    seen = subject.do(_asked, "analyse", PLAN, flights, 10)
    expect(seen.looks[0].day if seen.looks else None, 7, why="that flight is of day 8 now")


@check(2)
def test_the_first_look_that_decides_ends_the_test(subject):
    """Better in the first week and worse after it: on day 28 the outcome is that of day 7."""
    flights = _trial(20, 0.5, -0.8)
    for passed in (7, 28):
        seen = subject.do(_asked, "analyse", PLAN, flights, passed)
        expect([seen.outcome, [look.day for look in seen.looks]], ["challenger", [7]])
    worse = _trial(20, -0.5)
    expect(subject.do(_asked, "analyse", PLAN, worse, 28).outcome, "control")


@check(2)
def test_the_looks_share_alpha(subject):
    """Next to nothing on day 7, nearly all on day 28; a small difference decides late."""
    seen = subject.do(_asked, "analyse", PLAN, _trial(40, 0.045, seed=3), 28)
    parts = list(limits((7, 14, 21, 28), 0.025))
    found = [look.limit for look in seen.looks]
    expect(found, parts[: len(found)], [([0.025] * len(found), "all of alpha, at each look")])
    holds(len(found) > 1, "a first look that does not decide", f"{seen.outcome} on day 7")


@check(3)
def test_arms_of_unequal_size_are_invalid(subject):
    """Of units, not of flights; whatever the costs say, and with no difference."""
    flights = _trial(30, 0.5)
    lost = set(_units("challenger", 24))
    kept = flights[[name.partition("/")[2] not in lost for name in flights["flight"]]]
    seen = subject.do(_asked, "analyse", PLAN, kept, 7)
    sizes = {"day": 7, "challenger": 6, "control": 30}
    expect(seen.outcome, "invalid", [("challenger", "a fifth of the arm is left, and it wins")])
    expect(dict(seen.looks[0]), sizes | dict.fromkeys(["difference", "low", "high", "limit"]))
    rarely = flights[(flights["arm"] == "control") | (flights["day"] % 3 == 1)]
    expect(subject.do(_asked, "analyse", PLAN, rarely, 7).outcome, "challenger", why="of units")


@check(2)
def test_an_arm_that_was_not_dealt_is_refused(subject):
    """By the name of the flight; what is outside of the test is left out."""
    flights = _trial(5, 0.0).reset_index(drop=True)
    flights.loc[17, "arm"] = "control" if flights["arm"][17] == "challenger" else "challenger"
    words = raised(lambda: subject.do(_asked, "analyse", PLAN, flights, 28), "RolloutRefused")
    holds(flights["flight"][17] in words, f"the flight, {flights['flight'][17]}", words)
    outside = flights.drop(index=17).assign(arm=lambda f: np.where(f.index < 40, "", f["arm"]))
    seen = subject.do(_asked, "analyse", PLAN | {"looks": [28]}, outside, 28)
    inside = outside[outside["arm"] != ""]
    many = len({name.partition("/")[2] for name in inside["flight"]})
    expect(seen.looks[0].challenger + seen.looks[0].control, many)


def _repeated(plan, units, better, runs):
    """Beside the solution: tests of the same units with other salts; how many end in what."""
    import numpy as np
    import pandas as pd

    from pipeline.rollout import ab_test
    from pipeline.rollout.traffic.routes import Route, arm_of

    chance = np.random.default_rng(8)
    own = np.clip(0.4 + 0.25 * chance.standard_normal(units), 0.02, 0.98)
    names = [f"UA/{number}/EWR" for number in range(units)]
    looks, days = plan["looks"], np.arange(1, plan["looks"][-1] + 1)
    found: dict[str, int] = {}
    for run in range(runs):
        dealt = Route({"challenger": 5000, "control": 5000}, f"salt {run}")
        arms = np.array([arm_of(name, dealt) for name in names])
        risk = np.clip(own - better * (arms == "challenger"), 0, 1)
        late = chance.random((len(days), units)) < risk
        frame = pd.DataFrame(
            {
                "flight": [f"2013-05-{day:02}/{name}" for day in days for name in names],
                "day": np.repeat(days, units),
                "arm": np.tile(arms, len(days)),
                "cost": late.ravel().astype("float64"),
            }
        )
        made = ab_test.Plan.model_validate({**plan, "salt": f"salt {run}", "looks": looks})
        outcome = ab_test.analyse(frame, made, int(days[-1])).outcome
        found[outcome] = found.get(outcome, 0) + 1
    return found


@check(3, hidden=True)
def test_the_champion_does_not_beat_itself(subject):
    """Sixty tests of equal models over units that differ: at most seven find a difference."""
    seen = subject.do(_repeated, PLAN | {"looks": [5, 10, 15]}, 120, 0.0, 60)
    called = seen.get("challenger", 0) + seen.get("control", 0)
    holds(called <= 7, "at most 7 of 60 find a difference", f"{called}: {seen}")
    holds(seen.get("no difference", 0) >= 50, "50 or more without a difference", seen)


@check(2, hidden=True)
def test_a_better_model_is_found(subject):
    """Thirty tests of a model that saves a third of the cost: at least twenty-four find it."""
    seen = subject.do(_repeated, PLAN | {"looks": [5, 10, 15]}, 120, 0.15, 30)
    holds(seen.get("challenger", 0) >= 24, "24 or more for the challenger", seen)
    expect(seen.get("control", 0), 0)


@check(1, hidden=True)
def test_too_few_units_decide_nothing(subject):
    """One unit has no variance, none has no mean."""
    (a, b), (c,) = _units("challenger", 2), _units("control", 1)
    costs = {a: {1: [0.0]}, b: {1: [0.5]}, c: {1: [9.0, 9.0]}}
    one = subject.do(_asked, "analyse", PLAN | {"looks": [1]}, _flights(costs), 1)
    expect(one.outcome, "no difference")
    look = one.looks[0]
    expect([look.difference, look.low, look.high], [-8.75, -8.75, -8.75])
    alone = subject.do(_asked, "analyse", PLAN | {"looks": [1]}, _flights({a: {1: [0.5]}}), 1)
    expect([alone.outcome, alone.looks[0].difference], ["no difference", 0.0])
    nothing = _flights(costs).iloc[:0]
    expect(subject.do(_asked, "analyse", PLAN, nothing, 0).outcome, "continue")


@check(1, hidden=True)
def test_a_size_that_cannot_be_is_refused(subject):
    """No effect, no spread, no chance."""
    wrong = [(1, 0, 0.05, 0.8), (0, 1, 0.05, 0.8), (1, float("nan"), 0.05, 0.8)]
    wrong += [(1, 1, 0, 0.8), (1, 1, 0.05, 1), (1, 1, 0.05, 0.8, 0, 0), (1, 1, 0.05, 0.8, 2, 1.1)]
    for one in wrong:
        raised(lambda one=one: subject.flights_an_arm(*one), "UsageError")
    raised(lambda: subject.do(_asked, "days", PLAN, 100, 0.0), "UsageError")
