"""One rollout: champion, challenger, plan and start; its transitions go through the ledger.

A transition is written before the traffic changes, so after a kill in between the ledger says where
the traffic belongs; a share only ever grows on evidence that is on disk.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.windows import ZONE, instant, minutes
from pipeline.records import rollout_ledger
from pipeline.records.rollout_ledger import WHOLE, Entry, Move, Side
from pipeline.registry import champions, versions
from pipeline.registry.release_loader import LoadedRelease, export, load_release, warm_up_failure
from pipeline.registry.versions import CHALLENGER, Version
from pipeline.rollout.analysis.decision import Decision, plan_hash
from pipeline.rollout.traffic import envoy
from pipeline.rollout.traffic.routes import Route
from pipeline.shared import clock, lineage
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.rollout import RolloutConfig
from pipeline.shared.contracts import ROLLOUT
from pipeline.shared.errors import RegistryRefused, ReleaseRefused, RolloutRefused
from pipeline.shared.files import file_hash, text_hash, write_json, write_parquet
from pipeline.shared.processes import Patience
from pipeline.shared.watcher import hold

_LOCK = rollout_ledger.LEDGER.with_name("controller.lock")
TRAFFIC = rollout_ledger.LEDGER.with_name("traffic.lock")
FAILED_EVENTS = {"rolled back", "shadow failed"}
PASSED_EVENTS = {"shadow passed", "promoted", "baked"}
ALL_CHAMPION, ALL_CHALLENGER = {"champion": WHOLE}, {"challenger": WHOLE}
_EVIDENCE, _PLAN = "evidence-{:02}.parquet", "plan.json"


def _model_risks(release: LoadedRelease, rows: pd.DataFrame) -> np.ndarray:
    return release.model.predict(rows)


@dataclass(frozen=True)
class Injection:
    """A wrapper that a demonstration puts around the challenger's predictor; none by default.

    `wrapper` is the import path of the predictor's wrapper in its server, `risks` the predictions
    of such a server. A fault `of_the_model` is one that a model could have learned: the shadow
    takes it for the model's own.
    """

    name: str = ""
    wrapper: str = ""
    risks: Callable[[LoadedRelease, pd.DataFrame], np.ndarray] = _model_risks
    of_the_model: bool = False


NO_INJECTION = Injection()


@dataclass(frozen=True)
class Rollout:
    """The constants of one rollout; `first` is a midnight in the use case's zone.

    `salt` is hashed with each event's name, new for each rollout and recorded in the ledger.
    `ledger_length` is the number of transitions in the ledger when it began or resumed.
    """

    name: str
    champion: Side
    challenger: Side
    plan: RolloutConfig
    first: pd.Timestamp
    salt: str
    ledger_length: int = 0
    injection: Injection = NO_INJECTION

    @property
    def folder(self) -> Path:
        """The folder of its evidence."""
        return ROLLOUT / self.name

    @property
    def title(self) -> str:
        """Its name, with a note if the champion is only compared with itself."""
        if self.challenger.name != self.champion.name:
            return self.name
        return f"{self.name} (no challenger is registered: the champion beside itself)"

    def route(self, shares: dict[str, int], mirrored: bool = False) -> Route:
        """The route with these shares."""
        return Route(shares, self.salt, mirrored)

    def move(self, event: str, minute: int, shares: dict[str, int], **details: Any) -> Entry:
        """Write a transition into the ledger."""
        move = {
            "at": instant(minute).to_pydatetime(),
            "event": event,
            "rollout": self.name,
            "champion": self.champion,
            "challenger": self.challenger,
            "shares": shares,
            "salt": self.salt,
            "first": self.first.to_pydatetime(),
            "plan": plan_hash(self.plan),
            "by": f"{self.name.partition('-')[2]} for {lineage.actor()}",
        }
        return rollout_ledger.append(Move.model_validate(move | details))

    def save_evidence(self, observed: pd.DataFrame, decision: Decision) -> dict[str, Any]:
        """Write the evidence of a decision to disk; returns the fields for its transition."""
        path = self.folder / _EVIDENCE.format(len(list(self.folder.glob("evidence-*"))) + 1)
        write_parquet(path, observed)
        write_json(self.folder / _PLAN, self.plan.model_dump(mode="json"))
        return {"evidence": {path.name: file_hash(path)}, "decision": decision.model_dump()}


@contextlib.contextmanager
def hold_rollout() -> Iterator[None]:
    """Hold the lock of the one rollout in progress.

    Raises:
        RolloutRefused: another command holds it.
    """
    with hold(_LOCK) as mine:
        if mine is None:
            raise RolloutRefused(
                f"another rollout is going on, 1 at a time is allowed ({_LOCK} is held); wait for "
                "it, or end it with `make rollback`"
            )
        yield


@contextlib.contextmanager
def hold_traffic(seconds: float = 20.0) -> Iterator[bool]:
    """Hold the lock on ledger, traffic and alias; yields False if it is not free in time.

    It stands between controller and rollback: without it the controller could write a transition
    that the rollback is about to undo.
    """
    patience = Patience(seconds)
    while True:
        with hold(TRAFFIC) as mine:
            if mine is not None or patience.over():
                yield mine is not None
                return
        time.sleep(0.01)


def begin(
    kind: str,
    injection: Injection = NO_INJECTION,
    force: bool = False,
    draw: str = "",
    fast_track: bool = False,
) -> tuple[Rollout, list[Entry]]:
    """Begin a rollout of this kind, or resume the interrupted one with its transitions.

    The challenger's events are drawn at random, or follow from `draw` where a replay has to assign
    the same events again. With `fast_track` a canary has the plan's shorter steps.

    Raises:
        EnvironmentUnfit: there is no Envoy here.
        RegistryRefused: there is no champion.
        RolloutRefused: another is unfinished, or this challenger was rolled back before.
    """
    envoy.binary()
    plan, known = load(RolloutConfig), rollout_ledger.entries()
    plan = plan.on_fast_track() if fast_track else plan
    champion, challenger = sides(injection.name)
    if known and rollout_ledger.is_unfinished(known[-1].move):
        return _resume(kind, plan, challenger, known, injection)
    if not force:
        _require_not_rolled_back(challenger, known)
    for side in (champion, challenger):
        require_servable(side)
    name = f"{rollout_ledger.count_rollouts() + 1:04}-{kind}"
    first = midnight_from(_earliest_start(plan, known))
    salt = text_hash(f"{draw} {name} {challenger.name}")[:12] if draw else secrets.token_hex(6)
    rollout = Rollout(name, champion, challenger, plan, first, salt, len(known), injection)
    return rollout, []


def _resume(
    kind: str,
    plan: RolloutConfig,
    challenger: Side,
    known: list[Entry],
    injection: Injection,
) -> tuple[Rollout, list[Entry]]:
    last = known[-1].move
    mine = [entry for entry in known if entry.move.rollout == last.rollout]
    # After a promotion the registry's challenger is another one, or none.
    promoted = rollout_ledger.champion(last) == last.challenger
    same = last.challenger is not None and (promoted or last.challenger.name == challenger.name)
    if last.rollout.partition("-")[2] != kind or not same or last.challenger is None:
        raise RolloutRefused(
            f"{last.rollout} of {last.challenger.label if last.challenger else 'nobody'} is "
            f"unfinished at {last.event!r}, this would be a {kind} of {challenger.label}: go on "
            "with the former as it was called, or end it with `make rollback`"
        )
    if last.plan != plan_hash(plan):
        raise RolloutRefused(
            f"{last.rollout} was begun with plan {(last.plan or '')[:12]}, configs/rollout.yaml "
            f"is now {plan_hash(plan)[:12]}: bring it back, or end the rollout with `make rollback`"
        )
    first = pd.Timestamp(mine[0].move.first or mine[0].move.at)
    salt, length = last.salt, len(known)
    return Rollout(
        last.rollout, last.champion, last.challenger, plan, first, salt, length, injection
    ), mine


def sides(bad: str = "") -> tuple[Side, Side]:
    """The registry's champion and challenger; without a challenger, the champion twice."""
    registry = load(RegisterConfig)
    champion = champions.repair_alias(registry)
    if champion is None:
        raise RegistryRefused(
            f"{registry.model_name} has 0 champions, 1 is needed for a rollout: `make champion`"
        )
    challenger = versions.version_of_alias(registry, CHALLENGER)
    if challenger is None or _judged_against_another(challenger, champion):
        challenger = champion
    return export_side(champion), export_side(challenger, bad)


def _judged_against_another(challenger: Version, champion: Version) -> bool:
    """Whether a version's verdict is about another champion, so that it may not be promoted."""
    return challenger.tags.get("compared_with", "") != champion.digest


def export_side(version: Version, fault: str = "") -> Side:
    """Export a version's release for the servers; returns it as a side of a rollout."""
    release = export(version.number)
    return Side(
        version=version.number,
        release=release,
        features=version.tag("feature_service"),
        fault=fault,
    )


def require_servable(side: Side) -> None:
    """Refuse a version that does not load from its release, or predicts something else.

    Raises:
        ArtifactTampered: a file of the release has another digest than its manifest.
        ReleaseRefused: it has other features than this checkout, or other predictions.
    """
    if why := warm_up_failure(load_release(side.release)):
        raise ReleaseRefused(f"{side.label} cannot be served: {why}; see `make rollout`")


def _require_not_rolled_back(challenger: Side, known: list[Entry]) -> None:
    """Refuse a challenger whose last rollout failed; FORCE=1 and a pass after it lift that."""
    mine = [e for e in known if e.move.challenger and e.move.challenger.name == challenger.name]
    last = next((e for e in reversed(mine) if e.move.event in FAILED_EVENTS | PASSED_EVENTS), None)
    if last is not None and last.move.event in FAILED_EVENTS:
        raise RolloutRefused(
            f"{challenger.label} was {last.move.event} in {last.move.rollout} at "
            f"{last.move.at:%Y-%m-%d %H:%M}Z (entry {last.number} of {len(known)}): FORCE=1 tries "
            "the same again; after a change of its config `make champion` trains another"
        )


def _earliest_start(plan: RolloutConfig, known: list[Entry]) -> pd.Timestamp:
    """The earliest start of a rollout: now, or after the cooldown that follows a rollback."""
    rested = pd.Timedelta(days=plan.canary.cooldown_days)
    fell = [pd.Timestamp(e.move.at) + rested for e in known if e.move.event in FAILED_EVENTS]
    stands = rollout_ledger.now(clock.arrived_at(load(IngestConfig).as_of))
    return max([pd.Timestamp(stands), *fell])


def minute_of(at: datetime) -> int:
    """An instant in whole minutes since EPOCH, the unit of the features."""
    return int(minutes(pd.Series([pd.Timestamp(at)]))[0])


def midnight_from(at: pd.Timestamp) -> pd.Timestamp:
    """The first midnight in the use case's zone that is not before an instant, as UTC."""
    local = at.tz_convert(ZONE)
    midnight = local.normalize()
    later = midnight if midnight == local else midnight + pd.DateOffset(days=1)
    return pd.Timestamp(later).tz_convert("UTC")
