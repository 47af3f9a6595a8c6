"""The lineage report of a version: its five parts, data, verdict and approvals.

Everything on it is read from the sealed release, which includes the model card.
"""

import re
from pathlib import Path

from pipeline.records import rollout_ledger as ledger
from pipeline.records.rollout_ledger import Move
from pipeline.registry import champions, release, release_consistency
from pipeline.registry import versions as tracking
from pipeline.registry.release import Release
from pipeline.registry.versions import Version
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.contracts import OVERALL, REPRODUCE, checks_of
from pipeline.shared.files import read_json, write_text
from pipeline.shared.pages import render
from pipeline.usecase.chosen import USECASE


def lineage(version: str = tracking.CHAMPION) -> str:
    """Write a version's lineage report and model card after checking that its release is intact."""
    registry = load(RegisterConfig)
    registered = champions.resolve_version(registry, version)
    sealed, folder, _ = release_consistency.fetch(registry, registered)
    name = f"{registry.model_name} version {registered.number}"
    path = REPRODUCE / f"lineage-{registered.number}.md"
    card = REPRODUCE / f"card-{registered.number}.md"
    write_text(card, (folder / release.CARD).read_text(encoding="utf-8"))
    write_text(path, lineage_report(name, registered, sealed, folder, card.name))
    given = tracking.approvals(registered)
    judged = "; ".join(f"champion by {a['by']} at {a['at']}" for a in given) or "never champion"
    return (
        f"{name}: commit {sealed.commit[:12]}, data {sealed.data[:12]}, model {sealed.model[:12]}, "
        f"features {sealed.features}, config {sealed.config[:12]}; {judged} -> {path}, {card}"
    )


def lineage_report(name: str, registered: Version, sealed: Release, folder: Path, card: str) -> str:
    """Render the report as Markdown: the five parts, a graph, the data, verdict and approvals."""
    training, verdict, manifest = (
        read_json(folder / part, "register")
        for part in (release.TRAINING, release.VERDICT, release.MANIFEST)
    )
    checks = checks_of(verdict)
    return render(
        "reproduce/lineage_report.md",
        noun=USECASE.noun,
        name=name,
        registered=registered,
        sealed=sealed,
        environment=sealed.papers[str(release.ENVIRONMENT)],
        card=card,
        training=training,
        verdict=verdict,
        manifest=manifest,
        blocking=[check for check in checks if check.blocking],
        overall=[check for check in checks if check.kind in OVERALL],
        approvals=tracking.approvals(registered),
        moves=ledger.moves_of(registered.tag("release")),
        label=_label,
        shares=_shares,
    )


def _label(text: str) -> str:
    """Escape a text so that it cannot end its box in the graph."""
    return re.sub(r"[^\w .,:+-]", "_", text)


def _shares(move: Move) -> str:
    """The traffic split after a transition of the ledger."""
    return ", ".join(f"{arm} {share / 100:g}%" for arm, share in move.shares.items() if share)
