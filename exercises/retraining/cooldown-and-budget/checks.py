"""The checks of the limits of retraining."""

from exercises.workbench.checking import ROOT, check, expect, holds
from pipeline.retrain.policy import Attempt, RetrainingSignals
from pipeline.shared.config.retrain import Policy
from pipeline.shared.yaml_files import parse

POLICY = Policy.model_validate(
    parse((ROOT / "configs/retrain.yaml").read_text(encoding="utf-8"))["policy"]
    | {"cooldown_days": 14, "retry_days": 7, "min_fresh_labels": 5_000}
    | {"budget": {"trainings": 3, "days": 30}}
)
AT = "2013-07-01T12:00Z"


def _signals(fresh: int = 20_000) -> RetrainingSignals:
    return RetrainingSignals(
        at=AT,
        champion="a" * 64,
        trained_until="2013-06-01",
        served_since="2013-06-05",
        fresh_labels=fresh,
        outcome="alert",
        outcome_reasons=["log loss is +0.0300 above its own expectation, limit 0.02"],
        excess=0.03,
        gap=0.01,
        labels_stale=False,
        labels_age_hours=2.0,
        broken=[],
        skew=0,
        prediction_psi=0.05,
        drift="quiet",
    )


def _attempt(day: str, result: str = "promoted", trained: bool = True) -> Attempt:
    values = {"at": f"2013-{day}T12:00Z", "as_of": f"2013-{day}", "trained": trained}
    return Attempt.model_validate(values | {"result": result})


def _action(subject, *attempts: Attempt, fresh: int = 20_000) -> str:
    return str(subject.decide_retraining(_signals(fresh), list(attempts), POLICY).action)


@check(1)
def test_without_an_attempt_a_trigger_trains(subject):
    """Nothing forbids the first one."""
    expect(_action(subject), "retrain")


@check(2)
def test_the_wait_is_over_on_its_day(subject):
    """Thirteen days after a promotion it holds, fourteen after it trains."""
    seen = [_action(subject, _attempt(day)) for day in ("06-18", "06-17")]
    expect(seen, ["hold", "retrain"], [(["hold", "hold"], "a day too long")])


@check(2)
def test_after_a_refusal_the_wait_is_another_one(subject):
    """Seven days: users lose meanwhile."""
    refused = [_attempt(day, "refused by the gate") for day in ("06-25", "06-24")]
    expect([_action(subject, one) for one in refused], ["hold", "retrain"])


@check(2)
def test_the_wait_is_since_the_last_attempt(subject):
    """The oldest comes first in the list."""
    expect(_action(subject, _attempt("05-20"), _attempt("06-28", "failed")), "hold")


@check(2)
def test_too_few_new_labels_hold(subject):
    """Just enough are enough."""
    expect([_action(subject, fresh=n) for n in (4_999, 5_000)], ["hold", "retrain"])


@check(2)
def test_a_spent_budget_calls_a_person(subject):
    """Three trainings within thirty days."""
    three = [_attempt(d, "refused by the gate") for d in ("06-02", "06-10", "06-20")]
    expect(_action(subject, *three), "escalate")
    older = [_attempt("06-01", "refused by the gate"), *three[1:]]
    expect(_action(subject, *older), "retrain", why="a training of thirty days ago is paid")


@check(2, hidden=True)
def test_only_what_trained_counts_for_the_budget(subject):
    """The data were refused: nothing was spent."""
    days = ("06-02", "06-10", "06-20")
    expect(_action(subject, *[_attempt(d, "refused data", False) for d in days]), "retrain")


@check(1, hidden=True)
def test_every_reason_has_both_numbers(subject):
    """What was counted, and what is wanted."""
    found = subject.decide_retraining(_signals(100), [_attempt("06-28")], POLICY).reasons
    words = " ".join(found)
    holds(len(found) == 2, "two reasons", f"{found}")
    holds(all(n in words for n in ("3", "14", "100", "5,000")), "3, 14, 100 and 5,000", words)
