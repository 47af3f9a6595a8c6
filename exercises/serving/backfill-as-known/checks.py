"""The acceptance checks of a backfill as known."""

from typing import Any

import numpy as np
import pandas as pd

from exercises.workbench.checking import check, expect, holds
from pipeline.shared.minutes import NEVER

WINDOW, SHRINK, PRIOR = 1000, 3.0, 0.25


def _events(*rows: tuple[str, str, int, float | None]) -> pd.DataFrame:
    """Events of (flight, entity, known_at, late); each happened 50 minutes before it was known."""
    columns = dict(
        zip(["flight", "entity", "known_at", "late"], zip(*rows, strict=True), strict=True)
    )
    frame = pd.DataFrame(columns).astype({"late": "float64", "known_at": "int64"})
    return frame.assign(happened_at=frame["known_at"] - 50)


def _known(subject, events: pd.DataFrame, at: list[int], entity: str = "UA/1") -> Any:
    asked = pd.DataFrame({"entity": entity, "predict_at": at})
    seen = subject.as_known(events, asked, WINDOW, SHRINK, PRIOR)
    found = {name: seen[name] for name in ("value", "known_at")}
    return {
        name: value if isinstance(value, list) else value.tolist() for name, value in found.items()
    }


def _share(late: float, count: int) -> float:
    return float(np.float32((late + SHRINK * PRIOR) / (count + SHRINK)))


def _job(steps):
    """Beside the solution: steps of a job in a folder; what each gives, or the refusal's name."""
    import tempfile
    from pathlib import Path

    from pipeline.features import backfill
    from pipeline.shared.errors import PipelineError

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, given in steps:
            try:
                value = getattr(backfill, name)(Path(folder), *given)
            except PipelineError as error:
                found.append([type(error).__name__, str(error)])
                continue
            found.append(value["flight"].tolist() if name == "read" else value)
    return found


def _rows(*flights: str, value: float = 0.2, known_at: int = 10) -> pd.DataFrame:
    rows = pd.DataFrame({"flight": flights, "predict_at": 100}).astype({"flight": "object"})
    return rows.assign(value=np.float32(value), known_at=np.int64(known_at))


def _served(*flights: str, value: float = 0.2) -> pd.DataFrame:
    return _rows(*flights, value=value)[["flight", "value"]]


@check(4)
def test_a_value_is_what_was_known_and_no_more(subject):
    """Two late flights and one on time, known at 100, 200 and 300; nothing at the first request."""
    events = _events(("c", "UA/1", 300, 1.0), ("a", "UA/1", 100, 1.0), ("b", "UA/1", 200, 0.0))
    events = pd.concat([events, _events(("x", "B6/7", 150, 1.0))], ignore_index=True)
    seen = _known(subject, events, [90, 150, 250, 350])
    expected = [_share(0, 0), _share(1, 1), _share(1, 2), _share(2, 3)]
    turns = [
        ([_share(2, 3)] * 4, "the value of the last request: today's, for every row"),
        ([_share(1, 1), _share(1, 2), _share(2, 3), _share(2, 3)], "when it happened, not known"),
    ]
    expect(seen["value"], expected, turns)
    expect(seen["known_at"], [NEVER, 100, 200, 300])


@check(2)
def test_the_edges_of_the_window(subject):
    """Known before the prediction, at most a window before it."""
    seen = _known(subject, _events(("a", "UA/1", 100, 1.0)), [100, 101, 1100, 1101])
    late, none = _share(1, 1), _share(0, 0)
    turns = [([late, late, late, none], "known in the minute of the prediction, not before it")]
    expect(seen["value"], [none, late, late, none], turns)
    expect(seen["known_at"], [NEVER, 100, 100, NEVER])


@check(3)
def test_a_correction_replaces_from_when_it_is_known(subject):
    """On time as of 100, late as of 500; the window counts from the row that holds."""
    events = _events(("a", "UA/1", 500, 1.0), ("b", "UA/1", 200, 0.0), ("a", "UA/1", 100, 0.0))
    seen = _known(subject, events, [300, 500, 501, 1150, 1300, 1501])
    expected = [_share(0, 2), _share(0, 2), _share(1, 2), _share(1, 2), _share(1, 1), _share(0, 0)]
    expect(seen["value"], expected, why="a flight counts once, by what was known of it")
    expect(seen["known_at"], [200, 200, 500, 500, 500, NEVER])


@check(2)
def test_a_withdrawn_flight_counts_no_more(subject):
    """NaN takes the flight back; of two rows of one minute the lower holds."""
    events = _events(("a", "UA/1", 100, 1.0), ("b", "UA/1", 120, 0.0), ("a", "UA/1", 400, None))
    seen = _known(subject, events, [300, 450])
    turns = [([_share(1, 2), _share(0, 2)], "a flight that is taken back was not on time")]
    expect(seen["value"], [_share(1, 2), _share(0, 1)], turns)
    expect(seen["known_at"], [120, 400])
    tied = _events(("a", "UA/1", 100, 1.0), ("a", "UA/1", 100, 0.0))
    expect(_known(subject, tied, [200])["value"], [_share(0, 1)])


@check(2)
def test_rows_keep_the_requests_order_and_index(subject):
    """An entity that is not in the events has the prior, and was never known."""
    events = _events(("a", "UA/1", 100, 1.0), ("x", "B6/7", 100, 0.0))
    asked = pd.DataFrame({"entity": ["B6/7", "ZZ/9", "UA/1"], "predict_at": [300, 200, 250]})
    seen = subject.do(_indexed, events, asked.set_axis([7, 3, 5]), (WINDOW, SHRINK, PRIOR))
    expect(seen["index"], [7, 3, 5])
    expect(seen["value"], [_share(0, 1), _share(0, 0), _share(1, 1)])
    expect(seen["known_at"], [100, NEVER, 100])
    expect(seen["kinds"], ["float32", "int64"])


def _indexed(events, asked, given):
    """Beside the solution: a backfill with its index and its types."""
    from pipeline.features.backfill import as_known

    found = as_known(events, asked, *given)
    kinds = [str(found[name].dtype) for name in ("value", "known_at")]
    columns = {name: found[name].tolist() for name in ("value", "known_at")}
    return {"index": found.index.tolist(), "kinds": kinds, **columns}


@check(2)
def test_a_day_that_is_filled_again_replaces_its_rows(subject):
    """A job that failed is run again; what another day holds stays."""
    steps = [
        ("fill_day", ["v2", "2013-05-01", _rows("a", "b")]),
        ("fill_day", ["v2", "2013-05-02", _rows("c")]),
        ("fill_day", ["v2", "2013-05-01", _rows("a", "d")]),
        ("publish", ["v2", ["2013-05-01", "2013-05-02"], _served("a", "c")]),
        ("read", []),
    ]
    seen = subject.do(_job, steps)
    turns = [(["a", "b", "a", "d", "c"], "the day's first rows are still there")]
    expect(seen[4], ["a", "d", "c"], turns)


@check(2)
def test_a_row_that_knows_too_much_is_refused(subject):
    """At the instant of its prediction or after it; what was filled before stays."""
    for known_at in (100, 170):
        steps = [
            ("fill_day", ["v2", "d", _rows("a")]),
            ("fill_day", ["v2", "d", _rows("b", "c", known_at=known_at)]),
            ("publish", ["v2", ["d"], _served("a")]),
            ("read", []),
        ]
        seen = subject.do(_job, steps)
        expect(seen[1][:1], ["LeakFound"])
        holds("2" in seen[1][1], "how many rows: 2", seen[1][1])
        expect(seen[3], ["a"])


@check(3)
def test_a_version_is_published_only_whole_and_compared(subject):
    """Every day, and a sample of what was served, flight by flight."""
    filled = ("fill_day", ["v2", "d1", _rows("a", "b")])
    refused = [
        (["v2", ["d1", "d2"], _served("a")], "TooLittleData", "d2"),
        (["v2", ["d1"], _served("a").iloc[:0]], "TooLittleData", ""),
        (["v2", ["d1"], _served("a", "b", value=0.2000001)], "LeakFound", "2"),
        (["v2", ["d1"], _served("a", "z")], "LeakFound", "1"),
    ]
    for given, kind, words in refused:
        seen = subject.do(_job, [filled, ("publish", given), ("read", [])])
        expect(seen[1][0] if isinstance(seen[1], list) else "published", kind)
        holds(words in seen[1][1], f"words that name {words}", seen[1][1])
        expect(seen[2][:1], ["ArtifactMissing"])
    seen = subject.do(_job, [filled, ("publish", ["v2", ["d1"], _served("b")])])
    expect(dict(seen[1]), {"rows": 1, "missing": 0, "differ": 0, "first": ""})


@check(2)
def test_a_refused_version_leaves_the_one_of_before(subject):
    """Also the next version's days are not read, and the published one cannot be filled."""
    steps = [
        ("fill_day", ["v1", "d", _rows("a")]),
        ("publish", ["v1", ["d"], _served("a")]),
        ("fill_day", ["v2", "d", _rows("a", "b", value=0.9)]),
        ("publish", ["v2", ["d"], _served("a")]),
        ("read", []),
        ("fill_day", ["v1", "d", _rows("z")]),
        ("read", []),
    ]
    seen = subject.do(_job, steps)
    expect([seen[3][0], seen[5][0]], ["LeakFound", "FeatureRejected"])
    expect(seen[4], ["a"], [(["a", "b"], "the refused version is read")])
    expect(seen[6], ["a"])


@check(2)
def test_a_comparison_says_how_much_differs(subject):
    """Bit by bit; NaN equals NaN, and the first is named in the sample's order."""
    filled = _rows("a", "b", "c", "d")
    filled["value"] = np.array([0.1, np.nan, 0.3, np.nan], dtype="float32")
    sample = pd.DataFrame({"flight": ["b", "z", "a", "d", "c"]})
    sample["value"] = np.array([np.nan, 0.5, 0.1, 0.4, 0.3000001], dtype="float32")
    seen = dict(subject.compare(filled, sample))
    expect(seen, {"rows": 5, "missing": 1, "differ": 2, "first": "z"})


def _replay(events: pd.DataFrame, asked: pd.DataFrame) -> dict[str, list[Any]]:
    """The same one by one: what a person would do by hand."""
    found: dict[str, list[Any]] = {"value": [], "known_at": []}
    for entity, at in zip(asked["entity"], asked["predict_at"], strict=True):
        known = events[(events["entity"] == entity) & (events["known_at"] < at)]
        newest = known.sort_values("known_at", kind="stable").drop_duplicates("flight", keep="last")
        counting = newest[newest["late"].notna() & (newest["known_at"] >= at - WINDOW)]
        found["value"].append(_share(float(counting["late"].sum()), len(counting)))
        found["known_at"].append(int(known["known_at"].max()) if len(counting) else NEVER)
    return found


@check(3, hidden=True)
def test_a_backfill_equals_a_replay(subject):
    """Some hundred flights of five entities, corrected and withdrawn at random."""
    chance = np.random.default_rng(5)
    many = 600
    flights = chance.integers(0, 250, many)
    events = pd.DataFrame(
        {"flight": [f"f{n}" for n in flights], "known_at": chance.integers(0, 4000, many)}
    )
    events["entity"] = [f"UA/{n % 5}" for n in flights]
    events["late"] = chance.choice([0.0, 1.0, np.nan], many, p=[0.6, 0.3, 0.1])
    events["happened_at"] = events["known_at"] - 50
    asked = pd.DataFrame({"predict_at": chance.integers(0, 6000, 300)})
    asked["entity"] = [f"UA/{n}" for n in chance.integers(0, 6, 300)]
    seen = subject.as_known(events, asked, WINDOW, SHRINK, PRIOR)
    expected = _replay(events, asked)
    for name, values in expected.items():
        expect(list(seen[name]), values, why=f"{name} of a request is not what a replay gives")


@check(2, hidden=True)
def test_many_requests_take_seconds(subject):
    """200,000 requests over 100,000 events, in the ten seconds that a check has."""
    expect(subject.do(_hurried, WINDOW, SHRINK, PRIOR), 200_000)


def _hurried(window, shrink, prior):
    """Beside the solution: a year's backfill; how many rows came back."""
    import numpy as np
    import pandas as pd

    from pipeline.features.backfill import as_known

    chance = np.random.default_rng(1)
    flights = chance.integers(0, 90_000, 100_000)
    events = pd.DataFrame({"flight": flights.astype(str), "entity": (flights % 4000).astype(str)})
    events["known_at"] = chance.integers(0, 500_000, len(events))
    events["happened_at"] = events["known_at"] - 50
    events["late"] = chance.choice([0.0, 1.0], len(events))
    asked = pd.DataFrame({"entity": chance.integers(0, 4000, 200_000).astype(str)})
    asked["predict_at"] = chance.integers(0, 500_000, len(asked))
    return int(as_known(events, asked, window, shrink, prior)["value"].notna().sum())


@check(1, hidden=True)
def test_without_events_there_is_the_prior(subject):
    """On the first day nothing is known of anything."""
    events = _events(("a", "UA/1", 100, 1.0)).iloc[:0]
    seen = _known(subject, events, [5, 10])
    expect([seen["value"], seen["known_at"]], [[_share(0, 0)] * 2, [NEVER] * 2])


@check(1, hidden=True)
def test_a_day_is_written_whole_or_not_at_all(subject):
    """A disk that is full in the middle of a file leaves the day as it was."""
    seen = subject.do(_interrupted, _rows("a"), _rows("b"))
    holds(seen in (["a"], ["b"]), "the day as it was, or the new one", seen)


def _interrupted(before, after):
    """Beside the solution: a day is filled, then again until the disk is full; what is read."""
    import contextlib
    import errno
    import tempfile
    from pathlib import Path

    import pandas as pd

    from pipeline.features import backfill

    def full(*given, **_):
        Path(given[1]).write_bytes(b"PAR1 half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with tempfile.TemporaryDirectory() as folder:
        backfill.fill_day(Path(folder), "v", "d", before)
        writes, pd.DataFrame.to_parquet = pd.DataFrame.to_parquet, full
        with contextlib.suppress(Exception):
            backfill.fill_day(Path(folder), "v", "d", after)
        pd.DataFrame.to_parquet = writes
        for rows in (before, after):
            with contextlib.suppress(Exception):
                backfill.publish(Path(folder), "v", ["d"], rows[["flight", "value"]])
        return backfill.read(Path(folder))["flight"].tolist()
