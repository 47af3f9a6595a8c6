"""The model card: intended use, training data, performance, and limits of a model.

What it is for, and whom it may harm, stands in the use case's template, which extends the one here.

It is written from the files of the model's release and stored with them, so it cannot describe
another model.
"""

from collections.abc import Sequence

from pipeline.register.group_gaps import GroupGap
from pipeline.shared.contracts import OVERALL, SLICES, Kind, Manifest, Training, Verdict
from pipeline.shared.pages import render
from pipeline.usecase.chosen import USECASE

CARD_SECTIONS = {
    "": OVERALL,
    "By slice": SLICES,
    "Behaviour": (Kind.BEHAVIOUR,),
    "The evidence": (Kind.EVIDENCE, Kind.DATA),
}
"""The kinds of check under each title of the card; the overall ones come first, untitled."""


def model_card(
    name: str,
    training: Training,
    verdict: Verdict,
    manifest: Manifest,
    figures: dict[str, float],
    groups: Sequence[GroupGap],
) -> str:
    """Render the card as Markdown, with every number from the records."""
    last = training.window.split("..")[1][:7]
    return render(
        USECASE.card,
        common="register/model_card.md",
        name=name,
        noun=USECASE.noun,
        question=USECASE.question,
        label=USECASE.features.label,
        training=training,
        verdict=verdict,
        source=manifest.source,
        snapshots=[one for one in manifest.snapshots if one.month[:7] <= last],
        figures=figures,
        sections=CARD_SECTIONS,
        groups=groups,
    )
