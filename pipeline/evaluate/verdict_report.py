"""The verdict as a page that people read: one row a check, with its two numbers."""

from pipeline.shared.contracts import Verdict
from pipeline.shared.pages import render


def verdict_report(verdict: Verdict) -> str:
    """The verdict as one HTML file that needs nothing else."""
    return render("evaluate/templates/verdict_report.html", verdict=verdict)
