"""The checks of indicators from two scrapes."""

from exercises.workbench.checking import ROOT, check, expect
from pipeline.shared.config.monitor import Objectives
from pipeline.shared.yaml_files import parse

SLO = Objectives.model_validate(
    parse((ROOT / "configs/monitor.yaml").read_text(encoding="utf-8"))["slo"]
)


def _scraped(before, after):
    """Beside the solution: how much failures and requests grew, and the share of failures."""
    from types import SimpleNamespace

    from pipeline.monitor.operations.slo import Metric, Scrapes

    def samples(values):
        return [
            SimpleNamespace(name="requests", labels={"code": code, "server": server}, value=value)
            for (code, server), value in values
        ]

    scrapes = Scrapes(samples(before), samples(after), 60)
    failed, every = Metric("requests", {"code": "5"}), Metric("requests")
    return [scrapes.grown(failed), scrapes.grown(every), scrapes.share(failed, every)]


def _seen(subject, before: dict[tuple[str, str], float], after: dict[tuple[str, str], float]):
    return subject.do(_scraped, list(before.items()), list(after.items()))


@check(1)
def test_counters_grow_by_their_difference(subject):
    """Of both servers together."""
    before = {("2", "a"): 100, ("5", "a"): 3, ("2", "b"): 50}
    after = {("2", "a"): 160, ("5", "a"): 13, ("2", "b"): 80}
    expect(_seen(subject, before, after), [10, 100, 0.1])


@check(3)
def test_a_counter_that_fell_began_anew(subject):
    """A server was started again: it counts from 0."""
    before = {("2", "a"): 1000, ("5", "a"): 200}
    after = {("2", "a"): 90, ("5", "a"): 10}
    turns = [
        ([-190, -1100, 190 / 1100], "a restart became a negative growth"),
        ([0, 0, None], "what was counted since the restart is lost"),
    ]
    expect(_seen(subject, before, after), [10, 100, 0.1], turns)


@check(2)
def test_what_was_not_there_before_began_at_nought(subject):
    """The first failure of all makes a new sample."""
    expect(_seen(subject, {("2", "a"): 10}, {("2", "a"): 19, ("5", "a"): 1}), [1, 10, 0.1])


@check(2)
def test_a_share_of_nothing_is_unknown(subject):
    """No request, no answer to the question how many failed."""
    same = {("2", "a"): 10, ("5", "a"): 1}
    expect(_seen(subject, same, same), [0, 0, None], [([0, 0, 0.0], "0 of 0 is not 0")])


@check(2)
def test_a_rate_of_one_spends_the_budget_in_its_time(subject):
    """Just as many failures as may be."""
    expect(subject.burn_rate(1 - SLO.availability, SLO), 1.0)
    expect(subject.burn_rate(0.0, SLO), 0.0)


@check(1, hidden=True)
def test_the_rate_is_that_of_the_promise(subject):
    """One failure in ten thousand may be; one in a thousand is ten times that."""
    promised = SLO.model_copy(update={"availability": 0.9999})
    expect(subject.burn_rate(0.001, promised), 10.0, tolerance=1e-6)
