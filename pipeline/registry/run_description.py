"""The words by which people find runs and versions in MLflow: names, descriptions, tags; pure.

Digests identify, and nobody reads them: a run is called by its newest day, a version is described
by what it learned from, by what it was compared with, and by how it did.
"""

from pipeline.shared.contracts import Kind, Training, Verdict
from pipeline.usecase.chosen import USECASE

EXPERIMENT = (
    "Every training, also of what the gate refused later: the tag `gate` says which. The runs "
    "nested in one are the verdicts on it. What serves is in the registry: alias `champion`."
)
SEARCHES = (
    "Every search for hyperparameters: a parent run each, its trials nested in it. Choose the "
    "trials of one and compare them: MLflow draws parallel coordinates. A search proposes; the "
    "gate decides."
)
MODEL_DESCRIPTION = (
    f"{USECASE.question} `champion` serves; `challenger` passed the gate and may be rolled out. "
    "The ledger of rollouts decides, and the aliases follow it: `make rollout`."
)
_MOST = 4_900
"""Characters that MLflow's database keeps of a description."""


def run_name(training: Training) -> str:
    """The name of a run: the newest day that it learned from, and its digest's beginning."""
    return f"trained to {training.window.partition('..')[2]} ({training.digest[:8]})"


def run_description(training: Training) -> str:
    """The data of a run, in a sentence."""
    first, _, last = training.window.partition("..")
    text = (
        f"{training.rows:,} {USECASE.noun} from {first} to {last}, {len(training.features)} inputs."
    )
    if training.digest != training.candidate:
        judged = training.candidate_window.partition("..")[2]
        text += f" The gate judges the same model without the days after {judged}."
    return text


def run_tags(training: Training) -> dict[str, str]:
    """Tags to search runs by."""
    refit = training.digest != training.candidate
    return {"trained_until": training.window.partition("..")[2], "refit": str(refit).lower()}


def verdict_tags(verdict: Verdict) -> dict[str, str]:
    """Tags of a run that the gate has judged."""
    return {
        "gate": "passed" if verdict.passed else "refused",
        "kind": verdict.kind,
        "judged_on": verdict.window.replace("..", " to "),
        "compared_with": verdict.champion[:12] if verdict.champion else "baselines only",
    }


def verdict_name(verdict: Verdict) -> str:
    """The name of the nested run that holds a verdict."""
    failed = sum(check.blocking and not check.passed for check in verdict.checks)
    total = sum(check.blocking for check in verdict.checks)
    return f"gate: {'passed' if verdict.passed else 'refused'}, {total - failed} of {total} checks"


def verdict_description(verdict: Verdict) -> str:
    """A verdict in Markdown: the comparison as a whole, then every blocking check that failed."""
    kinds = (Kind.CHAMPION, Kind.BASELINE)
    shown = [check for check in verdict.checks if check.kind in kinds]
    shown += [c for c in verdict.checks if c.blocking and not c.passed and c.kind not in kinds]
    rows, window = f"{verdict.rows:,} {USECASE.noun}", verdict.window.replace("..", " to ")
    head = f"{rows} of {verdict.days} days, {window}"
    lines = [
        f"- {check.name}: {check.found:.4g}, limit {check.limit:.4g} ({check.detail})"
        for check in shown
    ]
    return "\n".join([f"{head}; differences of log loss, negative is better.", "", *lines])


def metric_name(check_name: str) -> str:
    """A check's name as MLflow takes it for a metric: letters, digits, and a few marks."""
    return "".join(c if c.isalnum() or c in "_-. " else "_" for c in check_name)


def version_description(training: Training, verdict: Verdict, figures: dict[str, float]) -> str:
    """A version in Markdown: its data, its quality, its comparison."""
    first, _, last = training.window.partition("..")
    against = "the baselines" if verdict.champion is None else f"champion {verdict.champion[:8]}"
    kind = {
        "first": "The first model.",
        "change": "A change of the training configuration.",
        "refresh": "The champion's training configuration on newer days.",
    }[verdict.kind]
    return (
        f"{kind} Trained on {training.rows:,} {USECASE.noun}, {first} to {last}.\n\n"
        f"**On {verdict.rows:,} {USECASE.noun} it had not seen**, "
        f"{verdict.window.replace('..', ' to ')}: "
        f"log loss {figures['log_loss']:.4f}, ROC AUC {figures['roc_auc']:.4f}.\n\n"
        f"{verdict_name(verdict).capitalize()}, against {against}.\n\n"
        f"{verdict_description(verdict)}\n\n"
        "Its model card is among the artifacts of its run, in `release/`."
    )[:_MOST]
