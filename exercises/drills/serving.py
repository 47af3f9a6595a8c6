"""Faults in serving: the online store gives other values than training would have read."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from exercises.drill import FLIGHTS, Drill, Outcome, replace_once, run_stages
from exercises.drills.release import ran
from pipeline.features.definitions import LABEL, PROXY, ROLLING
from pipeline.usecase.chosen import USECASE

REPLAY, STORE = "simulation/feed.py", "pipeline/features/online_store.py"
READ = "        behind = np.array(request["
"""What the store does once it has the values."""
DAYS = ["--day=2013-02-14"] if USECASE.name == FLIGHTS else []
"""A day of the scratch copy's second month; any other would do, as the last that has arrived."""
STAGE, ASKED = "simulation/served_day.py", "    asked = requests_of(events, config, days)\n"
MORNING = 500
"""Flights that are served, the first of the day: what is wrong for a day is wrong by noon."""
RIGHT = "    views = windows.views(events, context, config)\n"
WRONG = (
    "    from pipeline.serve.skew import known_when_scheduled\n\n"
    "    known = known_when_scheduled(events)\n"
    "    views = windows.views(events, context, config, known)\n"
)


def _served(folder: Path, *edits: tuple[str, str, str]) -> list[str]:
    """A champion is registered; then its serving is broken, and a morning is served."""
    ran(folder, "register")
    first = f'.sort_values("predict_at", kind="stable")[:{MORNING}]\n'
    replace_once(folder / STAGE, ASKED, ASKED.replace("\n", first))
    for name, old, new in edits:
        replace_once(folder / name, old, new)
    return ["skew", *DAYS]


def _six_hours_behind(folder: Path) -> list[str]:
    """What brings rows online works on the tables of six hours ago, and says that all is well."""
    behind = "instant(now - 360)"
    return _served(
        folder,
        (
            REPLAY,
            "    store.materialize(VIEWS, instant(now) - span, instant(now))\n",
            f"    store.materialize(VIEWS, {behind} - span, {behind})\n"
            "    store.complete(VIEWS, instant(now))\n",
        ),
        (REPLAY, "_push(store, feed, now, mark)", "_push(store, feed, now - 360, mark - 360)"),
        (REPLAY, "_push(store, feed, now, minute)", "_push(store, feed, now - 360, minute - 360)"),
        (REPLAY, "feed.within(now,", "feed.within(now - 360,"),
    )


def _percent(folder: Path) -> list[str]:
    shares = [rolling.name for rolling in ROLLING if rolling.value in (LABEL, PROXY)]
    times = f"        values |= {{n: values[n] * 100 for n in {shares}}}\n"
    return _served(folder, (STORE, READ, times + READ))


def _zero(folder: Path) -> list[str]:
    filled = (
        "        values |= {n: np.nan_to_num(v) for n, v in values.items() if v.dtype == 'f4'}\n"
    )
    return _served(folder, (STORE, READ, filled + READ))


def _utc(folder: Path) -> list[str]:
    old = "windows.requests(events, config)"
    return _served(
        folder, ("pipeline/serve/schedule.py", old, 'windows.requests(events, config, "UTC")')
    )


def _not_landed(folder: Path) -> list[str]:
    """A second implementation of the rolling rows, for serving, knows an outcome too soon.

    Training keeps the table that it has; the rows that the store serves from are made anew.
    """
    told = _served(folder, (REPLAY, RIGHT, WRONG))
    stage = folder / "pipeline/features/build.py"
    right = stage.read_text(encoding="utf-8")
    replace_once(stage, RIGHT, WRONG)
    replace_once(stage, "    write_parquet(ROWS, frame)\n", "")
    replace_once(stage, "    require_point_in_time(frame)\n", "")
    if run_stages(folder, ["features"]).code:
        raise SystemExit("the drill's own features did not pass: run `make run` first")
    stage.write_text(right, encoding="utf-8")
    return told


def _stopped(folder: Path) -> list[str]:
    """Nothing is pushed or materialized after the morning, and nothing claims to be."""
    old = "            _push(store, feed, now, mark)\n            now = mark\n"
    stop = "            if mark % 1440 >= 840:\n                continue\n"
    return _served(folder, (REPLAY, old, f"{stop}{old}"))


def _older_after_newer(folder: Path) -> list[str]:
    """Each batch of rows is delivered again after the next one, as a retried queue does."""
    old = "            store.push(view, new)\n"
    again = "            store.push(view, new.assign(available_at=new['available_at'] - 60))\n"
    return _served(folder, (REPLAY, old, old + again))


def _named(mistake: str) -> Callable[[Path, Outcome], str]:
    def caught(_: Path, outcome: Outcome) -> str:
        told = re.search(r"SkewFound: (.+ differ; it looks like: (.+))\n", outcome.words)
        loss = re.search(r"^ROC AUC .+ without", outcome.words, re.MULTILINE)
        if outcome.code != 1 or told is None or loss is None or told[2] != mistake:
            return ""
        return f"{told[1]}; {loss[0]}"

    return caught


def _left(folder: Path, outcome: Outcome) -> str:
    """No value differs, and the rows that came too late were counted."""
    if outcome.code or " 0 of " not in outcome.words:
        return ""
    late = json.loads((folder / "data/serve/served.json").read_text())["late"]
    return f"{late:,} older rows were left and counted; no value differs" if late else ""


SKEW = "serve.skew.mismatches, which names the mistake, before anybody looks at a metric"
DRILLS = [
    Drill(
        slug="stale-feed",
        stage="serve",
        fault="rows come online six hours late, and the job that brings them reports success",
        guard=SKEW,
        inject=_six_hours_behind,
        caught=_named("stale by 6 h"),
    ),
    Drill(
        slug="percent",
        stage="serve",
        fault="shares are served in percent, and were trained as fractions",
        guard=SKEW,
        inject=_percent,
        caught=_named("percent for fraction"),
    ),
    Drill(
        slug="zero-for-missing",
        stage="serve",
        fault="a client fills missing values with zero",
        guard=SKEW,
        inject=_zero,
        caught=_named("zero for missing"),
    ),
    Drill(
        slug="utc-for-local",
        stage="serve",
        fault="the server tells the scheduled hour in UTC, training in New York's time",
        guard=SKEW,
        inject=_utc,
        caught=_named("UTC for local time"),
    ),
    Drill(
        slug="not-landed",
        stage="serve",
        fault="a second implementation for serving counts flights that have not landed yet",
        guard=SKEW,
        inject=_not_landed,
        caught=_named(USECASE.unfinished),
    ),
    Drill(
        slug="stopped-feed",
        stage="serve",
        fault="nothing comes online any more after ten in the morning",
        guard="features.online_store.Store.read: what fell behind is withheld, flagged and counted",
        inject=_stopped,
        caught=_named("withheld as stale"),
    ),
    Drill(
        slug="older-push",
        stage="serve",
        fault="a queue delivers older rows again after newer ones",
        guard="features.online_store.Store.push: an older row never replaces a newer one",
        inject=_older_after_newer,
        caught=_left,
    ),
]
