"""Bad candidates: what a fault in the training data does, and which guard stops it.

On two Mondays a model is retrained from data in which a fault is injected, as the loop would: a
candidate without the newest two weeks, judged on them, and the refit that would go live. The gate's
own labels and features stay clean, as where only the training feed is broken. Each case says what
the gate and the guards answer, and what the refit would have cost over the four weeks after.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.policies import DAY, Fits
from benchmarks.study import Watch, kept
from pipeline.__main__ import run_command
from pipeline.evaluate.gate import compare_models
from pipeline.evaluate.refresh import stays_near
from pipeline.features import windows
from pipeline.features.definitions import LABEL, ROLLING, matrix
from pipeline.features.point_in_time import historical
from pipeline.flights.names import flight_names
from pipeline.models.trees import boosting, limit_threads
from pipeline.records.arrivals import read_until
from pipeline.retrain.data_guards import agreement, completeness, coverage, freshness
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.contracts import decide
from pipeline.shared.errors import LabelsRefused
from pipeline.shared.paired_difference import difference
from pipeline.shared.scores import log_loss

MONDAYS = ("2013-07-01", "2013-09-30")
HOLDOUT, AFTER, STALE_HOURS = 14, 28, 6
FIRST, RECENT = "the first champion", "a model of four weeks ago"
LAST_WEEK = "the champion of last week, on the fast track"
Fault = Callable[[pd.DataFrame, pd.Series, pd.Timestamp], pd.DataFrame]
"""Training rows, the day of each, and the Monday: the rows as a broken feed gives them."""


def _flipped(chosen: Callable[[pd.DataFrame], Any], first: int, last: int) -> Fault:
    """Labels turned around from so many days before the Monday to so many."""

    def broken(rows: pd.DataFrame, day: pd.Series, monday: pd.Timestamp) -> pd.DataFrame:
        inside = (day >= monday - first * DAY) & (day < monday - last * DAY) & chosen(rows)
        return rows.assign(**{LABEL: rows[LABEL].where(~inside, 1 - rows[LABEL])})

    return broken


def _mornings_lost(days: int) -> Fault:
    def broken(rows: pd.DataFrame, day: pd.Series, monday: pd.Timestamp) -> pd.DataFrame:
        return rows[~((day >= monday - days * DAY) & (rows["sched_hour"] < 9))]

    return broken


def _stale(old: pd.DataFrame) -> Fault:
    """Rolling features of six hours before, in the newest two weeks."""
    columns = [rolling.name for rolling in ROLLING]
    columns += [f"{view}_known_at" for view in {rolling.view for rolling in ROLLING}]

    def broken(rows: pd.DataFrame, day: pd.Series, monday: pd.Timestamp) -> pd.DataFrame:
        inside = (day >= monday - HOLDOUT * DAY).to_numpy()
        found, before = rows.copy(), old.reindex(rows["name"])
        for column in columns:
            values = np.where(inside, before[column].to_numpy(), rows[column].to_numpy())
            found[column] = pd.Series(values, index=rows.index).astype(rows[column].dtype)
        return found

    return broken


def older(hours: int) -> pd.DataFrame:
    """Every flight's features as they were so many hours before its T, by its name."""
    config = load(FeaturesConfig)
    flights, weather = read_until()
    earlier = config.model_copy(update={"horizon_minutes": config.horizon_minutes + 60 * hours})
    views = windows.views(flights, weather, config)
    frame = historical(windows.requests(flights, earlier), views, earlier)
    return frame.assign(name=flight_names(frame)).set_index("name")


def faults() -> dict[str, Fault]:
    """Every case, the clean one first."""
    of_ua, everybody = (lambda rows: rows["carrier"] == "UA"), (lambda rows: rows["flight"] > 0)
    return {
        "clean": lambda rows, _day, _monday: rows,
        "UA labels turned, the week before the judged days": _flipped(of_ua, 21, 14),
        "UA labels turned, the newest week": _flipped(of_ua, 7, 0),
        "all labels turned, the week before the judged days": _flipped(everybody, 21, 14),
        "all labels turned, the newest week": _flipped(everybody, 7, 0),
        "no flights before nine, ever": _mornings_lost(400),
        "no flights before nine, four weeks": _mornings_lost(28),
        "rolling features six hours old, two weeks": _stale(older(STALE_HOURS)),
    }


class Case:
    """One Monday: what was known, who serves, and what came after."""

    def __init__(self, fits: Fits, monday: str):
        """`fits` has the year and what clean models say of it."""
        self.fits, self.monday = fits, pd.Timestamp(monday)
        self.day = pd.to_datetime(pd.Series(fits.day, index=fits.frame.index))
        self.incumbents = {
            FIRST: fits.risk("2013-04-01"),
            RECENT: fits.risk(f"{self.monday - 28 * DAY:%Y-%m-%d}"),
        }
        self.last_week = fits.risk(f"{self.monday - 7 * DAY:%Y-%m-%d}")

    def fitted(self, fault: Fault, until: pd.Timestamp) -> np.ndarray:
        """The risk of every served flight by the recipe on broken rows before a day."""
        frame, config = self.fits.frame, self.fits.config
        known = (frame["late_known_at"] < until.tz_localize("UTC")) & (self.day < until)
        rows = fault(frame[known], self.day[known], self.monday)
        names = self.fits.names
        with limit_threads(config.threads):
            model = boosting(config, names, matrix(rows, names), rows[LABEL].to_numpy())
            served = matrix(frame[self.fits.served], names)
            return np.asarray(model.predict_proba(served)[:, 1])

    def between(self, first: pd.Timestamp, days: int) -> np.ndarray:
        """Which of the served flights leave on so many days."""
        day = self.day[self.fits.served]
        return ((day >= first) & (day < first + days * DAY)).to_numpy()

    def gate(self, candidate: np.ndarray, refit: np.ndarray) -> dict[str, Any]:
        """The gate's answer against each incumbent, and how far the refit is from the candidate."""
        config, chosen = load(EvaluateConfig), self.between(self.monday - HOLDOUT * DAY, HOLDOUT)
        frame = self.fits.frame[self.fits.served][chosen].reset_index(drop=True)
        found: dict[str, Any] = {}
        for name, risk in self.incumbents.items():
            checks = compare_models(
                frame,
                candidate[chosen],
                {"champion": risk[chosen]},
                config.slices,
                config.bootstrap,
                config.refresh,
            )
            found[name] = decide(checks)
        near = stays_near(candidate[chosen], refit[chosen], config.max_refit_distance)
        found |= {"refit_distance": round(near.found, 4), "refit_stays_near": near.passed}
        new = self.between(self.monday - 7 * DAY, 7)
        near = stays_near(self.last_week[new], refit[new], config.max_refit_distance)
        return found | {"distance_from_last_week": round(near.found, 4), LAST_WEEK: near.passed}

    def guards(self, fault: Fault) -> list[str]:
        """The guards that refuse the rows."""
        frame = self.fits.frame
        known = self.day < self.monday
        rows = fault(frame[known], self.day[known], self.monday).reset_index(drop=True)
        limits, gate = load(RetrainConfig).guards, load(EvaluateConfig)
        bands, arrived = gate.slices.hour_bands, frame[known]
        checks = [
            coverage(rows, limits, bands),
            completeness(rows, arrived, limits, bands),
            freshness(rows, limits),
        ]
        refused = [check.name for check in checks if not check.passed]
        try:
            agreement(rows, load(MonitorConfig).outcome)
        except LabelsRefused:
            refused.append("labels agree with flags")
        return refused

    def damage(self, refit: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """By how much a refit's log loss is worse over the four weeks after."""
        chosen = self.between(self.monday, AFTER)
        late = self.fits.frame[LABEL].to_numpy()[self.fits.served][chosen]
        worse = log_loss(late, refit[chosen]) - log_loss(late, other[chosen])
        day = self.day[self.fits.served][chosen].to_numpy()
        found = difference(worse, day, load(EvaluateConfig).bootstrap)
        return {k: round(getattr(found, k), 4) for k in ("point", "low", "high")}


def answered(case: Case, fault: Fault, clean: np.ndarray | None) -> tuple[dict[str, Any], Any]:
    """All that there is to say of one case, and the risks of its refit."""
    candidate = case.fitted(fault, case.monday - HOLDOUT * DAY)
    refit = case.fitted(fault, case.monday)
    gate, guards = case.gate(candidate, refit), case.guards(fault)
    found = {
        "gate": gate,
        "guards_that_refuse": guards,
        "against_clean": case.damage(refit, refit if clean is None else clean),
        "goes_live_against": [] if guards else accepting_incumbents(gate),
    }
    return found, refit


def accepting_incumbents(gate: dict[str, Any]) -> list[str]:
    """The incumbents against which the gate lets a refit go live, the guards left aside."""
    compared = [FIRST, RECENT] if gate["refit_stays_near"] else []
    return [name for name in [*compared, LAST_WEEK] if gate[name]]


def summary(cases: dict[str, Any]) -> dict[str, list[str]]:
    """The cases with a fault, by what they did and what would have let them go live."""
    each = {f"{name}, {monday}": told for name, of in cases.items() for monday, told in of.items()}
    faulty = {name: told for name, told in each.items() if not name.startswith("clean, ")}
    harmful = {name: told for name, told in faulty.items() if told["against_clean"]["low"] > 0}
    return {
        "faulty": sorted(faulty),
        "surely_harmful": sorted(harmful),
        "live_without_guards": sorted(
            n for n, told in harmful.items() if accepting_incumbents(told["gate"])
        ),
        "of_these_live": sorted(n for n, told in harmful.items() if told["goes_live_against"]),
        "clean_stopped_by_guards": [
            monday for monday, told in cases["clean"].items() if told["guards_that_refuse"]
        ],
    }


def main() -> int:
    """Write benchmarks/candidates.json."""
    watch, fits, cases = Watch(), Fits.of(), faults()
    found: dict[str, Any] = {}
    for monday in MONDAYS:
        case, clean = Case(fits, monday), None
        for name, fault in cases.items():
            told, refit = answered(case, fault, clean)
            clean = refit if clean is None else clean
            found.setdefault(name, {})[monday] = told
            watch.said(f"{monday} {name}: {told['goes_live_against'] or 'stopped'}")
    kept("candidates", {"cases": found, **summary(found)})
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
