"""The canary command: where it takes up what was interrupted."""

import contextlib
from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.records.rollout_ledger import Entry
from pipeline.rollout import canary
from pipeline.rollout.analysis.canary import decide_canary
from pipeline.rollout.state import Rollout, minute_of
from simulation.year import Year
from tests.rollout.edge import LAST, NOW, PLAN, START, requests, whole
from tests.shared.moves import NEW, OLD, move

pytestmark = pytest.mark.answer("safe-rollout")

ROLLOUT = Rollout("0002-canary", OLD, NEW, PLAN, pd.Timestamp("2013-05-01 04:00Z"), "salt")
DECISION = decide_canary(PLAN, START, whole(), LAST)
MOVES = [
    move("canary", 0, decision={"start": START.model_dump()}),
    move("step", 60, step=1),
    move("promoted", 120, shares={"challenger": 10_000}, decision=DECISION.model_dump()),
]


@pytest.mark.parametrize(
    ("many", "goes_on", "words"), [(2, "_run_steps", "step 1"), (3, "_bake", "the bake")]
)
def test_a_canary_goes_on_where_its_ledger_ends(monkeypatch, many, goes_on, words):
    known = [
        Entry(number=number, move=one, before="0" * 64, hash="0" * 64)
        for number, one in enumerate(MOVES[:many], 1)
    ]
    said, went_on = [], {}
    acts = SimpleNamespace(
        rollout=ROLLOUT,
        traffic=SimpleNamespace(send=lambda: iter([])),
        progress=SimpleNamespace(say=said.append),
    )
    monkeypatch.setattr(canary, "hold_rollout", contextlib.nullcontext)
    monkeypatch.setattr(canary, "begin", lambda *_: (ROLLOUT, known))
    monkeypatch.setattr(canary, "open_controller", lambda *_: contextlib.nullcontext(acts))
    for name in ("_run_steps", "_bake"):
        monkeypatch.setattr(canary, name, lambda *told, name=name: went_on.update({name: told}))
    canary.run_canary(Year())
    (course, *rest) = went_on.pop(goes_on)
    assert went_on == {}
    assert said == [f"goes on in {words}: ledger and logs are where they were"]
    if goes_on == "_bake":
        assert rest[-1] == minute_of(MOVES[-1].at)
        assert course.decisions[-1][2] == DECISION


def looks(many):
    rows = requests()
    return [
        (number * 60, {"challenger": 500}, decide_canary(PLAN, START, rows[: 500 * number], NOW))
        for number in range(many)
    ]


def test_a_canary_is_drawn_into_a_whole_picture_and_nothing_else_is_left(tmp_path):
    canary.plot_analyses(tmp_path / "rollout.png", "0002-canary", looks(4))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[-8:-4] == b"IEND"


@pytest.mark.long
def test_a_single_look_without_a_request_is_drawn_too(tmp_path):
    canary.plot_analyses(tmp_path / "rollout.png", "0002-canary", looks(1))
    assert (tmp_path / "rollout.png").stat().st_size > 5_000
