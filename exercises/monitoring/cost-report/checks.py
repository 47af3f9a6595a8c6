"""The acceptance checks of the cost report."""

from typing import Any

from exercises.workbench.checking import check, expect, holds, raised

AT = 1_400_000_000.0
PRICE = 0.36
"""Dollars a processor and hour: a ten-thousandth of a dollar a second."""
LINE = '["train", 1400000000.0, 20.5, "done", "a model"]'


def _answer(report, runs, rows, price):
    """Beside the solution: one part of the report, of runs and rows of the log."""
    import pandas as pd

    from pipeline.monitor.operations import cost_report
    from pipeline.records.command_runs import CommandRun
    from pipeline.records.request_log import TABLE

    made = [CommandRun(**one) for one in runs]
    log = pd.DataFrame(rows, columns=TABLE.c.keys())
    given = {"by_command": [made, price], "serving": [made, log, price], "storage": [log]}
    return dict(getattr(cost_report, report)(*given[report]))


def _noted(runs, lines):
    """Beside the solution: some lines of a file, then runs that are noted; all read again."""
    import tempfile
    from pathlib import Path

    from pipeline.records.command_runs import CommandRun, note, read_runs

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.jsonl"
        path.write_text(lines, encoding="utf-8")
        for one in runs:
            note(CommandRun(**one), path)
        return [one._asdict() for one in read_runs(path)]


def _reported(runs, rows, price):
    """Beside the solution: the whole report, of a file of runs and a log; both may be missing."""
    import tempfile
    from pathlib import Path

    import sqlalchemy as sa

    from pipeline.monitor.operations.cost_report import report
    from pipeline.records.command_runs import CommandRun, note
    from pipeline.records.request_log import TABLE, prepare

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/log/log.db"
        for one in runs:
            note(CommandRun(**one), Path(folder) / "runs.jsonl")
        if rows:
            prepare(url)
            engine = sa.create_engine(url)
            with engine.begin() as connection:
                connection.execute(TABLE.insert(), rows)
            engine.dispose()
        found = report(url, price, Path(folder) / "runs.jsonl")
        return {name: dict(part) for name, part in found.items()}


def _run(command: str, used: float | None, seconds: float = 100.0, **changes: Any):
    whole = {"command": command, "ended_at": AT, "seconds": seconds, "ending": "done", "words": ""}
    return whole | {"processor_seconds": used} | changes


def _row(number: int, **changes: Any) -> dict[str, Any]:
    whole = {"id": number, "request_id": f"r{number:03}", "row": 0, "arm": "champion"}
    whole |= {"version": "1", "release": "e" * 64, "flight": "2013-05-01/UA/1/EWR"}
    whole |= {"predict_at": 7, "features": b"f" * 200, "known_at": b"k" * 72, "flags": "{}"}
    return whole | {"risk": 0.2, "answered_at": AT - 50, "seconds": 0.002} | changes


@check(2)
def test_a_run_says_its_processor_seconds(subject):
    """The last field of CommandRun, rounded like seconds when it is noted."""
    seen = subject.do(_noted, [_run("serve", 12.34567)], "")
    expect([one["processor_seconds"] for one in seen], [12.35])


@check(2)
def test_lines_of_before_the_change_are_read(subject):
    """Five values a line; nobody measured them. Half a line is still no run."""
    seen = subject.do(_noted, [_run("serve", 2.0)], f'{LINE}\n["train", 14\n')
    expect(len(seen), 2, [(1, "the line of before the change is gone")])
    expect([seen[0]["words"], seen[0]["processor_seconds"]], ["a model", None])


@check(1)
def test_a_run_that_nobody_measured_is_noted(subject):
    """As every command does until somebody measures."""
    seen = subject.do(_noted, [_run("train", None)], "")
    expect([one["processor_seconds"] for one in seen], [None])


@check(3)
def test_commands_cost_processor_seconds_and_not_time_that_passes(subject):
    """By command, refused runs too; what nobody measured is counted, and is no 0."""
    runs = [_run("train", 20.0), _run("serve", 3.0), _run("train", None)]
    runs.append(_run("train", 40.0, ending="refused", words="GateRefused: no"))
    seen = subject.do(_answer, "by_command", runs, [], PRICE)
    train = {"runs": 3, "unmeasured": 1, "processor_seconds": 60.0, "dollars": 0.006}
    wall = train | {"processor_seconds": 300.0, "dollars": 0.03}
    turns = [(wall, "the time that passed: it doubles on a busy machine")]
    done = train | {"runs": 2, "processor_seconds": 20.0, "dollars": 0.002}
    expect(dict(seen["train"]), train, [*turns, (done, "a refused run has cost as much")])
    expect(sorted(seen), ["serve", "train"])


@check(3)
def test_a_million_predictions_have_a_price(subject):
    """Two measured runs, five answers to users within them."""
    runs = [_run("serve", 3.0), _run("serve", 1.0, ended_at=AT - 1000), _run("train", 50.0)]
    rows = [_row(n) for n in range(4)] + [_row(9, answered_at=AT - 1000)]
    seen = subject.do(_answer, "serving", runs, rows, PRICE)
    expected = {"processor_seconds": 4.0, "predictions": 5, "busy_share": 0.02}
    expected |= {"processor_seconds_a_million": 800_000.0, "dollars_a_million": 80.0}
    expect(seen, expected)


@check(3)
def test_predictions_of_unmeasured_runs_do_not_dilute(subject):
    """A run that nobody measured brings neither seconds nor predictions."""
    runs = [_run("serve", 3.0), _run("serve", None, ended_at=AT - 1000)]
    rows = [_row(1), *(_row(n, answered_at=AT - 1050) for n in range(2, 8))]
    seen = subject.do(_answer, "serving", runs, rows, PRICE)
    diluted = "predictions that nobody measured are in the denominator"
    expect(seen["predictions"], 1, [(7, diluted)])
    expect([seen["processor_seconds_a_million"], seen["busy_share"]], [3_000_000.0, 0.03])


@check(2)
def test_what_reached_no_user_costs_and_does_not_count(subject):
    """Arms of UNPROVEN: mirrored requests, tests of the server, strangers."""
    rows = [_row(1), _row(2, arm="challenger")]
    rows += [_row(3, arm="shadow"), _row(4, arm="direct"), _row(5, arm="stranger")]
    seen = subject.do(_answer, "serving", [_run("serve", 3.0)], rows, PRICE)
    expect(seen["predictions"], 2, [(5, "an answer that no user got")])
    kept = subject.do(_answer, "storage", [], rows, PRICE)
    expect(kept["predictions"], 2, [(5, "an answer that no user got")])


@check(2)
def test_the_log_is_counted_in_bytes(subject):
    """Texts in UTF-8, blobs, 8 a number; None takes nothing."""
    whole = 4 + 8 + 1 + 64 + 19 + 2 + 200 + 72 + 6 * 8
    rows = [_row(1), _row(2, arm="shadow", flags='{"é": 1}')]
    rows.append(_row(3, flight=None, predict_at=None, features=None, known_at=None))
    total = 3 * whole + (-2 + 7) - (19 + 200 + 72 + 8)
    seen = subject.do(_answer, "storage", [], rows, PRICE)
    expect(seen["bytes"], total, [(total - 1, "characters and not bytes")])
    expect(seen["bytes_a_million"], total / 2 * 1e6)


@check(2)
def test_the_report_reads_the_runs_and_the_log(subject):
    """From a file of runs and a database, as they are recorded."""
    rows = [_row(n) for n in range(1, 5)]
    runs = [_run("serve", 2.0), _run("train", None)]
    seen = subject.do(_reported, runs, rows, PRICE)
    expect(sorted(seen), ["commands", "serving", "storage"])
    expect(seen["serving"]["processor_seconds_a_million"], 500_000.0)
    expect([seen["commands"]["train"]["unmeasured"], seen["storage"]["predictions"]], [1, 4])


@check(2, hidden=True)
def test_two_servers_at_a_time_answer_each_request_once(subject):
    """Their seconds add up, their predictions do not; both ends of a run belong to it."""
    runs = [_run("serve", 3.0), _run("serve", 5.0)]
    rows = [_row(1), _row(2, answered_at=AT), _row(3, answered_at=AT - 100)]
    rows += [_row(4, answered_at=AT + 1), _row(5, answered_at=AT - 101)]
    seen = subject.do(_answer, "serving", runs, rows, PRICE)
    expect([seen["processor_seconds"], seen["predictions"], seen["busy_share"]], [8.0, 3, 0.04])


@check(1, hidden=True)
def test_what_cannot_be_divided_is_none(subject):
    """A server that nobody asked, and nothing at all: neither free nor infinite."""
    seen = subject.do(_answer, "serving", [_run("serve", 3.0)], [], PRICE)
    expect([seen["processor_seconds_a_million"], seen["dollars_a_million"]], [None, None])
    nothing = subject.do(_reported, [], [], PRICE)
    expect([nothing["commands"], nothing["serving"]["busy_share"]], [{}, None])
    expect(nothing["storage"], {"bytes": 0, "predictions": 0, "bytes_a_million": None})


@check(1, hidden=True)
def test_a_price_that_is_none_is_refused(subject):
    """By every function that takes one, with its value."""
    for price in (0.0, -1.0, float("nan"), float("inf")):
        for part in ("by_command", "serving"):
            ask = [_answer, part, [], [], price]
            words = raised(lambda ask=ask: subject.do(*ask), "UsageError")
            holds(f"{price:g}" in words, f"the price, {price:g}", words)
        raised(lambda price=price: subject.do(_reported, [], [], price), "UsageError")
