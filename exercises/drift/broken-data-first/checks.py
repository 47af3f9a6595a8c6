"""The checks of the order in which causes are asked."""

from exercises.workbench.checking import ROOT, check, expect
from pipeline.monitor.performance.refit_gain import RefitGain
from pipeline.monitor.shift_decomposition import Decomposition, Part
from pipeline.shared.config.monitor import Diagnosis
from pipeline.shared.contracts import Check, Kind
from pipeline.shared.yaml_files import parse

LIMITS = Diagnosis.model_validate(
    parse((ROOT / "configs/monitor.yaml").read_text(encoding="utf-8"))["diagnosis"]
)


def _broken(*names: str) -> list[Check]:
    values = {"kind": Kind.DATA, "passed": False, "blocking": True, "found": 3.0, "limit": 0.0}
    return [Check.model_validate(values | {"name": n, "detail": "in August"}) for n in names]


def _parts(concept: float, separation: float = 0.55) -> Decomposition:
    def part(point: float) -> Part:
        return Part(point=point, low=point - 0.005, high=point + 0.005)

    return Decomposition(
        inputs="all inputs",
        change=part(concept),
        covariate=part(0.0),
        concept=part(concept),
        separation=separation,
        effective_reference=0.9,
        effective_window=0.9,
        identifiable=True,
    )


def _gain(point: float) -> RefitGain:
    days = {"first": "2013-08-18", "last": "2013-08-31", "days": 14, "rows": 12_000}
    ends = {"low": point - 0.005, "high": point + 0.005}
    return RefitGain.model_validate(days | ends | {"point": point})


def _triage(subject, broken=(), skew=None, concept=0.0, gain=-0.03, separation=0.55):
    found = subject.triage(
        _broken(*broken), skew or {}, _parts(concept, separation), _gain(gain), LIMITS
    )
    return found[0], found[1], " ".join(found[2])


@check(3)
def test_broken_data_come_before_any_shift(subject):
    """Wind in metres a second: a refit helps, and must not be made."""
    cause, act, _ = _triage(subject, ["impossible values"], concept=0.05)
    turns = [
        (["concept shift", "retrain"], "the next champion would be trained on the fault"),
        (["broken data", "retrain"], "a refit helps on broken data most of all"),
    ]
    expect([cause, act], ["broken data", "fix the feed"], turns)


@check(2)
def test_skew_comes_before_any_shift(subject):
    """What was served is not what training reads: no question of the world."""
    cause, act, words = _triage(subject, skew={"wind_speed": 412, "wind_gust": 9}, concept=0.05)
    expect([cause, act], ["skew", "fix the feed"])
    expect(words.index("wind_speed") < words.index("wind_gust"), True, why="the worst first")


@check(2)
def test_sound_data_are_a_question_of_drift(subject):
    """As before: the relation moved, and a refit helps, or does not."""
    seen = [list(_triage(subject, concept=0.05, gain=g)[:2]) for g in (-0.03, 0.0)]
    expect(seen, [["concept shift", "retrain"], ["concept shift", "escalate"]])


@check(1)
def test_every_broken_check_is_a_reason(subject):
    """With what was found and what is allowed."""
    words = _triage(subject, ["impossible values", "stuck days"])[2]
    expect([name in words for name in ("impossible values", "stuck days")], [True, True])


@check(2, hidden=True)
def test_broken_data_come_before_skew(subject):
    """A feed that is broken at its source shows in both."""
    cause, act, _ = _triage(subject, ["stuck days"], {"wind_speed": 412})
    expect([cause, act], ["broken data", "fix the feed"])


@check(1, hidden=True)
def test_other_inputs_alone_are_a_covariate_shift(subject):
    """And a reason to hold where a refit brings nothing."""
    seen = _triage(subject, concept=0.0, gain=0.0, separation=0.8)[:2]
    expect(list(seen), ["covariate shift", "hold"])
