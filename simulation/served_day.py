"""Days served through the online store as time passes, and compared with training's features."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from pipeline.features.build import read_accepted
from pipeline.features.definitions import (
    KNOWN_AT,
    LABEL,
    NUMERIC,
    REQUEST_KEY,
    VIEWS,
    service_version,
)
from pipeline.features.feature_table import ROWS
from pipeline.features.online_store import LATE, MISSING, REPLAY, STALE, Store, open_store
from pipeline.registry import versions
from pipeline.registry.model import Model
from pipeline.serve.schedule import champion_of, midnight_after, requests_of
from pipeline.serve.skew import Damage, Mismatch, Raw, damage, describe, mismatches
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.sections import Sha256
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.contracts import SERVE, Record, read_record
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered, SkewFound
from pipeline.shared.files import (
    file_hash,
    members,
    read_parquet,
    text_hash,
    write_json,
    write_parquet,
)
from pipeline.usecase.chosen import USECASE
from simulation.feed import feed_of, replay_requests

VECTORS, SERVED, SKEW = (SERVE / name for name in ("served.parquet", "served.json", "skew.json"))
_CODE = [Path(__file__).parents[1] / top for top in ("pipeline", "simulation")]
OFFLINE_ROWS = 3_000
"""Requests per call of the store's offline join, which pairs each with every row of a lifetime."""


class ServedDays(Record):
    """The summary of served days: model, feature service, and how often a view lacked values.

    `flags` counts, per view, the requests with stale or missing values, `late` the pushed rows that
    were older than the stored ones.
    """

    days: str
    champion: Sha256
    feature_service: str
    online_store: str
    rows: int
    flags: dict[str, dict[str, int]]
    late: int
    inputs: dict[str, str]


class SkewReport(Record):
    """The differences of a replay to the offline store and to the training table."""

    days: str
    rows: int
    features: int
    mismatches: list[Mismatch]
    offline_differs: int
    damage: Damage


def run(day: str | None = None) -> str:
    """Serve the requests of a day or a month as time passes, and log every served vector.

    Raises:
        DayUnknown: it is neither, or has not arrived.
        RegistryRefused: there is no champion to serve with.
        ReleaseRefused: the champion was trained with another feature service.
    """
    USECASE.require_event_time()
    config = load(FeaturesConfig)
    served = _replay(day, config, *champion_of(config))
    lacking = [
        f"{view} {counts[MISSING] / served.rows:.0%}"
        for view, counts in served.flags.items()
        if counts[MISSING]
    ]
    stale = sum(counts[STALE] for counts in served.flags.values())
    return (
        f"{served.days}: {served.rows:,} {USECASE.noun}, each read at its T from "
        f"{served.online_store}, scored by {served.champion[:12]}; nothing recent known: "
        f"{', '.join(lacking) or 'never'}; withheld as stale: {stale}; "
        f"older rows left: {served.late} -> {VECTORS}"
    )


def skew(day: str | None = None) -> str:
    """Serve a day or a month, and compare every value with training's.

    Raises:
        SkewFound: some value differs; names the features and the likely mistake.
    """
    USECASE.require_event_time()
    config = load(FeaturesConfig)
    champion, model = champion_of(config)
    inputs = _inputs(config, champion)
    served = _reusable(day, inputs) or _replay(day, config, champion, model)
    vectors = read_parquet(VECTORS, "serve")
    trained = _training_rows(vectors)
    with open_store(config, load(ServeConfig), project=REPLAY) as store:
        offline = _offline_rows(store, trained)
    skew = SkewReport(
        days=served.days,
        rows=len(trained),
        features=len(NUMERIC),
        mismatches=mismatches(vectors, trained, Raw(*read_accepted(), config)),
        offline_differs=_count_differing(offline, trained),
        damage=damage(
            trained[LABEL].to_numpy(), vectors["risk"].to_numpy(), model.predict(trained)
        ),
    )
    write_json(SKEW, skew.model_dump())
    return _verdict(skew)


def _replay(
    day: str | None, config: FeaturesConfig, champion: versions.Version, model: Model
) -> ServedDays:
    serve = load(ServeConfig)
    events, context = read_accepted()
    days = str(midnight_after(events).date() - pd.Timedelta(days=1)) if day is None else day
    asked = requests_of(events, config, days)
    feed = feed_of(events, context, config)
    with open_store(config, serve, project=REPLAY, empty=True) as store:
        vectors = replay_requests(store, asked, feed, config, _progress())
        late = sum(count for (_, reason), count in store.counts.items() if reason == LATE)
    vectors = vectors.assign(risk=model.predict(vectors))
    served = ServedDays(
        days=days,
        champion=champion.digest,
        feature_service=service_version(config.model_dump()),
        online_store=str(serve.online_url).partition(":")[0],
        rows=len(vectors),
        flags={view: _counts(vectors[f"{view}_flag"]) for view in VIEWS},
        late=late,
        inputs=_inputs(config, champion),
    )
    SERVED.unlink(missing_ok=True)  # no record is better than one of other vectors
    write_parquet(VECTORS, vectors.reset_index(drop=True))
    write_json(SERVED, served.model_dump())
    return served


def _reusable(day: str | None, inputs: dict[str, str]) -> ServedDays | None:
    """The last served days, if they are of this day and of the same inputs; else None."""
    try:
        served = read_record(ServedDays, SERVED, "serve")
    except (ArtifactMissing, ArtifactTampered):
        return None
    stands = served.inputs == inputs and day in (None, served.days) and VECTORS.is_file()
    return served if stands else None


def _inputs(config: FeaturesConfig, champion: versions.Version) -> dict[str, str]:
    """Digests of all inputs of the served vectors, the code included, so that a change shows."""
    code = [path for top in _CODE for path in members(top, "**/*.py")]
    settings = config.model_dump_json() + load(ServeConfig).model_dump_json()
    return {
        "rows": file_hash(ROWS),
        "settings": text_hash(settings),
        "champion": champion.digest,
        "code": text_hash("".join(file_hash(path) for path in code)),
    }


def _counts(flags: pd.Series) -> dict[str, int]:
    return {reason: int((flags == reason).sum()) for reason in (MISSING, STALE)}


def _training_rows(vectors: pd.DataFrame) -> pd.DataFrame:
    """The training table's rows of the same requests, in their order."""
    rows = read_parquet(ROWS, "features")
    return vectors[REQUEST_KEY].merge(rows, "left", REQUEST_KEY, validate="one_to_one")


def _offline_rows(store: Store, asked: pd.DataFrame) -> pd.DataFrame:
    """The same requests from the store's offline join, in pieces of OFFLINE_ROWS."""
    pieces = range(0, len(asked), OFFLINE_ROWS)
    return pd.concat([store.historical(asked[at : at + OFFLINE_ROWS]) for at in pieces])


def _count_differing(offline: pd.DataFrame, trained: pd.DataFrame) -> int:
    """Count the requests with another value, or another instant, in one table than in the other."""
    names = [*NUMERIC, *KNOWN_AT]
    same = (offline[names] == trained[names]) | (offline[names].isna() & trained[names].isna())
    return int((~same.all(axis=1)).sum())


def _verdict(skew: SkewReport) -> str:
    compared = f"{skew.days}: {{}} of {skew.rows:,} {USECASE.noun} x {skew.features} features"
    if not skew.mismatches and not skew.offline_differs:
        return (
            f"{compared.format(0)} differ between online, offline store and training table; ROC "
            f"AUC {skew.damage.roc_auc[0]:.4f}, log loss {skew.damage.log_loss[0]:.4f} -> {SKEW}"
        )
    worst = max((m.differ for m in skew.mismatches), default=skew.offline_differs)
    (auc, honest_auc), (loss, honest_loss) = skew.damage.roc_auc, skew.damage.log_loss
    mistakes = sorted({m.mistake for m in skew.mismatches}) or ["offline store against training"]
    raise SkewFound(
        f"{compared.format(f'{worst:,}')} differ; it looks like: {', '.join(mistakes)}\n"
        f"{describe(skew.mismatches, skew.rows)}\n"
        f"ROC AUC {auc:.4f}, {honest_auc:.4f} without; log loss {loss:.4f}, {honest_loss:.4f} "
        f"without -> {SKEW}; look at simulation/feed.py and `make answer Q=skew`"
    )


def _progress() -> Callable[[str], None]:
    """Print a replay's position to stderr, at most every two seconds."""
    last = time.monotonic()

    def say(instant: str) -> None:
        nonlocal last
        if time.monotonic() - last > 2:
            last = time.monotonic()
            sys.stderr.write(f"serve: {instant}\n")

    return say
