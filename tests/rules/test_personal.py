"""No personal data: every field that is kept is declared, and nothing of a caller is in any."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from pipeline.features.definitions import FEATURES
from pipeline.records import request_log
from pipeline.records.request_log_writer import open_log
from pipeline.records.retention import REMOVALS
from pipeline.records.rollout_ledger import Move
from pipeline.rollout.traffic import listener, routes
from pipeline.serve.app import create_app
from pipeline.serve.metrics import Metrics
from pipeline.serve.predictor import Predictor
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from tests.rules import tree
from tests.serve.fakes import FLIGHT, Store, loaded

pytestmark = pytest.mark.answer("who-served")

DECLARED = tree.load("docs/fields.yaml")
PATTERNS = {
    "an email address": re.compile(r"[\w.+-]+@[\w-]+\.\w+"),
    "an address of the internet": re.compile(r"(?<![\w.])(\d{1,3}\.){3}\d{1,3}(?![\w.])"),
    "a long address of the internet": re.compile(r"(?i)(?<![\w:])([0-9a-f]{1,4}:+){3,}[0-9a-f]*"),
    "a telephone number": re.compile(
        r"(?<![\w.-])\+?(\d{1,3}[ .-])?\(?\d{2,4}\)?[ .-]\d{3}[ .-]\d{4}(?![\w.-])"
    ),
    "a user agent": re.compile(r"(?i)mozilla|\bcurl/|python-|testclient|okhttp"),
    "an authorization": re.compile(r"(?i)\b(bearer|basic) \w|authorization|\bcookie\b"),
}
WHO = {
    "user-agent": "Mozilla/5.0 (Jane Doe's telephone)",
    "authorization": "Bearer jane.doe",
    "cookie": "session=jane.doe",
    "x-forwarded-for": "203.0.113.7",
    "forwarded": "for=203.0.113.7",
    "from": "jane.doe@example.org",
    "referer": "https://example.org/?user=jane.doe",
    "x-flight": "jane.doe@example.org",
}
"""What a caller's software may tell of its user."""


def found_in(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Where a value, however deep, holds something of a person, and of what kind it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from found_in(key, where)
            yield from found_in(inner, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from found_in(inner, where)
    elif isinstance(value, str | bytes):
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        kinds = [kind for kind, pattern in PATTERNS.items() if pattern.search(text)]
        yield from ((where, kind) for kind in [*kinds, *["Jane Doe"][: "jane" in text.lower()]])


@pytest.fixture(scope="module")
def produced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a server kept of requests whose callers told who they are, every column of it."""
    path = tmp_path_factory.mktemp("personal") / "log.db"
    metrics, told = Metrics(), load(ServeConfig)
    with open_log(f"sqlite:///{path}", 100) as log:
        app = create_app(Predictor(loaded(), Store(weather="stale")), log, told, metrics, str)
        with TestClient(app, raise_server_exceptions=False) as client:
            flights = {"flights": [FLIGHT]}
            assert client.post("/predict", json=flights, headers=WHO).status_code == 200
            wide = {"shape": [1, len(FEATURES)], "data": [0.5] * len(FEATURES)}
            tensor = {"name": "inputs", "datatype": "FP32"} | wide
            asked = {"inputs": [tensor], "id": "jane.doe@example.org"}
            rows = "/v2/models/flight-delay-features/infer"
            assert client.post(rows, json=asked, headers=WHO).status_code == 200
            client.get("/users/jane.doe@example.org", headers=WHO)
            client.get("/v2/models/jane.doe", headers=WHO)
            text = client.get("/metrics").text
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        kept = {n: [dict(row) for row in connection.execute(f"SELECT * FROM {n}")] for n in tables}
    return {"tables": kept, "metrics": text}


def _labels(text: str) -> dict[str, set[str]]:
    families = text_string_to_metric_families(text)
    labels: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        for name, value in sample.labels.items():
            labels.setdefault(name, set()).add(value)
    return labels


def test_every_field_that_is_declared_says_why_and_how_long(
    record_property: Callable[[str, object], None],
) -> None:
    for place, fields in DECLARED.items():
        for name, told in fields.items():
            assert set(told) == {"why", "kept"}, f"{place}: {name}"
            assert all(told.values()), f"{place}: {name}"
    fields = sum(map(len, DECLARED.values()))
    record_property("fields that are kept anywhere, each with why and how long", fields)


def test_the_request_log_has_no_column_that_is_not_declared(produced: dict[str, Any]) -> None:
    (rows,) = produced["tables"].values()
    assert list(rows[0]) == list(DECLARED["request log"]), "classify it in docs/fields.yaml"
    assert request_log.TABLE.c.keys() == list(DECLARED["request log"])
    assert REMOVALS.c.keys() == list(DECLARED["removals"])


def test_no_row_of_a_really_produced_log_tells_of_its_caller(produced: dict[str, Any]) -> None:
    (rows,) = produced["tables"].values()
    assert len(rows) == 2
    assert list(found_in(rows)) == []


def test_the_metrics_have_no_label_that_is_not_declared(produced: dict[str, Any]) -> None:
    labels = _labels(produced["metrics"])
    assert labels.keys() == DECLARED["metrics"].keys(), "classify it in docs/fields.yaml"
    assert list(found_in({name: sorted(values) for name, values in labels.items()})) == []


def test_the_proxy_writes_nothing_that_is_not_declared_and_cuts_what_callers_write() -> None:
    log = listener.access_log(Path("access.jsonl"), routes.new_keys())["typed_config"]
    told = log["log_format"]["json_format"]
    assert list(told) == list(DECLARED["access log"]), "classify it in docs/fields.yaml"
    operators = {
        operator for value in told.values() for operator in re.findall(r"%([A-Z_]{2,})", value)
    }
    # Not DOWNSTREAM_REMOTE_ADDRESS, not the path, no other header than those cut below.
    assert operators == set(
        "REQ RESPONSE_CODE RESPONSE_FLAGS COMMON_DURATION RESP START_TIME".split()
    )
    headers = re.findall(r"%REQ\(([^)]*)\)(:\d+)?%", " ".join(told.values()))
    assert headers == [("X-REQUEST-ID", ":64"), ("X-FLIGHT", ":22"), ("X-ARM", "")]


def test_the_ledger_has_no_field_that_is_not_declared() -> None:
    assert list(Move.model_fields) == list(DECLARED["ledger"]), "classify it in docs/fields.yaml"


@pytest.mark.slow
@pytest.mark.answer
def test_no_artefact_below_data_tells_of_a_person(registered: Path) -> None:
    for path in registered.glob("data/**/*.json"):
        assert list(found_in(orjson.loads(path.read_bytes()), str(path))) == []


def test_no_artefact_of_this_checkout_does_either() -> None:
    for path in sorted((tree.ROOT / "data").glob("*/**/*.json*")):
        if "docs" in path.parts:
            continue  # a report's own pages
        text = path.read_bytes()
        for line in [text] if path.suffix == ".json" else text.splitlines():
            with suppress(orjson.JSONDecodeError):
                assert list(found_in(orjson.loads(line), str(path.relative_to(tree.ROOT)))) == []


@pytest.mark.parametrize(
    "text",
    [
        "jane.doe@example.org",
        "203.0.113.7",
        "2001:db8:0:1::7",
        "212-555-0123",
        "+1 (212) 555-0123",
        "Mozilla/5.0",
        "Bearer abc",
    ],
)
def test_what_is_personal_would_be_found(text: str) -> None:
    assert list(found_in([{"note": f"asked by {text}"}]))
    assert list(found_in(f"asked by {text}".encode()))


@pytest.mark.parametrize(
    "text", ["2013-04-18/UA/1545/EWR", "2013-04-18T10:30Z", "N14228", "0.67.0", "f" * 64]
)
def test_what_is_not_personal_is_left_alone(text: str) -> None:
    assert list(found_in(text)) == []
