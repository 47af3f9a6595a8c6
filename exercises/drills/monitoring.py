"""Faults that a month of the live champion shows: in its log, and in what became of its answers.

January's champion is registered and answers February, through the real log; or February's labels
are drawn anew, from the champion's risk or from another relation. The month is then watched, or
diagnosed, as on any other day.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exercises.drill import Drill, Outcome, configure, run_stages
from exercises.drills.release import ran
from pipeline.__main__ import run_command
from pipeline.features import windows
from pipeline.features.build import read_accepted
from pipeline.features.definitions import KNOWN_AT, LABEL, NUMERIC, PROXY, ROLLING
from pipeline.features.feature_table import ROWS
from pipeline.features.point_in_time import historical
from pipeline.flights.features import WEATHER
from pipeline.flights.names import flight_names
from pipeline.monitor.monitored_model import Champion, load_champion, month_window
from pipeline.monitor.predictions import events_of_window
from pipeline.records.request_log import LoggedPrediction, pack
from pipeline.records.request_log_writer import open_log
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.files import write_parquet

WRITTEN = ("-m", "exercises.drills.monitoring")
LAG = pd.Timedelta(hours=6)
Logged = Callable[[pd.DataFrame], pd.DataFrame]


def _in_percent(rows: pd.DataFrame) -> pd.DataFrame:
    names = [r.name for r in ROLLING if r.value in (LABEL, PROXY)]
    return rows.assign(**{name: rows[name] * 100 for name in names})


def _without_weather(rows: pd.DataFrame) -> pd.DataFrame:
    never = rows["weather_known_at"].mask(rows["weather_known_at"].notna())
    return rows.assign(weather_known_at=never, **dict.fromkeys(WEATHER, np.float32(np.nan)))


def _of_six_hours_ago(rows: pd.DataFrame) -> pd.DataFrame:
    """What was right six hours before, by a clock that is as late: all of it possible."""
    config = load(FeaturesConfig)
    published, weather = read_accepted()
    views = windows.views(published, weather, config)
    asked = windows.requests(published, config)
    before = asked.assign(predict_at=asked["predict_at"] - LAG)
    then = historical(before, views, config).set_index(flight_names(asked)).loc[rows["name"]]
    return rows.assign(**{name: then[name].array for name in [*KNOWN_AT, *NUMERIC]})


def _from_the_champion(logit: np.ndarray) -> np.ndarray:
    return logit


def _from_another_relation(logit: np.ndarray) -> np.ndarray:
    """Late by chance, whatever the model says of the flight."""
    return 0.2 * logit - 0.5


LOGGED: dict[str, Logged] = {
    "log-percent": _in_percent,
    "lost-view": _without_weather,
    "log-lagging": _of_six_hours_ago,
}
LABELLED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "drift-without-loss": _from_the_champion,
    "late-relation": _from_another_relation,
}


def write(fault: str) -> None:
    """Let February have the fault, in its log or in its labels."""
    champion = load_champion()
    rows = events_of_window(month_window(None, load(MonitorConfig)))
    if fault in LOGGED:
        answer(champion, LOGGED[fault](rows))
    else:
        relabel(champion, rows, LABELLED[fault])


def answer(champion: Champion, rows: pd.DataFrame) -> None:
    """Log the champion's answers to these rows, as its server would have."""
    answerer = champion.scorer
    known = np.column_stack([windows.minutes(rows[name]) for name in KNOWN_AT])
    told = zip(
        rows["name"],
        windows.minutes(rows["predict_at"]).tolist(),
        pack(rows[NUMERIC].to_numpy(), "<f4"),
        pack(known, "<i8"),
        answerer.model.predict(rows).astype("float64").tolist(),
        strict=True,
    )
    answers = [
        LoggedPrediction(
            request_id=f"r{number}",
            row=0,
            arm="champion",
            version=answerer.version,
            release=answerer.release,
            name=name,
            predict_at=at,
            features=features,
            known_at=since,
            flags="{}",
            risk=risk,
            answered_at=at * 60.0,
            seconds=0.002,
        )
        for number, (name, at, features, since, risk) in enumerate(told)
    ]
    with open_log(load(ServeConfig).log_url.get_secret_value(), len(answers)) as log:
        log.add(answers)


def relabel(
    champion: Champion, rows: pd.DataFrame, relation: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Draw the rows' outcomes from a relation to the champion's risk; their flags say the same."""
    table = pd.read_parquet(ROWS)
    risk = champion.scorer.model.predict(rows).astype("float64")
    chance = 1 / (1 + np.exp(-relation(np.log(risk / (1 - risk)))))
    drawn = (np.random.default_rng(0).random(len(rows)) < chance).astype("int8")
    late = flight_names(table).map(pd.Series(drawn, index=rows["name"])).fillna(table[LABEL])
    chosen = flight_names(table).isin(rows["name"])
    flag = table[PROXY].where(~chosen, late)
    write_parquet(ROWS, table.assign(**{LABEL: late.astype("int8"), PROXY: flag.astype("int8")}))


def _inject(fault: str, command: str = "monitor") -> Callable[[Path], list[str]]:
    """January's champion is registered; then February has this fault, and is asked about."""

    def inject(folder: Path) -> list[str]:
        ran(folder, "register")
        configure(folder, "monitor", html="none")  # pages for people, which nobody looks at here
        if run_stages(folder, [fault], WRITTEN).code:
            raise SystemExit(f"the fault {fault} could not be written: the drill is stale")
        return [command]

    return inject


def _alerts(folder: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads((folder / "data/monitor/alerts.json").read_text())
    return told


def _paged(**named: str) -> Callable[[Path, Outcome], str]:
    """The month was watched, and each of these alerts calls somebody and names its fault."""

    def caught(folder: Path, outcome: Outcome) -> str:
        if outcome.code:
            return ""
        pages = {a["name"]: a["reason"] for a in _alerts(folder) if a["severity"] == "page"}
        there = all(fault in pages.get(name, "") for name, fault in named.items())
        return "; ".join(f"{name}: {pages[name]}" for name in named) if there else ""

    return caught


def _only_tickets(folder: Path, outcome: Outcome) -> str:
    """The predictions have drifted far, and nobody is called."""
    alerts = [] if outcome.code else _alerts(folder)
    reasons = {a["name"]: a["reason"] for a in alerts if a["severity"] == "ticket"}
    drifted = reasons.get("PredictionDrift", "")
    return f"nobody is called; ticket: {drifted}" if drifted and len(reasons) == len(alerts) else ""


def _diagnosed(said: str) -> Callable[[Path, Outcome], str]:
    def caught(_: Path, outcome: Outcome) -> str:
        told = re.search(rf"2013-02: ({said}: .+?)(?:; \w+ differs| -> data)", outcome.words)
        return told[1] if outcome.code == 0 and told else ""

    return caught


DRILLS = [
    Drill(
        slug="log-percent",
        stage="monitor",
        fault="a month's answers rest on shares in percent, where training had fractions",
        guard="monitor.inputs.data_quality: a value that its feature cannot mean",
        inject=_inject("log-percent"),
        caught=_paged(QualityFailures="impossible values", SkewFound="not what was known"),
    ),
    Drill(
        slug="lost-view",
        stage="monitor",
        fault="a month is answered without the weather",
        guard="monitor.inputs.data_quality: a view that is missing more often than in training",
        inject=_inject("lost-view"),
        caught=_paged(QualityFailures="missing weather"),
    ),
    Drill(
        slug="drift-without-loss",
        stage="monitor",
        fault="a month is far from training, and its outcomes are what the champion said",
        guard="the alert PredictionDrift: drift opens a ticket, and calls nobody",
        inject=_inject("drift-without-loss"),
        caught=_only_tickets,
    ),
    Drill(
        slug="log-lagging",
        stage="monitor",
        fault="a month's answers rest on what was known six hours before",
        guard="monitor.diagnose: skew is asked before any shift",
        inject=_inject("log-lagging", "diagnose"),
        caught=_diagnosed("skew -> fix the feed"),
    ),
    Drill(
        slug="late-relation",
        stage="monitor",
        fault="a month's flights are late by another relation than the champion learned",
        guard="monitor.shift_decomposition: the loss rose at equal inputs, a refit wins",
        inject=_inject("late-relation", "diagnose"),
        caught=_diagnosed("both shifts -> retrain"),
    ),
]


if __name__ == "__main__":
    sys.exit(run_command(lambda: write(sys.argv[1])))
