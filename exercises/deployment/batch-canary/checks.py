"""The acceptance checks of a batch's canary: whole tables, mature labels, kills at any write."""

import json
from typing import Any

import numpy as np

from exercises.workbench.checking import check, expect, holds
from pipeline.rollout.traffic.routes import Route, arm_of
from pipeline.shared.config.evaluate import Bootstrap
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss

PLAN: dict[str, Any] = {
    "salt": "batch",
    "steps": [2500, 5000],
    "nights": 2,
    "coverage": 0.9,
    "max_invalid": 1,
    "max_shift": 0.2,
    "margin": 0.0,
    "bootstrap": {"draws": 200, "seed": 0, "confidence": 0.95},
}
BEGUN = ["start", "old", "new"]
ROUTES = [
    f"{origin}-{dest}" for origin in ("EWR", "JFK", "LGA") for dest in ("BOS", "ATL", "MIA", "DTW")
]


def _played(plan, steps, files=None, writes=None):
    """Beside the solution: calls in order, on texts by name; killed after so many writes.

    Gives what each call gave, or the refusal's name and words, and the texts afterwards.
    """
    from collections import UserDict

    from pipeline.rollout import batch_canary
    from pipeline.shared.errors import PipelineError

    class Killed(BaseException):
        """The process is gone."""

    class Texts(UserDict):
        """Texts by name, of which so many can be written."""

        left = None

        def __setitem__(self, name, text):
            if self.left == 0:
                raise Killed
            self.left = None if self.left is None else self.left - 1
            super().__setitem__(name, text)

    made = batch_canary.Plan.model_validate(plan)
    texts, gave = Texts(files or {}), []
    texts.left = writes
    for name, *given in steps:
        try:
            if name == "publish":
                given = [given[0], [batch_canary.Flight.model_validate(one) for one in given[1]]]
            plans = [made] if name in ("publish", "judge") else []
            value = getattr(batch_canary, name)(texts, *given, *plans)
        except PipelineError as error:
            gave.append([type(error).__name__, str(error)])
            continue
        except Killed:
            gave.append("killed")
            break
        plain = [one.model_dump() for one in value] if name == "served" and value else value
        gave.append(value.model_dump() if hasattr(value, "model_dump") else plain)
    return {"gave": gave, "files": dict(texts.data)}


def _night(night: str, better: float = 0.0, many: int = 48) -> list[dict[str, Any]]:
    """A night's flights in no order; the challenger's risks are nearer to the labels."""
    chance = np.random.default_rng(int(night[-2:]))
    flights = []
    for number in range(many):
        late, base = _late(number), 0.3 + 0.2 * float(chance.random())
        name = f"{night}/UA/{number:03}/EWR"
        flights.append(
            {
                "flight": name,
                "route": ROUTES[number % len(ROUTES)],
                "champion": base,
                "challenger": base + better * (late - base),
            }
        )
    return [flights[n] for n in chance.permutation(many)]


def _late(number: int) -> int:
    return int(number // len(ROUTES) % 2 == 0)


def _labels(*nights: str, many: int = 48) -> dict[str, int]:
    return {f"{night}/UA/{n:03}/EWR": _late(n) for night in nights for n in range(many)}


def _dealt(share: int, salt: str = "batch") -> set[str]:
    """The routes that are the challenger's at a share."""
    route = Route({"challenger": share, "champion": 10_000 - share}, salt)
    return {name for name in ROUTES if arm_of(name, route) == "challenger"}


def _mine(flights: list[dict[str, Any]], share: int) -> list[dict[str, Any]]:
    return sorted((f for f in flights if f["route"] in _dealt(share)), key=lambda f: f["flight"])


def _table(files: dict[str, str], night: str) -> list[dict[str, Any]]:
    return list(json.loads(files[f"served/{night}.json"]))


def _releases(files: dict[str, str], night: str) -> dict[str, str]:
    return {row["flight"]: row["release"] for row in _table(files, night)}


def _new(files: dict[str, str], night: str) -> list[str]:
    """The flights that the challenger serves."""
    return [name for name, release in _releases(files, night).items() if release == "new"]


def _changed(after: dict[str, str], before: dict[str, str]) -> list[str]:
    """The names whose texts differ, or that are in one alone."""
    return [name for name in sorted({*after, *before}) if after.get(name) != before.get(name)]


def _state(files: dict[str, str]) -> dict[str, Any]:
    return dict(json.loads(files["state.json"]))


def _whole(files: dict[str, str], nights: dict[str, list[dict[str, Any]]]) -> None:
    """Every table that is there has each flight of its night once, with a risk of its release."""
    for night, flights in nights.items():
        if f"served/{night}.json" not in files:
            continue
        known = {f["flight"]: {"old": f["champion"], "new": f["challenger"]} for f in flights}
        rows = _table(files, night)
        expect([row["flight"] for row in rows], sorted(known), why=f"the table of {night}")
        for row in rows:
            expect(row["risk"], known[row["flight"]][row["release"]], why=row["flight"])


N1, N2, N3, N4 = (f"2013-05-0{day}" for day in range(1, 5))


@check(3)
def test_whole_routes_are_the_challengers(subject):
    """A quarter of the routes, by the hash that deals requests; the others are the champion's."""
    flights = _night(N1, better=0.3)
    seen = subject.do(_played, PLAN, [BEGUN, ["publish", N1, flights]])
    turn = "routes are dealt, so that a crew reads one model"
    expect(_new(seen["files"], N1), [f["flight"] for f in _mine(flights, 2500)], why=turn)
    holds(0 < len(_dealt(2500)) < 6, "a few routes", _dealt(2500))
    expect(seen["gave"][1]["status"], "running")


@check(2)
def test_a_table_is_whole_and_the_same_again(subject):
    """Each flight once and in order, with the risk of its release; equal flights, equal texts."""
    flights = _night(N1, better=0.3)
    once = subject.do(_played, PLAN, [BEGUN, ["publish", N1, flights]])["files"]
    _whole(once, {N1: flights})
    expect(sorted(_table(once, N1)[0]), ["flight", "release", "risk"])
    again = subject.do(_played, PLAN, [["publish", N1, flights[::-1]]], once)["files"]
    expect(_changed(again, once), [], why="the same night, published again in another order")
    served = subject.do(_played, PLAN, [["served", N1], ["served", N2]], once)["gave"]
    expect(served[0], _table(once, N1))
    expect(served[1][0], "ArtifactMissing")


@check(2)
def test_a_risk_that_is_none_is_the_champions(subject):
    """As many as the plan allows; what is kept of it is None."""
    mine = _mine(_night(N1), 2500)[0]["flight"]
    for none in (None, float("nan"), 1.2, -0.1):
        flights = _night(N1, better=0.3)
        for one in flights:
            one["challenger"] = none if one["flight"] == mine else one["challenger"]
        seen = subject.do(_played, PLAN, [BEGUN, ["publish", N1, flights]])
        holds(isinstance(seen["gave"][1], dict), "a night that is served", seen["gave"][1])
        rows = {row["flight"]: row for row in _table(seen["files"], N1)}
        old = next(f["champion"] for f in flights if f["flight"] == mine)
        expect(rows[mine], {"flight": mine, "risk": old, "release": "old"})
        kept = json.loads(seen["files"][f"scores/{N1}.json"])["flights"]
        expect(next(f["challenger"] for f in kept if f["flight"] == mine), None)
        expect(seen["gave"][1]["status"], "running", why="one is allowed")


@check(3)
def test_a_broken_night_is_never_served(subject):
    """Two risks that are none, or a mean that is far away, on the challenger's routes alone."""
    flights = _night(N1, better=0.3)
    two = [f["flight"] for f in _mine(flights, 2500)[:2]]
    broken = [{**f, "challenger": None if f["flight"] in two else f["challenger"]} for f in flights]
    away = [{**f, "challenger": f["champion"] + 0.25} for f in flights]
    for night in (broken, away):
        seen = subject.do(
            _played, PLAN, [BEGUN, ["publish", N1, night], ["publish", N2, _night(N2)]]
        )
        states = seen["gave"][1:]
        expect([one["status"] for one in states], ["rolled back"] * 2)
        expect(states[0]["since"], N1)
        holds(states[0]["reason"] != "", "a reason", "none")
        for name in (N1, N2):
            expect(set(_releases(seen["files"], name).values()), {"old"})
    elsewhere = [
        {**f, "challenger": f["challenger"] if f["route"] in _dealt(2500) else None}
        for f in flights
    ]
    seen = subject.do(_played, PLAN, [BEGUN, ["publish", N1, elsewhere]])
    expect(seen["gave"][1]["status"], "running", why="these are not the challenger's routes")


@check(2)
def test_a_night_keeps_its_step(subject):
    """Published again after the next step has begun, it deals its routes as it did."""
    nights = {name: _night(name, better=0.5) for name in (N1, N2)}
    steps = [BEGUN, *(["publish", *one] for one in nights.items())]
    steps.append(["judge", N3, _labels(N1, N2)])
    before = subject.do(_played, PLAN, steps)
    expect([before["gave"][3]["outcome"], _state(before["files"])["step"]], ["advance", 1])
    after = subject.do(
        _played, PLAN, [["publish", N1, nights[N1]], ["publish", N3, _night(N3)]], before["files"]
    )["files"]
    expect(_new(after, N1), _new(before["files"], N1), why="the night of before, run again")
    mine = [f["flight"] for f in _mine(_night(N3), 5000)]
    expect(_new(after, N3), mine, why="a new night is of the new step")


@check(3)
def test_a_night_counts_once_it_is_mature(subject):
    """Nine tenths of the challenger's flights have a label, or the night is left out whole."""
    nights = {name: _night(name, better=0.5) for name in (N1, N2)}
    begun = subject.do(_played, PLAN, [BEGUN, *(["publish", *one] for one in nights.items())])
    early = {f["flight"] for f in nights[N2] if _labels(N2)[f["flight"]] == 0}
    labels = _labels(N1) | dict.fromkeys(early, 0)
    seen = subject.do(_played, PLAN, [["judge", N3, labels]], begun["files"])["gave"][0]
    turns = [([N1, N2], "half of a night's labels, and those of its punctual flights")]
    expect(seen["nights"], [N1], turns)
    expect(seen["outcome"], "hold")
    expect(seen["flights"], len(_mine(nights[N1], 2500)))
    others = _labels(N1) | {f["flight"]: 1 for f in nights[N2] if f["route"] not in _dealt(2500)}
    seen = subject.do(_played, PLAN, [["judge", N3, others]], begun["files"])["gave"][0]
    expect(seen["nights"], [N1], why="the champion's flights say nothing of the challenger's")
    seen = subject.do(_played, PLAN, [["judge", N3, {}]], begun["files"])["gave"][0]
    nothing = {"outcome": "hold", "nights": [], "flights": 0, "point": None}
    expect(seen, nothing | {"low": None, "high": None})


@check(3)
def test_labels_decide_by_the_paired_interval(subject):
    """Better on both nights advances and then promotes, worse rolls back; the figures are given."""
    nights = {name: _night(name, better=0.5) for name in (N1, N2)}
    steps = [BEGUN, *(["publish", *one] for one in nights.items()), ["judge", N3, _labels(N1, N2)]]
    found = subject.do(_played, PLAN, steps)["gave"][3]
    mine = [f for name in (N1, N2) for f in _mine(nights[name], 2500)]
    late = np.array([_labels(N1, N2)[f["flight"]] for f in mine])
    by_arm = [np.array([f[arm] for f in mine]) for arm in ("challenger", "champion")]
    worse = log_loss(late, by_arm[0]) - log_loss(late, by_arm[1])
    of_night = np.array([name for name in (N1, N2) for _ in _mine(nights[name], 2500)])
    of = difference(worse, of_night, Bootstrap(**PLAN["bootstrap"]))
    figures = {"outcome": "advance", "nights": [N1, N2], "flights": len(mine)}
    expect(found, figures | {"point": of.point, "low": of.low, "high": of.high})
    last = subject.do(_played, PLAN | {"steps": [2500]}, [*steps, ["publish", N3, _night(N3)]])
    expect([last["gave"][3]["outcome"], last["gave"][4]["status"]], ["promote", "promoted"])
    expect(set(_releases(last["files"], N3).values()), {"new"}, why="promoted: every route")
    bad = [BEGUN, *(["publish", n, _night(n, better=-0.3)] for n in (N1, N2))]
    seen = subject.do(_played, PLAN, [*bad, ["judge", N3, _labels(N1, N2)]])
    state = _state(seen["files"])
    expect(
        [seen["gave"][3]["outcome"], state["status"], state["since"]],
        ["rollback", "rolled back", N3],
    )


@check(3)
def test_a_rollback_makes_coming_nights_anew_and_no_others(subject):
    """From the given night on; the nights before it are what crews have acted by."""
    nights = {name: _night(name, better=0.3) for name in (N1, N2, N3)}
    steps = [BEGUN, *(["publish", *one] for one in nights.items())]
    before = subject.do(_played, PLAN, steps)["files"]
    seen = subject.do(_played, PLAN, [["rollback", N2, "two airports"], ["resume"]], before)
    expect(seen["gave"], [[N2, N3], []])
    after = seen["files"]
    _whole(after, nights)
    turn = "the record of what was served is made up afterwards"
    expect(_new(after, N1), _new(before, N1), why=turn)
    for night in (N2, N3):
        expect(set(_releases(after, night).values()), {"old"})
        expect(after[f"scores/{night}.json"], before[f"scores/{night}.json"])
    state = _state(after)
    expect([state["status"], state["since"], state["reason"]], ["rolled back", N2, "two airports"])
    again = subject.do(_played, PLAN, [["publish", N1, nights[N1]]], after)["files"]
    expect(_new(again, N1), _new(before, N1), why=turn)


def _kills(subject, step: list[Any], files: dict[str, str], after: list[Any]) -> list[Any]:
    """The texts after a kill at each write of a call, and those after the calls that follow it."""
    found = []
    for writes in range(20):
        seen = subject.do(_played, PLAN, [step], files, writes)
        if seen["gave"][-1] != "killed":
            return found
        then = subject.do(_played, PLAN, after, seen["files"])
        found.append((seen["files"], then["files"], then["gave"]))
    holds(False, "a call that ends", "20 writes and more")
    return found


@check(4)
def test_a_rollback_may_be_killed_at_any_write(subject):
    """Tables are whole at every instant, and the next night ends what was begun."""
    nights = {name: _night(name, better=0.3) for name in (N1, N2, N3, N4)}
    steps = [BEGUN, *(["publish", *one] for one in list(nights.items())[:3])]
    before = subject.do(_played, PLAN, steps)["files"]
    call, after = ["rollback", N2, "two airports"], [["publish", N4, nights[N4]]]
    killed = _kills(subject, call, before, after)
    holds(len(killed) >= 3, "three writes: the state and two tables", len(killed))
    unbroken = subject.do(_played, PLAN, [call, *after], before)["files"]
    for then, ended, _ in killed:
        _whole(then, nights)
        begun = any(then[f"served/{n}.json"] != before[f"served/{n}.json"] for n in (N2, N3))
        if then == before:
            continue  # nothing has changed: the rollback has not begun
        holds(
            _state(then)["status"] == "rolled back" or not begun,
            "a state that says so before any table changes",
            "tables made anew under a canary that runs",
            "killed here, the rollback is forgotten, and the next night is the challenger's",
        )
        expect(
            _changed(ended, unbroken), [], why="the next call ends where an unbroken run would have"
        )


@check(3, hidden=True)
def test_a_publication_may_be_killed_at_any_write(subject):
    """Evidence before the table; a broken night is never the challenger's, not for a moment."""
    good, away = _night(N2, better=0.3), _night(N2, better=0.3)
    away = [{**f, "challenger": f["champion"] + 0.25} for f in away]
    before = subject.do(_played, PLAN, [BEGUN, ["publish", N1, _night(N1, better=0.3)]])["files"]
    for flights, release in ((good, "new"), (away, "old")):
        call = ["publish", N2, flights]
        unbroken = subject.do(_played, PLAN, [call], before)["files"]
        for then, ended, _ in _kills(subject, call, before, [call]):
            _whole(then, {N2: flights})
            if f"served/{N2}.json" in then:
                holds(f"scores/{N2}.json" in then, "scores before their table", "a table alone")
                seen = set(_releases(then, N2).values())
                holds(release == "new" or seen == {"old"}, "a broken night by the champion", seen)
            expect(
                _changed(ended, unbroken),
                [],
                why="published again, it ends where an unbroken run would have",
            )


@check(2, hidden=True)
def test_each_step_needs_nights_of_its_own(subject):
    """Two good nights advance; one night of the next step is not enough to promote."""
    nights = {name: _night(name, better=0.5) for name in (N1, N2, N3)}
    steps = [BEGUN, *(["publish", *one] for one in list(nights.items())[:2])]
    steps += [["judge", N3, _labels(N1, N2)], ["publish", N3, nights[N3]]]
    seen = subject.do(_played, PLAN, [*steps, ["judge", N4, _labels(N1, N2, N3)]])
    found = seen["gave"][5]
    expect(found["nights"], [N3], [([N1, N2, N3], "nights of the step before")])
    expect(found["outcome"], "hold")
    early = subject.do(_played, PLAN, [*steps[:3], ["judge", N2, _labels(N1, N2)]])["gave"][3]
    expect([early["outcome"], early["nights"]], ["hold", [N1]], why="nights before the given one")


@check(1, hidden=True)
def test_what_cannot_be_served_leaves_nothing(subject):
    """A champion without a risk, a flight that is there twice, a canary that was never started."""
    flights = _night(N1)
    without = [{**flights[0], "champion": float("nan")}, *flights[1:]]
    begun = subject.do(_played, PLAN, [BEGUN])["files"]
    for wrong in (without, [*flights, flights[3]]):
        seen = subject.do(_played, PLAN, [["publish", N1, wrong]], begun)
        expect(seen["gave"][0][0], "RolloutRefused")
        expect(_changed(seen["files"], begun), [], why="nothing of the night is written")
    for call in (["publish", N1, flights], ["judge", N1, {}], ["rollback", N1, "why"]):
        seen = subject.do(_played, PLAN, [call])
        expect([seen["gave"][0][0], seen["files"]], ["RolloutRefused", {}])


@check(1, hidden=True)
def test_one_canary_at_a_time(subject):
    """A running one is not replaced, and a release that was rolled back does not come again."""
    seen = subject.do(_played, PLAN, [BEGUN, ["start", "old", "newer"]])
    expect(seen["gave"][1][0], "RolloutRefused")
    ended = [BEGUN, ["publish", N1, _night(N1)], ["rollback", N1, "why"]]
    seen = subject.do(_played, PLAN, [*ended, BEGUN, ["start", "old", "newer"], ["judge", N2, {}]])
    expect(seen["gave"][3][0], "RolloutRefused")
    expect(_state(seen["files"])["challenger"], "newer")
    expect(seen["gave"][5]["outcome"], "hold")
    seen = subject.do(_played, PLAN, [*ended, ["judge", N2, {}], ["rollback", N2, "why"]])
    expect([one[0] for one in seen["gave"][3:]], ["RolloutRefused"] * 2)


@check(1, hidden=True)
def test_a_folder_holds_the_same(subject):
    """A night, a rollback and a new canary in files, each call with a folder opened anew."""
    nights = {name: _night(name, better=0.3) for name in (N1, N2)}
    steps = [BEGUN, *(["publish", *one] for one in nights.items()), ["rollback", N2, "why"]]
    kept = subject.do(_played, PLAN, steps)["files"]
    expect(_changed(subject.do(_in_a_folder, PLAN, nights), kept), [])


def _in_a_folder(plan, nights):
    """Beside the solution: two nights and a rollback in a folder; the texts afterwards."""
    import tempfile
    from pathlib import Path

    from pipeline.rollout import batch_canary

    made = batch_canary.Plan.model_validate(plan)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nights"
        batch_canary.start(batch_canary.Folder(path), "old", "new")
        for night, found in nights.items():
            flights = [batch_canary.Flight.model_validate(one) for one in found]
            batch_canary.publish(batch_canary.Folder(path), night, flights, made)
        batch_canary.rollback(batch_canary.Folder(path), "2013-05-02", "why")
        return dict(batch_canary.Folder(path))
