"""The acceptance checks of an online store in a file."""

from typing import Any

import numpy as np
import pandas as pd

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.features import windows
from pipeline.features.definitions import KNOWN_AT, NUMERIC, ROLLING, VIEWS
from pipeline.features.online_store import LATE, MISSING, STALE, store_requests
from pipeline.features.point_in_time import historical
from pipeline.features.windows import NEVER
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.yaml_files import parse
from pipeline.usecase.chosen import SECTIONS

CONFIG = SECTIONS[FeaturesConfig].model_validate(
    parse((ROOT / "configs/features.yaml").read_text(encoding="utf-8"))
)
LAG = 30
LATER = 100_000
"""A minute after everything in these checks."""


def _flights() -> pd.DataFrame:
    """Three days of flights in January, some cancelled, some with an aircraft that is unknown."""
    many, chance = 360, np.random.default_rng(4)
    number = np.arange(many)
    day = pd.Timestamp("2013-01-10 05:00", tz="UTC") + pd.to_timedelta(number * 12, unit="min")
    cancelled, delay = number % 23 == 5, np.round(chance.exponential(20, many)) - 8
    late = pd.to_timedelta(delay, unit="min").where(~cancelled)
    due = day + pd.to_timedelta(90 + number % 60, unit="min")
    return pd.DataFrame(
        {
            "year": 2013,
            "month": 1,
            "day": day.day,
            "carrier": np.array(["UA", "B6", "EV"])[number % 3],
            "flight": number,
            "origin": np.array(["EWR", "JFK", "LGA"])[number // 7 % 3],
            "dest": np.array(["BOS", "ATL", "MIA", "DTW"])[number % 4],
            "tailnum": np.where(
                number % 11 == 3, None, np.char.add("N", (number % 40).astype(str))
            ),
            "distance": 187 + number % 5,
            "sched_dep_utc": day,
            "sched_arr_utc": due,
            "dep_utc": day + late,
            "arr_utc": due + late,
            "dep_delay": np.where(cancelled, np.nan, delay),
            "arr_delay": np.where(cancelled, np.nan, delay),
        }
    )


def _weather() -> pd.DataFrame:
    hours = pd.date_range("2013-01-10", periods=80, freq="h", tz="UTC")
    chance = np.random.default_rng(5)
    rows = pd.DataFrame(
        {"observed_utc": np.tile(hours, 3), "origin": np.repeat(["EWR", "JFK", "LGA"], 80)}
    )
    for name in ("humid", "wind_dir", "wind_speed", "wind_gust", "precip", "visib", "pressure"):
        values = chance.random(len(rows)) * 10
        rows[name] = np.where(chance.random(len(rows)) < 0.1, np.nan, values)
    return rows


def _day() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The rows of every view, and the requests."""
    flights = _flights()
    return windows.views(flights, _weather(), CONFIG), windows.requests(flights, CONFIG)


def _played(config, lag, steps):
    """Beside the solution: calls of stores on one file; each "open" is a new store.

    Gives what each call gave, or the refusal's name and words, and the counts at the end.
    """
    import tempfile
    from pathlib import Path

    from pipeline.features.file_store import FileStore
    from pipeline.shared.errors import PipelineError

    gave = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state" / "online.store"
        store = FileStore(path, config, lag)
        for name, *given in steps:
            try:
                if name == "open":
                    store = FileStore(path, *(given or [config, lag]))
                    value = None
                elif name == "damage":
                    content = path.read_bytes()
                    path.write_bytes(content[: given[0]] + given[1] + content[given[2] :])
                    value = None
                else:
                    value = getattr(store, name)(*given)
            except PipelineError as error:
                gave.append([type(error).__name__, str(error)])
                continue
            if name == "read":
                value = {"values": value.values, "flags": value.flags}
            gave.append(value)
        counts = {f"{view} {what}": n for (view, what), n in store.counts.items()}
    return {"gave": gave, "counts": counts}


def _pushes(views: dict[str, pd.DataFrame], after: int, until: int) -> list[Any]:
    """The rows that became available in a time, and the watermark of its end."""
    new = {
        v: rows[(rows["available_at"] > after) & (rows["available_at"] <= until)]
        for v, rows in views.items()
    }
    return [*(["push", v, rows] for v, rows in new.items()), ["complete", VIEWS, until]]


def _one(asked: pd.DataFrame, place: int) -> tuple[pd.DataFrame, int]:
    """A request, and its instant in minutes."""
    one = asked.iloc[[place]]
    return one, int(windows.minutes(one["predict_at"])[0])


def _expected(asked: pd.DataFrame, views: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """What training reads for the same requests."""
    rows = historical(asked, views, CONFIG)
    known = {name: windows.minutes(rows[name]).tolist() for name in KNOWN_AT}
    return {name: rows[name].tolist() for name in NUMERIC} | known


@check(5)
def test_a_replayed_day_equals_the_join_of_training(subject):
    """Pushed as it becomes known, asked as flights come: the same values, bit by bit."""
    views, asked = _day()
    steps: list[Any] = []
    wanted, before = [], NEVER
    for place in range(20, 340, 16):
        one, at = _one(asked, place)
        steps += [*_pushes(views, before, at), ["read", store_requests(one)]]
        wanted.append(_expected(one, views))
        before = at
    seen = subject.do(_played, CONFIG, LAG, steps)["gave"]
    found = [one["values"] for step, one in zip(steps, seen, strict=True) if step[0] == "read"]
    for mine, theirs in zip(found, wanted, strict=True):
        for name, values in theirs.items():
            expect(list(mine[name]), values, why=f"{name} is not what training reads", tolerance=0)


@check(2)
def test_many_requests_are_read_at_once(subject):
    """Each with its own entities; float32, and a flag for each view."""
    views, asked = _day()
    some = asked.iloc[300:330]
    at = int(windows.minutes(some["predict_at"]).min())
    rows = {v: of[of["available_at"] <= at] for v, of in views.items()}
    steps = [*_pushes(rows, NEVER, at), ["complete", VIEWS, LATER], ["read", store_requests(some)]]
    read = subject.do(_played, CONFIG, LAG, steps)["gave"][-1]
    for name, values in _expected(some, rows).items():
        expect(list(read["values"][name]), values, why=name, tolerance=0)
    expect(sorted(read["flags"]), sorted(VIEWS))
    flags = list(read["flags"]["aircraft"])
    missing = [at == NEVER for at in list(read["values"]["aircraft_known_at"])]
    expect(flags, [MISSING if none else "" for none in missing])
    holds(0 < flags.count(MISSING) < 30, "some aircraft that were never seen", flags.count(MISSING))


@check(3)
def test_what_fell_behind_is_withheld(subject):
    """By more than the lag, with every feature that rests on it; the others are served."""
    views, asked = _day()
    one, at = _one(asked, 200)
    for view in ("system", "weather", "route"):
        for behind, flag in ((LAG, ""), (LAG + 1, STALE)):
            others = [name for name in VIEWS if name != view]
            steps = [["push", v, rows[rows["available_at"] <= at]] for v, rows in views.items()]
            steps += [["complete", others, at], ["complete", [view], at - behind]]
            read = subject.do(_played, CONFIG, LAG, [*steps, ["read", store_requests(one)]])[
                "gave"
            ][-1]
            expect(list(read["flags"][view]), [flag])
            values = {name: read["values"][name][0] for name in NUMERIC}
            rolling = [w.name for w in ROLLING if view in ("system", w.view)]
            gone = ["humid", "visib", "precip_3h"] if view == "weather" else rolling
            seen = {name for name in gone if np.isnan(values[name])}
            whole = _expected(one, views)
            kept = {name for name in gone if np.isnan(whole[name][0])}
            expect(sorted(seen), sorted(gone if flag else kept), why=f"{view} is {behind} behind")
            expect(read["values"][f"{view}_known_at"][0] == NEVER, bool(flag))


@check(2)
def test_what_is_withheld_or_missing_is_counted(subject):
    """By view; an empty store has nothing, and is behind everything."""
    _, asked = _day()
    seen = subject.do(
        _played, CONFIG, LAG, [["read", store_requests(asked.iloc[:3])], ["watermarks"]]
    )
    expect(seen["counts"], {f"{view} {STALE}": 3 for view in VIEWS})
    expect(seen["gave"][1], dict.fromkeys(VIEWS, NEVER))
    steps = [["complete", VIEWS, LATER], ["read", store_requests(asked.iloc[:2])]]
    seen = subject.do(_played, CONFIG, LAG, steps)
    expect(seen["counts"], {f"{view} {MISSING}": 2 for view in VIEWS})


def _landings(*rows: tuple[str, int, float]) -> pd.DataFrame:
    """Rows of the view aircraft: entity, available_at, and a delay."""
    frame = pd.DataFrame(rows, columns=["entity", "available_at", "aircraft_arr_delay"])
    values = {"aircraft_dep_delay": 1.5, "aircraft_airborne": 0.0, "ready": 7.0, "landed_at": 9.0}
    frame = frame.assign(known_at=frame["available_at"] - 1, **values)
    return frame.assign(entity=frame["entity"].astype("category"))


def _delays(rows: Any) -> dict[str, float]:
    return dict(zip(list(rows["entity"]), list(rows["aircraft_arr_delay"]), strict=True))


@check(3)
def test_an_older_push_changes_nothing(subject):
    """It is counted as late; one of the same minute replaces, and the newest of a push counts."""
    steps = [
        [
            "push",
            "aircraft",
            _landings(("N1", 50, 5.0), ("N1", 60, 6.0), ("N2", 60, 1.0), ("N1", 55, 0.0)),
        ],
        [
            "push",
            "aircraft",
            _landings(("N1", 59, 9.0), ("N2", 61, 2.0), ("N3", 10, 3.0), ("N1", 40, 0.0)),
        ],
        ["push", "aircraft", _landings(("N2", 61, 4.0), ("N3", 10, 7.0), ("N3", 10, 8.0))],
        ["rows", "aircraft", ["N3", "N1", "N9", "N2"]],
    ]
    seen = subject.do(_played, CONFIG, LAG, steps)
    expect(seen["gave"][:3], [0, 1, 0], why="how many entities had a newer row")
    rows = seen["gave"][3]
    expect(list(rows["entity"]), ["N3", "N1", "N2"], why="those that have a row, as asked")
    expect(_delays(rows), {"N3": 8.0, "N1": 6.0, "N2": 4.0})
    expect(seen["counts"].get(f"aircraft {LATE}"), 1)
    names = ["available_at", "known_at", "landed_at", "aircraft_airborne", "ready"]
    expect([rows[name][1] for name in names], [60, 59, 9, 0, 7])


@check(2)
def test_what_was_written_is_there_for_the_next_process(subject):
    """Rows and watermarks, without a farewell of the process before."""
    rows = _landings(("N1", 50, 0.1 + 0.2), ("N2", 60, float("nan")))
    steps = [["push", "aircraft", rows], ["complete", ["aircraft"], 77], ["open"]]
    steps += [["rows", "aircraft", ["N1", "N2"]], ["watermarks"]]
    seen = subject.do(_played, CONFIG, LAG, steps)["gave"]
    expect(_delays(seen[3]), {"N1": 0.1 + 0.2, "N2": float("nan")}, tolerance=0)
    expect(seen[4], dict.fromkeys(VIEWS, NEVER) | {"aircraft": 77})


@check(1)
def test_a_watermark_never_moves_back(subject):
    """A job that ran late has nothing to say about what is there."""
    steps = [["complete", ["weather", "route"], 90], ["complete", ["route", "hour"], 80]]
    seen = subject.do(_played, CONFIG, LAG, [*steps, ["watermarks"]])["gave"][2]
    expect(
        {v: seen[v] for v in ("weather", "route", "hour")}, {"weather": 90, "route": 90, "hour": 80}
    )


@check(2)
def test_a_file_that_is_none_of_its_own_is_refused(subject):
    """Cut short, emptied, of something else, or with one byte changed."""
    rows = ["push", "aircraft", _landings(("N1", 50, 12345.0))]
    damages: list[list[Any]] = [[0, b"", 40], [0, b"", 10**9], [0, b'{"a": 1}', 10**9]]
    damages += [[0, b"PK\x03\x04 not a store", 10**9], [-30, b"", 10**9]]
    for damage in damages:
        seen = subject.do(_played, CONFIG, LAG, [rows, ["damage", *damage], ["open"]])["gave"][2]
        holds(isinstance(seen, list), "ArtifactTampered is raised", "a store that opens")
        expect(seen[0], "ArtifactTampered")
        holds("online.store" in seen[1], "the file, online.store", seen[1])


@check(1, hidden=True)
def test_a_digit_that_changed_is_seen(subject):
    """The disk forgets a bit: each place of the file, one after the other."""
    rows = ["push", "aircraft", _landings(("N1", 50, 12345.0))]
    seen = subject.do(_flipped, CONFIG, LAG, rows[2])
    expect(seen, 0, why="places at which a changed byte was not noticed")


def _flipped(config, lag, rows):
    """Beside the solution: a store whose file has one byte changed, at many places in turn."""
    import tempfile
    from pathlib import Path

    from pipeline.features.file_store import FileStore
    from pipeline.shared.errors import ArtifactTampered

    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "online.store"
        FileStore(path, config, lag).push("aircraft", rows)
        whole = path.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 60)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            try:
                FileStore(path, config, lag)
                unnoticed += 1
            except ArtifactTampered:
                continue
    return unnoticed


@check(1, hidden=True)
def test_features_of_another_meaning_are_refused(subject):
    """A file of other settings; both versions are named."""
    other = CONFIG.model_copy(update={"baseline_days": 7})
    steps = [["complete", VIEWS, 5], ["open", other, LAG], ["open"], ["watermarks"]]
    seen = subject.do(_played, CONFIG, LAG, steps)["gave"]
    holds(isinstance(seen[1], list), "FeatureRejected is raised", "a store that opens")
    expect([seen[1][0], seen[1][1].count("flight_delay-")], ["FeatureRejected", 2])
    expect(seen[3], dict.fromkeys(VIEWS, 5))


@check(2, hidden=True)
def test_a_full_disk_leaves_the_file_of_before(subject):
    """What was pushed before is there, and nothing of the new one, in the store as in the file."""
    old, new = _landings(("N1", 50, 5.0)), _landings(("N1", 60, 6.0), ("N2", 60, 1.0))
    seen = subject.do(_filled, CONFIG, LAG, old, new)
    expect(seen, [{"N1": 5.0}, {"N1": 5.0}])


def _filled(config, lag, old, new):
    """Beside the solution: a push into a full disk; the delays in the file and in the store."""
    import contextlib
    import resource
    import signal
    import tempfile
    from pathlib import Path

    from pipeline.features.file_store import FileStore

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "online.store"
        store = FileStore(path, config, lag)
        store.push("aircraft", old)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
        with contextlib.suppress(Exception):
            store.push("aircraft", new)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
        found = [FileStore(path, config, lag), store]
        rows = [one.rows("aircraft", ["N1", "N2"]) for one in found]
        return [dict(zip(one["entity"], one["aircraft_arr_delay"], strict=True)) for one in rows]
