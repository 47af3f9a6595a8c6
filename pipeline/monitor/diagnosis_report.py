"""The diagnosis report: a page with the evidence of each step, and a plot."""

from typing import TYPE_CHECKING

from pipeline.shared import plots as figures
from pipeline.shared.contracts import MONITOR
from pipeline.shared.pages import render
from pipeline.usecase.chosen import USECASE

if TYPE_CHECKING:
    from pipeline.monitor.diagnose import MonthDiagnosis
    from pipeline.monitor.performance.refit_gain import RefitGain
    from pipeline.monitor.shift_decomposition import Part


def diagnosis_report(finding: "MonthDiagnosis") -> str:
    """Render a finding with the evidence of each step of the triage."""
    return render("monitor/templates/diagnosis_report.html", noun=USECASE.noun, finding=finding)


def draw_diagnosis(finding: "MonthDiagnosis") -> None:
    """Plot the parts of a change and the refit's gain, with intervals, as a PNG file."""
    bars: list[tuple[str, Part | RefitGain]] = [
        (f"{name}, {part.inputs}", of)
        for part in finding.decompositions
        for name, of in (("relation", part.concept), ("inputs", part.covariate))
    ]
    if finding.gain is not None:
        bars.append(("a refit, last days", finding.gain))
    figure = figures.blank(9, 0.6 * len(bars) + 1)
    axes = figure.subplots()
    for place, (_, part) in enumerate(bars):
        axes.plot([part.low, part.high], [place, place], color="tab:blue", linewidth=3)
        axes.plot(part.point, place, marker="o", color="black")
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.invert_yaxis()
    axes.set(xlabel="change of the log loss, nats", title=f"{finding.month}: {finding.cause}")
    figures.save(figure, MONITOR / f"diagnosis-{finding.month}.png")
