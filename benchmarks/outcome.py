"""What late labels cost, and what each proxy metric for them is worth.

The champion of January to March on April to December, never retrained: its outcome by month as the
month report would tell it; how labels known so far mislead during a day; each proxy against the
outcome that it stands for; labels against flags by carrier and week, clean and poisoned.
"""

import sys
import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import proxy_metrics
from benchmarks.early_labels import Pending, so_far
from benchmarks.study import Watch, kept
from exercises.scratch import ROOT
from pipeline.__main__ import run_command
from pipeline.features import windows
from pipeline.features.definitions import LABEL, PROXY
from pipeline.features.point_in_time import historical
from pipeline.flights.events import deadline
from pipeline.flights.names import flight_names
from pipeline.flights.slices import slices
from pipeline.monitor.performance import delayed_labels
from pipeline.monitor.performance.daily import due_at
from pipeline.monitor.performance.label_checks import label_agreement
from pipeline.monitor.performance.performance import PerformanceRules, measure_performance
from pipeline.monitor.performance.quality import Figures, auc_interval
from pipeline.records.arrivals import read_until
from pipeline.registry.model import load as load_model
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.files import file_hash

END = pd.Timestamp("2014-01-01T05:00Z")
FIRST, MONTHS = "2013-04-01", [f"2013-{month:02d}" for month in range(4, 13)]
HOURS = [9, 12, 15, 18, 21, 24]
"""Of New York, at which an unfinished day is looked at."""
FLIPPED = {"quarter": 0.25, "half": 0.5, "three quarters": 0.75, "all": 1.0}
HOUR = pd.Timedelta(hours=1)


def year() -> pd.DataFrame:
    """Every flight of the year as it was asked for: its row, its names, the champion's risk."""
    flights, weather = read_until(END)
    config = load(FeaturesConfig)
    views = windows.views(flights, weather, config)
    rows = historical(windows.requests(flights, config), views, config)
    path = ROOT / "data/train/model.onnx"
    names = flight_names(rows)
    risk = load_model(path, file_hash(path)).predict(rows)
    return rows.assign(
        number=rows["flight"], name=names, risk=risk, day=delayed_labels.dates(names)
    )


def served(rows: pd.DataFrame) -> pd.DataFrame:
    """Those flights as a table of requests: no outcome in it."""
    outcome = [LABEL, PROXY, f"{LABEL}_known_at", f"{PROXY}_known_at"]
    ids = [f"r{n}" for n in range(len(rows))]
    return rows.drop(columns=outcome).assign(request_id=ids, flight=rows["name"], version="1")


def flags(rows: pd.DataFrame) -> pd.DataFrame:
    """The departure-late flags as a stream: each arrives when it is known."""
    told = {"flight": rows["name"], PROXY: rows[PROXY], "arrived_at": rows[f"{PROXY}_known_at"]}
    return pd.DataFrame(told)


def _as_recorded(of: Figures) -> dict[str, Any]:
    """Figures with the number of flights under its recorded name."""
    told = of.model_dump()
    return {"flights": told.pop("rows"), **told}


def by_month(rows: pd.DataFrame, rules: PerformanceRules) -> dict[str, Any]:
    """Each month as it is judged when its last day's labels are due."""
    told, found = delayed_labels.daily(rows), {}
    for month in MONTHS:
        of = (rows["day"].dt.strftime("%Y-%m") == month).to_numpy()
        now = due_at(rows.loc[of, "day"]).max()
        outcome = measure_performance(served(rows[of]), told[of], now, rules, flags(rows[of]))
        looked = [s for s in outcome.slices.values() if s.judged]
        found[month] = {
            **_as_recorded(outcome.overall),
            "intervals": {n: i.model_dump() for n, i in outcome.intervals.items()},
            "alert": outcome.alert.status,
            "slices": len(outcome.slices),
            "slices_below_minimum": len(outcome.slices) - len(looked),
            "slices_noticed": [n for n, s in outcome.slices.items() if s.noticed],
        }
    return found


def unfinished(rows: pd.DataFrame, pending: Pending, rules: PerformanceRules) -> dict[str, Any]:
    """How far the late share told at an hour of an unfinished day is from that of its flights."""
    sides = {
        "naive_of_due": ("naive", "truth_due"),
        "due_of_due": ("due", "truth_due"),
        "naive_of_left": ("naive", "truth_left"),
        "due_of_left": ("due", "truth_left"),
        "by_delay_of_left": ("by_delay", "truth_left"),
        "by_risk_of_left": ("by_risk", "truth_left"),
    }
    found: dict[str, Any] = {"by_hour": {}, "naive_of_due_at_12_by_month": {}}
    for hour in HOURS:
        told = so_far(rows, _at(rows["day"], hour), pending)
        found["by_hour"][f"{hour:02d}h"] = {
            "days": int(told["naive"].notna().sum()),
            "flights_known": round(float(told["known"].mean()), 1),
            "flights_due": round(float(told["dues"].mean()), 1),
            **{
                name: proxy_metrics.over_days((told[a] - told[b]).to_numpy(), rules.bootstrap)
                for name, (a, b) in sides.items()
            },
        }
        if hour == 12:
            wrong = told["naive"] - told["truth_due"]
            for month, values in wrong.groupby(wrong.index.strftime("%Y-%m")):
                over = proxy_metrics.over_days(values.to_numpy(), rules.bootstrap)
                found["naive_of_due_at_12_by_month"][month] = over
    return found


def _at(day: pd.Series, hour: int) -> pd.Series:
    local = day.dt.tz_localize(None) + pd.Timedelta(hours=hour)
    return local.dt.tz_localize(windows.ZONE, ambiguous=False).dt.tz_convert("UTC")


def proxies(past: pd.DataFrame, rows: pd.DataFrame, rules: PerformanceRules) -> dict[str, Any]:
    """Each proxy against the labels, over the days; where each stands when a day's flags do."""
    day, risk = pd.factorize(rows["day"], sort=True)[0], rows["risk"].to_numpy()
    late, flag = rows[LABEL].to_numpy(dtype="float64"), rows[PROXY].to_numpy()
    truth = proxy_metrics.daily(day, late, risk)
    alone, binned = (
        proxy_metrics.FlagRates.of(past),
        proxy_metrics.FlagRates.of(past, proxy_metrics.RISK_BINS),
    )
    then = rows.groupby("day")[f"{PROXY}_known_at"].transform("max")
    known = (rows[f"{LABEL}_known_at"] <= then).to_numpy()
    left = ((deadline(rows) - then) / pd.Timedelta(minutes=1)).to_numpy()
    pending = Pending.of(past)
    chances = {
        "flag": alone.chance(flag, risk),
        "flag_by_risk": binned.chance(flag, risk),
        "early_labels_by_delay": np.where(known, late, pending.chance(left, pending.base)),
        "early_labels_by_risk": np.where(known, late, pending.chance(left, risk)),
        "own_risk": risk,
    }
    sums = {name: proxy_metrics.daily(day, chance, risk) for name, chance in chances.items()}
    sums["flag_less_its_offset"] = _less_offset(sums["flag"], alone, past)
    sums["early_labels_naive"] = proxy_metrics.daily(day[known], late[known], risk[known])
    firing = proxy_metrics.fires(
        proxy_metrics.trailing(truth, rules.outcome), rules.outcome
    ).to_numpy()
    return {
        "p_late_by_flag": {
            "not_late": _round(alone.rates[0, 0]),
            "late": _round(alone.rates[1, 0]),
        },
        "p_late_by_flag_and_tenth_of_risk": np.round(binned.rates, 3).tolist(),
        "labels_known_when_flags_are": _round(known.mean()),
        "lead_hours": _leads(rows),
        "outcome_alert": {
            "days": len(truth),
            "days_firing": int(firing.sum()),
            "episodes": len(proxy_metrics.episodes(firing)),
        },
        "proxies": {
            name: proxy_metrics.validated(own, truth, rules.outcome, rules.bootstrap)
            for name, own in sums.items()
        },
    }


def _less_offset(
    sums: pd.DataFrame, alone: proxy_metrics.FlagRates, past: pd.DataFrame
) -> pd.DataFrame:
    """The flag's loss less what it was too high in training, in nats a flight."""
    risk, one_day = past["risk"].to_numpy(), np.zeros(len(past))
    chance = alone.chance(past[PROXY].to_numpy(), risk)
    ours = proxy_metrics.daily(one_day, chance, risk)["loss"]
    labelled = proxy_metrics.daily(one_day, past[LABEL].to_numpy(dtype="float64"), risk)["loss"]
    offset = float((ours - labelled).iloc[0]) / len(past)
    return sums.assign(loss=sums["loss"] - offset * sums["flights"])


def _leads(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Hours by which a day is complete before its label file: flags, and the last prediction."""
    by_day = rows.groupby("day")
    file = due_at(by_day["day"].first())
    told = {"flag": by_day[f"{PROXY}_known_at"].max(), "own_risk": by_day["predict_at"].max()}
    return {
        name: {
            kind: round(float(getattr((file - at) / HOUR, kind)()), 2)
            for kind in ("min", "median", "max")
        }
        for name, at in told.items()
    }


def agreements(rows: pd.DataFrame, rules: PerformanceRules) -> dict[str, Any]:
    """Labels against flags by carrier and week of the year: clean, and what poisons are caught."""
    rule, rng = rules.outcome, np.random.default_rng(0)
    frame = rows.assign(flight=rows["name"])
    clean = [w for w in label_agreement(frame, rule) if w.trusted is not None]
    values = np.array([w.agreement for w in clean])
    balanced = [w.balanced for w in clean if w.balanced is not None]
    late, one = rows[LABEL].to_numpy(), rng.random(len(rows))
    poisons = {f"{name} flipped": np.where(one < f, 1 - late, late) for name, f in FLIPPED.items()}
    poisons |= {"all told punctual": 0 * late, "all told late": 0 * late + 1}
    caught = {}
    for name, told in poisons.items():
        weeks = [w for w in label_agreement(frame.assign(late=told), rule) if w.trusted is not None]
        caught[name] = {
            "median": _round(np.median([w.agreement for w in weeks])),
            "caught_by_agreement": _round(
                np.mean([w.agreement < rule.min_agreement for w in weeks])
            ),
            "caught_by_either": _round(np.mean([not w.trusted for w in weeks])),
        }
    return {
        "carrier_weeks": len(clean),
        "min": float(values.min()),
        "min_of": f"{clean[0].group} {clean[0].week}",
        "p1": _round(np.quantile(values, 0.01)),
        "median": _round(np.median(values)),
        "limit": rule.min_agreement,
        "balanced_of": len(balanced),
        "balanced_min": float(min(balanced)),
        "balanced_limit": rule.min_balanced_agreement,
        "false_alarms": sum(not w.trusted for w in clean),
        "poisoned": caught,
    }


def folding(rows: pd.DataFrame) -> dict[str, float]:
    """Seconds to fold 100,000 events, the best of five: shuffled, told twice, corrected."""
    rng = np.random.default_rng(0)
    told = delayed_labels.daily(rows).iloc[:83_334]
    some = told.sample(8_333, random_state=1)
    again = told.sample(8_333, random_state=2).assign(revision=1)
    events = pd.concat([told, some, again.assign(late=1 - again["late"])], ignore_index=True)
    events = events.iloc[rng.permutation(len(events))]
    took = []
    for _ in range(5):
        started = time.perf_counter()
        flights = len(delayed_labels.fold(events).table)
        took.append(time.perf_counter() - started)
    return {"events": len(events), "flights": flights, "seconds": round(min(took), 2)}


def whole(rows: pd.DataFrame, rules: PerformanceRules) -> dict[str, Any]:
    """ROC AUC of all nine months with its interval, and how many critical slices there are."""
    late, day = rows[LABEL].to_numpy(), pd.factorize(rows["day"])[0]
    found = auc_interval(late, rows["risk"].to_numpy(), day, rules.bootstrap)
    return {
        "flights": len(rows),
        "days": int(rows["day"].nunique()),
        "late_share": _round(late.mean()),
        "roc_auc": found.model_dump() if found else None,
        "slices": len(slices(rows, rules.slices)),
    }


def _round(value: float) -> float:
    return round(float(value), 4)


def main() -> int:
    """Measure, print, and write benchmarks/outcome.json."""
    print("outcomes: the champion from April to December, as its labels arrive", flush=True)
    watch, rules, window = Watch(), PerformanceRules.of_configs(), load(TrainConfig).window
    rows = year()
    end = pd.Timestamp(FIRST, tz="UTC")
    learned = rows["day"].between(*(pd.Timestamp(d, tz="UTC") for d in (window.first, window.last)))
    past = rows[learned & (rows[f"{LABEL}_known_at"] < end)]
    later = rows[rows["day"] >= end].reset_index(drop=True)
    watch.said(f"{len(rows):,} flights scored; proxies learn from {len(past):,}")
    found: dict[str, Any] = {
        "learned": {"window": f"{window.first}..{window.last}", "flights": len(past)},
        "scored": whole(later, rules),
    }
    watch.said("scored")
    found["by_month"] = by_month(later, rules)
    watch.said("judged by month")
    found["unfinished_day"] = unfinished(later, Pending.of(past), rules)
    watch.said("unfinished days")
    found |= proxies(past, later, rules)
    watch.said("proxies")
    found["agreement"] = agreements(rows, rules)
    found["fold"] = folding(rows)
    watch.said("labels against flags, fold")
    kept("outcome", found | {"seconds": watch.seconds()})
    print(f"outcomes: done in {watch.seconds():.0f} s -> benchmarks/outcome.json")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
