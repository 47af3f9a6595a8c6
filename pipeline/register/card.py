"""The model card: what a model is for, what it learned from, how good it is, and where it is not.

Written from the papers of its release and stored with them, so that it can't tell of another model.
"""

from collections.abc import Iterable

from pipeline.shared.contracts import (
    COMPARISONS,
    SLICES,
    Check,
    Kind,
    Manifest,
    Training,
    Verdict,
)
from pipeline.shared.markdown import table

_PURPOSE = """## Intended use

The risk, two hours before the scheduled departure, that a flight from Newark, Kennedy or LaGuardia
arrives 15 or more minutes late, is diverted or is cancelled. For planning by people who can also
look out of the window: connections, gates, notices to passengers.

Not for: other airports or years, safety, the evaluation of crews or carriers, or any decision that
nobody can appeal. A risk is not a cause: a carrier's share of late flights says little about why.
"""
_LIMITS = """## Limits

- One year and one city. What the training window does not hold (a season, a new terminal, a strike)
  the model does not know; monitoring and retraining are part of it, not an extra.
- The aircraft is known only where it left New York within a day; elsewhere its inputs are missing.
- A cancelled flight whose tail number was removed afterwards has no aircraft inputs: a weak leak.
- The gate's thresholds were chosen after looking at months of this year: not validated on others.
- Slices with few late flights are reported without a veto: nobody can say how good it is there.
"""
_ETHICS = """## What the data hold, and whom it may harm

- No passengers and no crews: schedules, delays, aircraft and weather. Tail numbers name aircraft,
  carriers name companies; flight and tail codes are no inputs, and the gate checks that.
- Small carriers are pooled and rare routes are pulled towards the mean: their risks are less sharp.
- A feedback loop is possible: who gives gates and crews to flights at low risk first makes other
  flights later, and the next model learns that. Keep a share of flights out of such use.
- Delay follows weather and congestion, which follow where people live and can afford to fly from;
  a notice sent by risk reaches some of them more often than others.
"""


def card(
    name: str, training: Training, verdict: Verdict, manifest: Manifest, figures: dict[str, float]
) -> str:
    """The card as Markdown, with every number from the records."""
    return "\n".join(
        [
            f"# Model card: {name} {training.digest[:12]}\n",
            _PURPOSE,
            _data(training, manifest),
            _quality(verdict, figures),
            _LIMITS,
            _ETHICS,
        ]
    )


def _data(training: Training, manifest: Manifest) -> str:
    months = [s for s in manifest.snapshots if s.month[:7] <= training.window.split("..")[1][:7]]
    rows = [(s.table, s.month, f"{s.rows:,}", f"`{s.content_hash[:12]}`") for s in months]
    return (
        f"## Data\n\nPublished flights and weather ({manifest.source}), scheduled "
        f"{training.window.replace('..', ' to ')}: {training.rows:,} labelled flights, "
        f"{training.positives / training.rows:.1%} late. Features: `{training.feature_service}`, "
        f"{len(training.features)} inputs, each known before the prediction.\n\n"
        f"{table(['table', 'month', 'rows', 'content'], rows)}\n"
    )


def _quality(verdict: Verdict, figures: dict[str, float]) -> str:
    def part(name: str) -> str:
        return _checks(check for check in verdict.checks if check.kind in PARTS[name])

    return (
        f"## Quality on flights it had not seen\n\n{verdict.rows:,} flights of {verdict.days} "
        f"days, {verdict.window.replace('..', ' to ')}: ROC AUC {figures['roc_auc']:.4f}, log loss "
        f"{figures['log_loss']:.4f}, mean risk {figures['mean_risk']:.4f} where "
        f"{figures['late_share']:.4f} were late. {_KINDS[verdict.kind]} Differences of log loss, "
        f"negative is better, intervals over whole days.\n\n{part('overall')}\n\n"
        f"### By slice\n\n{part('slice')}\n\n### Behaviour\n\n{part('behaviour')}\n\n"
        f"### The evidence\n\n{part('evidence')}\n"
    )


PARTS = {
    "overall": (*COMPARISONS, Kind.REFIT),
    "slice": SLICES,
    "behaviour": (Kind.BEHAVIOUR,),
    "evidence": (Kind.EVIDENCE, Kind.DATA),
}

_KINDS = {
    "first": "The first model: there was no champion to compare with.",
    "change": "A change of the champion's recipe, which has to beat it.",
    "refresh": "The champion's recipe on newer days, which may not be worse than it.",
}


def _checks(checks: Iterable[Check]) -> str:
    rows = [(c.name, f"{c.found:.4g}", f"{c.limit:.4g}", _answer(c), c.detail) for c in checks]
    return table(["check", "found", "limit", "answer", "detail"], rows)


def _answer(check: Check) -> str:
    if not check.blocking:
        return "reported"
    return "pass" if check.passed else "FAIL"
