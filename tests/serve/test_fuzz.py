"""Whatever the OpenAPI document allows or forbids is asked, in-process: nothing makes a 5xx."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from pipeline.serve.app import create_app
from pipeline.serve.metrics import Metrics
from pipeline.serve.predictor import Predictor
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from tests.serve.fakes import Store, loaded

pytestmark = [
    pytest.mark.answer("model-server"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of other people's tools, about themselves
]
load_all_checks()
NEGATIVE = GenerationMode.NEGATIVE
KINDS = {GenerationMode.POSITIVE: "allowed", NEGATIVE: "forbidden"}
TENSORS = {"positive_data_acceptance"}
"""No schema can say that a tensor has as many values as its shape says."""
_DEPARTURES = st.datetimes(datetime(2013, 1, 2), datetime(2099, 12, 30)).map(
    lambda at: at.replace(second=0, microsecond=0, tzinfo=UTC).isoformat()
)
schemathesis.openapi.format("date-time", _DEPARTURES)


EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class Nowhere:
    """A log that keeps nothing."""

    waiting = written = duplicates = dropped = failed = 0

    def add(self, answers):
        pass


@pytest.fixture(scope="module")
def api():
    """The server's own document, with the server behind it."""
    config = load(ServeConfig).model_copy(update={"timeout_ms": 10_000})  # the machine may be busy
    app = create_app(Predictor(loaded(), Store()), Nowhere(), config, Metrics(), lambda: "")
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def test_the_document_names_every_route(api):
    paths = {result.ok().path for result in api.get_all_operations()}
    assert len(paths) == 10
    assert {"/predict", "/v2/models/{name}/versions/{version}/infer"} <= paths


@pytest.mark.long
@pytest.mark.parametrize("mode", GenerationMode)
def test_nothing_that_is_asked_makes_an_error_of_the_server(
    api, mode, record_property: Callable[[str, object], None]
):
    codes = []
    for result in api.get_all_operations():
        try:
            cases = result.ok().as_strategy(generation_mode=mode)
            EXAMPLES(given(case=cases)(lambda case: codes.append(_asked(case))))()
        except Unsatisfiable:
            assert (mode, result.ok().definition.raw.get("parameters", [])) == (NEGATIVE, [])
    errors = sum(code >= 500 for code in codes)
    assert errors == 0
    record_property(
        f"of {len(codes)} {KINDS[mode]} requests, made from the OpenAPI document, were a 5xx",
        errors,
    )


def _asked(case):
    left_out = TENSORS if case.operation.path.endswith("/infer") else set()
    excluded = [check for check in CHECKS.get_all() if check.__name__ in left_out]
    return case.call_and_validate(excluded_checks=excluded).status_code
