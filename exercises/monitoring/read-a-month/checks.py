"""The checks of a month's reading: what the rules themselves say."""

from pathlib import Path

from exercises.workbench.checking import ROOT, check, expect
from exercises.workbench.modules import load

EVIDENCE = load(Path(__file__).with_name("evidence.py"))
RULES = str(ROOT / "configs/monitor/alerts.yml")


def _mondays(state: str) -> list[str]:
    return [monday for monday, said in EVIDENCE.statuses().items() if said == state]


@check(3)
def test_the_mondays_of_which_nothing_is_known_are_named(subject):
    """Too few labels, or too few days: whatever the figures look like."""
    turns = [([], "figures of few labels look like figures")]
    expect(sorted(subject.answer("not_known")), _mondays("not known"), turns)


@check(2)
def test_the_alert_is_on_its_monday(subject):
    """The first on which enough is known and too much is lost."""
    turns = [("2013-07-01", "six days with labels are too few to say so")]
    expect(subject.answer("alert"), _mondays("alert")[0], turns)


@check(2)
def test_nobody_is_woken_by_it(subject):
    """A page needs somebody who loses and need not: a refit that helps."""
    called = set(EVIDENCE.firing("2013-06-24", RULES).values())
    expected = "page" if "page" in called else "ticket"
    turns = [("page", "the refit's interval holds 0: nothing that can be done tonight helps")]
    expect(subject.answer("severity"), expected, turns)


@check(2)
def test_what_to_do_follows_from_the_refit(subject):
    """Retrain if it helps; here the interval of its gain holds 0."""
    turns = [("retrain", "the refit changes next to nothing, and its interval holds 0")]
    expect(subject.answer("retrain_helps"), False, turns)


@check(1)
def test_the_drift_of_predictions_is_a_ticket(subject):
    """The world moved; nobody has lost by it yet."""
    expect(subject.answer("drift_pages"), False)
