"""Where a version comes from, as a page that people read: its five parts, data, verdict, approvals.

Everything on it is read from the sealed release; the model card beside it was sealed with it.
"""

import re
from pathlib import Path
from typing import Any

from pipeline.shared import champions, ledger, release, tracking
from pipeline.shared.config import RegisterConfig, load
from pipeline.shared.contracts import COMPARISONS, REPRODUCE, Kind, checks_of
from pipeline.shared.files import read_json, write_text
from pipeline.shared.markdown import cell, table
from pipeline.shared.release import Release
from pipeline.shared.tracking import Version


def lineage(version: str = tracking.CHAMPION) -> str:
    """Write the page of a version and its model card, once its record is known to be whole."""
    registry = load(RegisterConfig)
    registered = champions.named(registry, version)
    sealed, papers, _ = release.fetch(registry, registered)
    name = f"{registry.model_name} version {registered.number}"
    path = REPRODUCE / f"lineage-{registered.number}.md"
    card = REPRODUCE / f"card-{registered.number}.md"
    write_text(card, (papers / release.CARD).read_text(encoding="utf-8"))
    write_text(path, page(name, registered, sealed, papers, card.name))
    given = tracking.approvals(registered)
    judged = "; ".join(f"champion by {a['by']} at {a['at']}" for a in given) or "never champion"
    return (
        f"{name}: commit {sealed.commit[:12]}, data {sealed.data[:12]}, model {sealed.model[:12]}, "
        f"features {sealed.features}, config {sealed.config[:12]}; {judged} -> {path}, {card}"
    )


def page(name: str, registered: Version, sealed: Release, papers: Path, card: str) -> str:
    """The page as Markdown: the five parts, a graph, the data, the verdict, the approvals."""
    training, verdict, manifest = (
        read_json(papers / part, "register")
        for part in (release.TRAINING, release.VERDICT, release.MANIFEST)
    )
    return "\n".join(
        [
            f"# Lineage of {name}\n",
            f"Release `{registered.tag('release')}`, sealed with {len(sealed.papers)} papers. "
            f"`make reproduce VERSION={registered.number}` rebuilds it. [Model card]({card})\n",
            _graph(sealed, training, verdict),
            _parts(sealed, training),
            _data(manifest),
            _judged(verdict),
            _approved(registered),
            _rolled_out(registered),
        ]
    )


def _graph(sealed: Release, training: dict[str, Any], verdict: dict[str, Any]) -> str:
    opponent = f"champion {verdict['champion'][:12]}" if verdict["champion"] else "no champion yet"
    tree = "patched" if sealed.patch else "clean"
    installed = sealed.papers[str(release.ENVIRONMENT)]
    return f"""```mermaid
flowchart LR
  commit["commit {_label(sealed.commit[:12])}<br/>{tree}"] --> features
  commit --> model
  data["data {sealed.data[:12]}"] --> features
  config["config {sealed.config[:12]}"] --> features
  config --> model
  features["{_label(sealed.features)}"] --> model
  environment["Python {_label(sealed.python)}<br/>{installed[:12]}"] --> model
  model["model {sealed.model[:12]}<br/>{training["rows"]:,} flights"] --> verdict
  opponent["{_label(opponent)}"] --> verdict
  verdict["verdict: {"passed" if verdict["passed"] else "refused"}"] --> release
```
"""


def _label(text: str) -> str:
    """A text that cannot end the box of the graph in which it stands."""
    return re.sub(r"[^\w .,:+-]", "_", text)


def _parts(sealed: Release, training: dict[str, Any]) -> str:
    patched = f"patch {sealed.patch}" if sealed.patch else "the tree was clean"
    ran = f"seed {training['seed']}, {training['threads']} thread(s)"
    rows = [
        ("commit", sealed.commit, patched),
        ("data", sealed.data, "content of every snapshot below"),
        ("model", sealed.model, f"ONNX; {len(training['features'])} inputs"),
        ("feature service", sealed.features, "what each feature means"),
        ("config", sealed.config, "configs of the stages that made it"),
        ("environment", sealed.papers[str(release.ENVIRONMENT)], f"Python {sealed.python}"),
        ("training", training["window"], ran),
        ("machine", sealed.machine, "where it was registered"),
    ]
    return "## Parts\n\n" + table(["part", "version", "what"], rows) + "\n"


def _data(manifest: dict[str, Any]) -> str:
    rows = [
        (s["table"], s["month"], f"{s['rows']:,}", s["first"], s["last"], s["content_hash"][:12])
        for s in manifest["snapshots"]
    ]
    head = ["table", "month", "rows", "first", "last", "content"]
    return f"## Data\n\nFrom {cell(manifest['source'])}, arrived to {manifest['as_of']}.\n\n" + (
        table(head, rows) + "\n"
    )


def _judged(verdict: dict[str, Any]) -> str:
    checks = checks_of(verdict)
    blocking = [check for check in checks if check.blocking]
    overall = [check for check in checks if check.kind in (*COMPARISONS, Kind.REFIT)]
    rows = [(check.name, check.detail) for check in overall]
    passed = f"{sum(c.passed for c in blocking)} of {len(blocking)} blocking checks passed"
    on = f"{verdict['rows']:,} flights of {verdict['days']} days ({verdict['window']})"
    return f"## Verdict\n\n{passed} on {on}.\n\n" + (
        table(["check", "difference of log loss"], rows) + "\n"
    )


def _approved(registered: Version) -> str:
    rows = [(a["at"], a["by"], a["before"], a["release"]) for a in tracking.approvals(registered)]
    told = table(["made champion at", "by", "before it", "release"], rows) if rows else "None yet."
    return f"## Approvals\n\n{told}\n"


def _rolled_out(registered: Version) -> str:
    """The transitions of the ledger in which the version had a part, as champion or challenger."""
    rows = [
        (
            f"{move.at:%Y-%m-%d %H:%M}Z",
            move.rollout,
            move.event,
            ", ".join(f"{arm} {share / 100:g}%" for arm, share in move.shares.items() if share),
            "champion" if move.champion.version == registered.number else "challenger",
            move.by,
        )
        for move in ledger.told_of(registered.tag("release"))
    ]
    told = table(["at", "rollout", "event", "traffic", "as", "by"], rows) if rows else "None yet."
    return f"## Rollouts\n\n{told}\n"
