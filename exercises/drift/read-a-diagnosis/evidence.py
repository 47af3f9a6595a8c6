"""Three months' diagnoses, with the cause and the action by the real triage."""

import json

from exercises.workbench.checking import ROOT
from pipeline.monitor.diagnose import triage
from pipeline.monitor.performance.refit_gain import RefitGain
from pipeline.monitor.shift_decomposition import Decomposition, Part
from pipeline.shared.config.monitor import Diagnosis
from pipeline.shared.contracts import Check
from pipeline.shared.yaml_files import parse

LIMITS = Diagnosis.model_validate(
    parse((ROOT / "configs/monitor.yaml").read_text(encoding="utf-8"))["diagnosis"]
)
MONTHS = {
    "2013-06": ((0.031, 0.012), (0.024, 0.008), 0.74, (-0.013, 0.006), 0.71),
    "2013-09": ((-0.052, 0.009), (-0.004, 0.011), 0.81, (-0.001, 0.005), 0.55),
    "2013-12": ((0.047, 0.014), (0.029, 0.010), 0.66, (-0.002, 0.007), 0.62),
}
"""By month: covariate part, concept part (point, half interval), separation, gain, overlap."""


def _part(point: float, half: float) -> Part:
    return Part(point=point, low=round(point - half, 6), high=round(point + half, 6))


def decomposition(month: str) -> Decomposition:
    """The decomposition of a month's change of loss."""
    covariate, concept, separation, _, overlap = MONTHS[month]
    whole = round(covariate[0] + concept[0], 6)
    return Decomposition(
        inputs="all inputs",
        change=_part(whole, 0.015),
        covariate=_part(*covariate),
        concept=_part(*concept),
        separation=separation,
        effective_reference=overlap,
        effective_window=overlap,
        identifiable=overlap >= LIMITS.min_effective_share,
    )


def gain(month: str) -> RefitGain:
    """What a refit brings in a month."""
    point, half = MONTHS[month][3]
    ends = _part(point, half).model_dump()
    days = {"first": f"{month}-14", "last": f"{month}-27", "days": 14, "rows": 12_500}
    return RefitGain.model_validate(days | ends)


def found(month: str) -> tuple[str, str]:
    """Cause and action by the triage."""
    broken: list[Check] = []
    cause, act, _ = triage(broken, {}, decomposition(month), gain(month), LIMITS)
    return cause, act


def files() -> dict[str, str]:
    """The months as a person gets them."""
    rows = [
        {
            "month": month,
            "broken checks": 0,
            "features with skew": 0,
            **decomposition(month).model_dump(),
            "refit": gain(month).model_dump(),
        }
        for month in MONTHS
    ]
    return {"evidence/diagnoses.json": json.dumps(rows, indent=1) + "\n"}
