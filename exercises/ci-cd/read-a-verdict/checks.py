"""The checks of a verdict's reading: what the gate itself decides of the same differences."""

from pathlib import Path

from exercises.workbench.checking import check, expect
from exercises.workbench.modules import load

EVIDENCE = load(Path(__file__).with_name("evidence.py"))
FOUND = EVIDENCE.checks()
VETOES = [one.name for one in FOUND if one.blocking and not one.passed]


@check(3)
def test_the_verdict_is_the_gates(subject):
    """Every blocking check has to pass."""
    expect(subject.answer("passed"), EVIDENCE.passed(), why="better overall is not enough")


@check(3)
def test_the_veto_is_the_slice_that_is_significantly_worse(subject):
    """Blocking, beyond the limit, and its interval above 0."""
    turns = [
        (
            "carrier HA against champion",
            "it has four late flights: see `blocking`",
        ),
        ("origin JFK against champion", "worse, but by less than the limit"),
        ("storm against logistic", "losing a slice to the linear baseline is only reported"),
    ]
    expect(subject.answer("veto"), VETOES[0], turns)


@check(2)
def test_the_checks_that_only_report_are_counted(subject):
    """What does not block is for people."""
    expect(subject.answer("reported"), sum(not one.blocking for one in FOUND))


@check(2)
def test_the_comparison_with_the_champion_is_significant(subject):
    """The upper end of the interval is below 0."""
    overall = next(one for one in FOUND if one.name == "beats champion")
    expect(subject.answer("beats_champion"), overall.passed)
