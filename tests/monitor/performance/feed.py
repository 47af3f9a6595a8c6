"""Requests and labels by hand and by chance, and the slow way to say what they come to."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.monitor.performance.delayed_labels import LABEL_COLUMNS, DelayedLabel
from pipeline.shared.clock import LABELS_COMPLETE

CARRIERS = ["UA", "B6", "EV", "DL"]


def at(text: str) -> pd.Timestamp:
    """An instant of 2013, as "04-18 10:00"."""
    return pd.Timestamp(f"2013-{text}", tz="UTC")


def told(flight: str = "2013-04-18/UA/1/EWR", late: int = 0, **changes: Any) -> DelayedLabel:
    """One label of a flight, known in the evening and told the next morning."""
    day = pd.Timestamp(flight[:10], tz="UTC")
    usual = {"known_at": day + pd.Timedelta(hours=20), "arrived_at": day + LABELS_COMPLETE}
    return DelayedLabel(name=flight, late=late, **{**usual, **changes})


def served(days: int = 20, a_day: int = 60, seed: int = 0, first: str = "2013-04-01") -> Any:
    """Requests of so many days: calibrated risks, drawn outcomes in a table of their own.

    Returns the requests, and a frame of their flights with `late` and `dep_late`.
    """
    rng = np.random.default_rng(seed)
    count = days * a_day
    day = pd.Timestamp(first, tz="UTC") + pd.to_timedelta(np.arange(count) // a_day, unit="D")
    risk = rng.uniform(0.05, 0.95, count)
    late = (rng.random(count) < risk).astype("int8")
    carrier = np.array(CARRIERS)[np.arange(count) % len(CARRIERS)]
    names = [
        f"{d:%Y-%m-%d}/{c}/{1 + n % a_day}/{'EWR' if n % 2 else 'JFK'}"
        for n, (d, c) in enumerate(zip(day, carrier, strict=True))
    ]
    departs = day + pd.to_timedelta(12 * 60 + 10 * (np.arange(count) % a_day % 60), unit="min")
    requests = pd.DataFrame(
        {
            "request_id": [f"r{n}" for n in range(count)],
            "flight": names,
            "version": "1",
            "release": "0" * 64,
            "predict_at": departs - pd.Timedelta(hours=2),
            "sched_dep_utc": departs,
            "block_minutes": 120.0,
            "risk": risk,
            "system_dep_late_3h": rng.uniform(0, 0.8, count),
            "aircraft_airborne": np.where(rng.random(count) < 0.5, np.nan, 0.0),
        }
    )
    agree = rng.random(count) < 0.9
    flag = np.where(agree, late, 1 - late)
    return requests, pd.DataFrame({"flight": names, "late": late, "dep_late": flag})


def labels_of(requests: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """The daily files of those flights: late ones known at their deadline, others half an hour
    before."""
    day = pd.to_datetime(requests["flight"].str[:10], utc=True)
    deadline = requests["sched_dep_utc"] + pd.Timedelta(minutes=135)
    early = pd.to_timedelta(np.where(outcomes["late"] == 1, 0, 30), unit="min")
    return pd.DataFrame(
        {
            "flight": requests["flight"],
            "late": outcomes["late"].to_numpy(),
            "known_at": deadline - early,
            "arrived_at": day + LABELS_COMPLETE,
            "revision": 0,
        }
    )


def flags_of(requests: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """The departure-late flags, each as it is known."""
    known = requests["sched_dep_utc"] + pd.Timedelta(minutes=15)
    flag = outcomes["dep_late"].to_numpy()
    return pd.DataFrame({"flight": requests["flight"], "dep_late": flag, "arrived_at": known})


def folded_slowly(table: pd.DataFrame) -> tuple[dict[str, tuple[int, int]], set[str]]:
    """The fold as a loop over events: flight -> (label, revision), and flights in conflict."""
    said: dict[str, dict[int, set[tuple[int, pd.Timestamp]]]] = {}
    for row in table[LABEL_COLUMNS].itertuples():
        said.setdefault(row.flight, {}).setdefault(row.revision, set()).add(
            (row.late, row.known_at)
        )
    final, split = {}, set()
    for flight, revisions in said.items():
        top = max(revisions)
        if len(revisions[top]) > 1:
            split.add(flight)
        else:
            final[flight] = (next(iter(revisions[top]))[0], top)
    return final, split


def random_events(count: int, seed: int) -> pd.DataFrame:
    """So many events: first labels, corrections of corrections, some told again, some at odds."""
    rng = np.random.default_rng(seed)
    flights = max(1, int(count * 0.7))
    number = np.concatenate([np.arange(flights), rng.integers(0, flights, count - flights)])
    revision = np.concatenate([np.zeros(flights, int), rng.integers(0, 4, count - flights)])
    day = pd.Timestamp("2013-04-01", tz="UTC") + pd.to_timedelta(number % 30, unit="D")
    known = day + pd.Timedelta(hours=20)
    late = (number * 7 + revision * 3) % 2
    odd = rng.random(count) < 0.01
    frame = pd.DataFrame(
        {
            "flight": [f"2013-04-{1 + n % 30:02d}/UA/{n // 30}/EWR" for n in number],
            "late": np.where(odd, 1 - late, late).astype("int8"),
            "known_at": known,
            "arrived_at": known + pd.to_timedelta(rng.integers(0, 5000, count), unit="min"),
            "revision": revision,
        }
    )
    again = frame.sample(count // 10, random_state=seed)
    return pd.concat([frame, again], ignore_index=True).iloc[:count]
