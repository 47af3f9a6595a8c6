"""The checks of the status of model performance."""

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.monitor.performance.quality import Figures
from pipeline.shared.config.monitor import OutcomeRule
from pipeline.shared.yaml_files import parse

RULE = OutcomeRule.model_validate(
    parse((ROOT / "configs/monitor.yaml").read_text(encoding="utf-8"))["outcome"]
)


def _status(subject, days: int = 14, **figures: float | None) -> list[object]:
    values = {"rows": 10_000, "labelled": 9_900, "days": days, "late": 2_400, "coverage": 0.99}
    values |= {"excess": 0.001, "gap": 0.002} | figures
    return list(subject.performance_status(Figures.model_validate(values), days, RULE))


@check(3)
def test_few_labels_are_not_known(subject):
    """Six of ten: the punctual ones come first."""
    seen = _status(subject, coverage=0.6)
    expect(seen[0], "not known", [("quiet", "quiet: too few labels were taken for good news")])


@check(2)
def test_few_days_are_not_known(subject):
    """Three complete days say little of two weeks."""
    expect(_status(subject, days=3)[0], "not known")


@check(1)
def test_the_reason_has_both_numbers(subject):
    """What is there, and what is needed."""
    reasons = " ".join(map(str, _status(subject, days=3, coverage=0.6)[1]))
    holds("3 days" in reasons and "10" in reasons, "3 days, at least 10", reasons)
    holds("60.0%" in reasons and "95%" in reasons, "60.0%, below 95%", reasons)


@check(2)
def test_enough_is_judged(subject):
    """Just the minimum of days and of labels is enough."""
    expect(_status(subject, days=10, coverage=0.95)[0], "quiet")
    expect(_status(subject, days=10, coverage=0.95, excess=0.03)[0], "alert")


@check(2, hidden=True)
def test_few_labels_do_not_alert_either(subject):
    """Neither a pass nor an alert rests on them."""
    expect(_status(subject, coverage=0.6, excess=0.5)[0], "not known")


@check(1, hidden=True)
def test_the_gap_counts_on_both_sides(subject):
    """Too high is as wrong as too low."""
    expect([_status(subject, gap=gap)[0] for gap in (0.04, -0.04)], ["alert", "alert"])


@check(1, hidden=True)
def test_without_any_label_nothing_is_known(subject):
    """Figures that cannot be computed are None."""
    seen = _status(subject, days=14, coverage=0.99, excess=None, gap=None)
    expect(seen[0], "not known")
