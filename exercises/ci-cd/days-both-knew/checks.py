"""The checks of the evidence that a window is new to a model."""

from exercises.workbench.checking import ROOT, check, expect
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.yaml_files import parse
from pipeline.usecase.chosen import SECTIONS

TRAINED = "2013-01-08..2013-04-28"


def _config(first: str, last: str) -> EvaluateConfig:
    values = parse((ROOT / "configs/evaluate.yaml").read_text(encoding="utf-8"))
    return SECTIONS[EvaluateConfig].model_validate(
        values | {"window": {"first": first, "last": last}}
    )


def _is_new(subject, first: str, last: str = "2013-05-31", trained: str = TRAINED) -> list[object]:
    seen = subject._is_held_out("challenger", trained, _config(first, last))
    return [seen.passed, seen.found]


@check(3)
def test_a_window_within_the_training_days_is_refused(subject):
    """The incident: trained to 28 April, judged on 15 to 28 April."""
    seen = _is_new(subject, "2013-04-15", "2013-04-28")
    turns = [([True, 97.0], "that is from the first training day; the last one must lie before")]
    expect(seen, [False, -13.0], turns)


@check(2)
def test_the_last_training_day_itself_is_not_new(subject):
    """Learned and judged, if only for a day."""
    expect(_is_new(subject, "2013-04-28"), [False, 0.0])


@check(2)
def test_the_day_after_is_new(subject):
    """No gap is asked for: features of a day rest on what was known before it."""
    expect(_is_new(subject, "2013-04-29"), [True, 1.0])


@check(2, hidden=True)
def test_a_window_that_overlaps_is_refused(subject):
    """It ends after the training days, and begins within them."""
    expect(_is_new(subject, "2013-04-20", "2013-05-20"), [False, -8.0])


@check(2, hidden=True)
def test_a_window_before_the_training_days_is_refused(subject):
    """Days of before are behind every window mean that the model learned from."""
    seen = _is_new(subject, "2013-02-01", "2013-02-28", "2013-03-10..2013-04-28")
    expect(seen, [False, -86.0], [([True, 86.0], "far from the training days, on the wrong side")])
