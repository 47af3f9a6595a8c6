"""What of a switch counts against green: batches that fail, beside those that blue failed."""

import pytest

from pipeline.rollout.bluegreen import failing_batches
from pipeline.rollout.traffic.live_traffic import CLIENTS, Reply

pytestmark = pytest.mark.answer("which-rollout")


def replies(failed):
    return [
        Reply(
            code=503 if place in failed else 200, seconds=0.01, request_id=str(place), version="1"
        )
        for place in range(40 * CLIENTS)
    ]


@pytest.mark.parametrize(
    ("failed", "batches"),
    [
        (set(), 0),
        ({7 * CLIENTS}, 1),
        (set(range(7 * CLIENTS, 8 * CLIENTS)), 1),
        ({0, 5 * CLIENTS, 9 * CLIENTS + 1}, 3),
        (set(range(40 * CLIENTS)), 40),
    ],
)
def test_requests_that_were_asked_at_once_fail_once(failed, batches):
    assert failing_batches(replies(failed)) == batches
