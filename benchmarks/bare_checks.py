"""What do our checks of a month cost beside the bare defaults of the libraries they are built on?

Validation: our data gate on a month of flights, and Great Expectations' own default run of the same
rules on the same rows. Drift: ours of a month against the training window, and Evidently's default
preset on the same columns. Both alternate in one process, after all imports.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import Watch, kept
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.features.definitions import NUMERIC
from pipeline.monitor.inputs import drift
from pipeline.monitor.monitored_model import load_champion
from pipeline.monitor.predictions import RISK, events_of_window, served_predictions
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.contracts import INGEST, Manifest, read_record
from pipeline.usecase.chosen import USECASE
from pipeline.validate.data_gate import read_snapshots

ROUNDS = 5
TABLE = "flights"
UNITS = "seconds: median of the rounds; ratio: ours over bare, median of the rounds' own ratios"
Work = Callable[[], object]


def validation(month: str) -> tuple[Work, Work, dict[str, int]]:
    """Our gate on a month, Great Expectations' default run of the same rules, and their counts."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx

    from pipeline.shared import expectations
    from pipeline.validate import judge

    every = read_snapshots(read_record(Manifest, INGEST / "manifest.json", "ingest"))
    limits, suites = load(USECASE.limits), USECASE.rules()
    months = {name: rows for (table, name), rows in every.items() if table == TABLE}
    reference = {n: months[n] for n in limits.reference if n != month and n in months}
    known, rows = suites.other_months(month, months, limits.reference), months[month]

    def ours() -> Any:
        context = expectations.new_context()
        return judge.judge(context, TABLE, month, rows, reference, limits, known)

    measured = suites.add_measures(TABLE, rows, known)
    rules = judge.schema_rules(TABLE, rows.columns)
    of_values = suites.rules(TABLE, month, pd.concat(reference.values()), limits)
    of_values = [rule for rule in of_values if getattr(rule, "column", "year") in measured]

    def bare() -> None:
        context = gx.get_context(mode="ephemeral")
        source = context.data_sources.add_pandas("bare")
        for name, found, table in (("schema", rules, rows), ("values", of_values, measured)):
            suite = gx.ExpectationSuite(name=name, expectations=[copy(rule) for rule in found])
            whole = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
            whole.get_batch({"dataframe": table}).validate(suite)

    return ours, bare, {"rows": len(rows), "rules": len(rules) + len(of_values)}


def drifted(window: Window) -> tuple[Work, Work, dict[str, int]]:
    """Our drift of a month, Evidently's default preset on the same columns, and their counts."""
    drift.load_evidently()
    from evidently import Report
    from evidently.presets import DataDriftPreset

    champion = load_champion()
    config = load(MonitorConfig).model_copy(update={"html": "none"})
    reference = served_predictions(champion.reference, champion.scorer, None)
    rows = served_predictions(events_of_window(window), champion.scorer, None)
    seen = [*NUMERIC, *drift.CATEGORIES, RISK]

    def ours() -> drift.Drift:
        return drift.measure_drift(reference, rows, window.first, config)

    def bare() -> object:
        return Report([DataDriftPreset()]).run(rows[seen], reference[seen]).dict()

    return ours, bare, {"rows": len(rows), "reference_rows": len(reference), "columns": len(seen)}


def compared(ours: Work, bare: Work, watch: Watch, what: str) -> dict[str, Any]:
    """The seconds of both, in turn."""
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(ROUNDS + 1):
        for name, work in (("ours", ours), ("bare", bare))[:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            work()
            found[name].append(time.perf_counter() - began)
        watch.said(f"{what}: round {number} of {ROUNDS}")
    kept_rounds = {name: np.array(seconds[1:]) for name, seconds in found.items()}  # 0: caches
    ratio = float(np.median(kept_rounds["ours"] / kept_rounds["bare"]))
    seconds = {f"{n}_seconds": round(float(np.median(s)), 3) for n, s in kept_rounds.items()}
    return {**seconds, "ratio": round(ratio, 3)}


def main() -> int:
    """Measure, print, and write benchmarks/bare_checks.json."""
    os.chdir(ROOT)
    watch, load_before = Watch(), os.getloadavg()[0]
    month = load(IngestConfig).as_of
    last = pd.Period(month).end_time.strftime("%Y-%m-%d")
    found: dict[str, Any] = {"month": month}
    for what, (ours, bare, counts) in {
        "validation": validation(month),
        "drift": drifted(Window(first=f"{month}-01", last=last)),
    }.items():
        found[what] = counts | compared(ours, bare, watch, what)
    found["conditions"] = {
        "units": UNITS,
        "rounds": ROUNDS,
        "processors": os.cpu_count(),
        "load_before": round(load_before, 2),
    }
    kept("bare_checks", found | {"seconds": watch.seconds()})
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
