"""The model card: what a model is for, what it learned from, how good it is, and where it is not.

Written from the papers of its release and stored with them, so that it can't tell of another model.
"""

from pipeline.shared.contracts import OVERALL, SLICES, Kind, Manifest, Training, Verdict
from pipeline.shared.pages import render

SECTIONS = {
    "": OVERALL,
    "By slice": SLICES,
    "Behaviour": (Kind.BEHAVIOUR,),
    "The evidence": (Kind.EVIDENCE, Kind.DATA),
}
"""Under which title the card shows a kind of check; those of the whole come first, without one."""


def model_card(
    name: str, training: Training, verdict: Verdict, manifest: Manifest, figures: dict[str, float]
) -> str:
    """The card as Markdown, with every number from the records."""
    last = training.window.split("..")[1][:7]
    return render(
        "register/templates/model_card.md",
        name=name,
        training=training,
        verdict=verdict,
        source=manifest.source,
        snapshots=[one for one in manifest.snapshots if one.month[:7] <= last],
        figures=figures,
        sections=SECTIONS,
    )
