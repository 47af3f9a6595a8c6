"""Faults in what is kept of requests: what may not be kept, and what is not what was answered."""

import re
from pathlib import Path

from exercises.drill import Drill, Outcome, replace_once, run_stages
from exercises.drills.release import ran

LOG, HANDLER = "pipeline/records/request_log.py", "pipeline/serve/handler.py"
REQUEST = "pipeline/flights/request.py"
SERVE_ONE = """
import pandas as pd
from starlette.testclient import TestClient

from pipeline.features.online_store import open_store
from pipeline.records.request_log_writer import open_log
from pipeline.serve.app import create_app
from pipeline.registry.release_loader import export, load_release
from pipeline.serve.metrics import Metrics
from pipeline.serve.predictor import Predictor
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig

rows = pd.read_parquet("data/features/rows.parquet")
flight = rows[rows["predict_at"] == "2013-02-14 12:00Z"].iloc[0]
names = ["carrier", "flight", "origin", "dest", "block_minutes", "distance", "tailnum"]
body = {name: getattr(flight[name], "item", lambda v=flight[name]: v)() for name in names}
body["distance"] = int(body["distance"])
body["scheduled_departure"] = f"{flight['sched_dep_utc']:%Y-%m-%dT%H:%MZ}"
release, config = load_release(export("champion")), load(ServeConfig)
url = config.log_url.get_secret_value()
with open_store(release.features, config) as store, open_log(url, 10) as written:
    app = create_app(Predictor(release, store), written, config, Metrics(), str)
    done = TestClient(app).post("/predict", json={"flights": [body]})
    assert done.status_code == 200, done.text
"""
"""One flight is asked for, at an instant up to which the store is complete."""


def _keep_the_callers_address(folder: Path) -> list[str]:
    """Somebody wants to know who asks: one more column, and one more value in each row."""
    replace_once(
        folder / LOG, "    seconds: float\n\n\n", "    seconds: float\n    address: str\n\n\n"
    )
    column = '    sa.Column("seconds", sa.Double, nullable=False),\n'
    replace_once(folder / LOG, column, f'{column}    sa.Column("address", sa.Text),\n')
    seconds = 'time.perf_counter() - state["began"]\n'
    address = 'request.headers.get("x-forwarded-for", "")'
    replace_once(folder / HANDLER, seconds, f"{seconds.strip()}, {address}\n")
    return ["tests/rules/test_personal.py", "-m", "not slow"]


def _not_declared(_: Path, outcome: Outcome) -> str:
    column = re.search(r"classify it in (docs/fields\.yaml)", outcome.words)
    value = re.search(r"'(address)', 'an address of the internet'", outcome.words)
    if outcome.code != 1 or column is None or value is None:
        return ""
    return f"the column {value[1]} is not in {column[1]}, and holds an address of the internet"


def _tell_utc(folder: Path) -> list[str]:
    """The server tells the minute of the day in UTC; one flight is served, its user complains."""
    ran(folder, "register")
    old = '"sched_minute": [at.hour * 60 + at.minute for at in local]'
    replace_once(folder / REQUEST, old, old.replace("at.hour * 60", "(at.hour + 5) % 24 * 60"))
    until = "--until=2013-02-14T12:00Z"
    if (
        run_stages(folder, ["materialize", until]).code
        or run_stages(folder, [SERVE_ONE], ("-c",)).code
    ):
        raise SystemExit("one flight could not be served: the drill is stale")
    return ["explain"]


def _named(_: Path, outcome: Outcome) -> str:
    told = re.search(r"SkewFound: (sched_minute was .+?; .+ values differ)", outcome.words)
    return told[1] if outcome.code == 1 and told else ""


DRILLS = [
    Drill(
        slug="callers-address",
        stage="rules",
        fault="the request log gets a column with the address of who asked",
        guard="the list of declared fields, and a look for persons in a really produced log",
        inject=_keep_the_callers_address,
        caught=_not_declared,
        command=("-m", "pytest", "-q"),
    ),
    Drill(
        slug="one-complaint",
        stage="monitor",
        fault="the server tells the model the time of day in UTC; a user complains of one answer",
        guard="monitor.explain: each logged feature is held against what was known at T",
        inject=_tell_utc,
        caught=_named,
    ),
]
