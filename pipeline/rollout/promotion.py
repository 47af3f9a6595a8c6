"""The registry's aliases after a rollout: they follow the ledger, and are mended from it."""

from pipeline.shared import ledger, lineage, tracking
from pipeline.shared.config import RegisterConfig, load
from pipeline.shared.ledger import WHOLE, Entry, Side
from pipeline.shared.tracking import CHAMPION


def point_at(side: Side, before: Side, rollout: str) -> None:
    """Make a side's version the champion, and write down which rollout did."""
    registry = load(RegisterConfig)
    champion = tracking.aliased(registry, CHAMPION)
    if champion is not None and champion.number == side.version:
        return
    tracking.set_alias(registry, CHAMPION, side.version)
    words = {"by": f"{rollout} for {lineage.who()}", "release": side.release[:12]}
    version = tracking.named(registry, side.version)
    tracking.approve(registry, version, {**words, "before": f"version {before.version}"})


def mended(known: list[Entry]) -> None:
    """Bring the alias to where the ledger says: somebody may have been killed in between.

    All traffic at a challenger makes no champion of it while blue and green are still switched.
    """
    if not known or known[-1].move.event in ("switched", "switched back"):
        return
    move = known[-1].move
    serves = ledger.serving_most(move)
    if move.shares in ({"champion": WHOLE}, {"challenger": WHOLE}):
        other = move.champion if serves is not move.champion else move.challenger or serves
        point_at(serves, other, move.rollout)
