"""The picture of a canary."""

from pipeline.rollout.analysis.canary import decide
from pipeline.rollout.canary_plot import plot
from tests.rollout.edge import NOW, PLAN, START, requests


def looks(many):
    rows = requests()
    return [
        (number * 60, {"challenger": 500}, decide(PLAN, START, rows[: 500 * number], NOW))
        for number in range(many)
    ]


def test_a_canary_is_drawn_into_a_whole_picture_and_nothing_else_is_left(tmp_path):
    plot(tmp_path / "rollout.png", "0002-canary", looks(4))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[-8:-4] == b"IEND"


def test_a_single_look_without_a_request_is_drawn_too(tmp_path):
    plot(tmp_path / "rollout.png", "0002-canary", looks(1))
    assert (tmp_path / "rollout.png").stat().st_size > 5_000
