"""Indicators, budgets and burn rates, from two scrapes of the metrics."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from pipeline.monitor.operations import slo
from pipeline.monitor.operations.alerts import RULES
from pipeline.monitor.operations.slo import ANSWERS, FAILED, Scrapes
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import Burn, MonitorConfig, Objectives
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.prometheus import Sample
from tests.monitor.operations import promql
from tests.rules import tree

pytestmark = pytest.mark.answer("what-to-monitor")

USERS = {"envoy_http_conn_manager_prefix": "users"}
SLO, SERVE = load(MonitorConfig).slo, load(ServeConfig)


def answers(code, value, **labels):
    return Sample(
        "envoy_http_downstream_rq_xx",
        USERS | {"envoy_response_code_class": str(code)} | labels,
        float(value),
    )


def timed(within, count):
    name = "envoy_http_downstream_rq_time"
    bound = USERS | {"le": str(SLO.latency_ms)}
    return [Sample(f"{name}_bucket", bound, within), Sample(f"{name}_count", USERS, count)]


def lacking(view, flag, value):
    return Sample("serve_features_total", {"view": view, "flag": flag}, value)


def by_name(before, after, seconds=10.0):
    return {one.name: one for one in slo.indicators(Scrapes(before, after, seconds), SLO, SERVE)}


def test_a_budget_that_is_spent_as_fast_as_allowed_burns_at_one():
    assert slo.burn_rate(1 - SLO.availability, SLO) == pytest.approx(1)
    assert slo.burn_rate(0, SLO) == 0
    assert slo.burn_rate((1 - SLO.availability) / 4, SLO) == pytest.approx(0.25)


def test_a_tenth_of_failures_burns_twenty_times_too_fast(
    record_property: Callable[[str, object], None],
):
    found = by_name([answers(2, 100), answers(5, 0)], [answers(2, 190), answers(5, 10)])
    assert found["throughput"].value == 10
    assert found["failed"].value == pytest.approx(0.1)
    assert found["budget burns"].value == pytest.approx(20)
    assert found["budget burns"].met is False
    record_property(
        "times too fast that a tenth of failures burns the budget", found["budget burns"].value
    )


def test_what_a_caller_did_wrong_is_no_failure_of_ours():
    found = by_name([answers(4, 0)], [answers(2, 50), answers(4, 50), answers(5, 0)])
    assert found["failed"].value == 0
    assert found["failed"].met is True


def test_the_proxys_own_door_is_not_the_users():
    admin = answers(5, 50, envoy_http_conn_manager_prefix="admin")
    found = by_name([], [answers(2, 10), admin])
    assert found["failed"].value == 0


def test_a_counter_that_began_anew_grew_by_what_it_shows():
    scrapes = Scrapes([answers(5, 40), answers(2, 7)], [answers(5, 3), answers(2, 9)], 1.0)
    assert scrapes.grown(FAILED) == 3
    assert scrapes.grown(ANSWERS) == 5


def test_nothing_that_was_asked_is_no_share_rather_than_zero():
    found = by_name([answers(2, 5)], [answers(2, 5)])
    assert found["failed"].value is None
    assert found["failed"].met is None
    assert "unknown" in slo.table(found.values())


def test_slow_answers_break_the_promise_at_its_share():
    kept = by_name(timed(0, 0), timed(99, 100))[f"within {SLO.latency_ms} ms"]
    broken = by_name(timed(0, 0), timed(98, 100))[f"within {SLO.latency_ms} ms"]
    assert (kept.value, kept.met) == (0.99, True)
    assert (broken.value, broken.met) == (0.98, False)


def test_the_worst_view_counts_and_an_unknown_aircraft_does_not():
    rows = Sample("serve_risk_count", {}, 100.0)
    after = [
        rows,
        lacking("aircraft", "missing", 47),
        lacking("weather", "missing", 10),
        lacking("hour", "missing", 1),
        lacking("hour", "stale", 30),
    ]
    found = by_name([], after)
    assert found["worst view missing"].value == 0.1
    assert found["worst view stale"].value == 0.3


def test_of_several_servers_the_fullest_queue_counts():
    after = [Sample("serve_waiting", {"instance": name}, n) for name, n in [("a", 1), ("b", 60)]]
    found = by_name([], after)["waiting for the store"]
    assert (found.value, found.limit, found.met) == (60, 32, False)


def test_a_table_has_a_line_for_each_and_says_what_is_broken():
    table = slo.table(by_name([answers(5, 0)], [answers(5, 10), answers(2, 10)]).values())
    assert len(table.splitlines()) == 11
    assert "BROKEN" in next(line for line in table.splitlines() if "failed" in line)


def test_the_table_and_the_alerts_read_the_same_metrics():
    """An indicator of something else would comfort whoever looks while the alert rings."""
    rules = [rule for group in tree.load(str(RULES))["groups"] for rule in group["rules"]]
    read = set().union(*(promql.metrics(rule["expr"]) for rule in rules))
    asked = set[str]()

    class Spy(Scrapes):
        def _read(self, metric):
            asked.add(metric.name)
            return super()._read(metric)

    slo.indicators(Spy([], [], 1.0), SLO, SERVE)
    assert asked <= read


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"availability": 0.9}, "fast.rate asks for 144% failures, at most 100%"),
        ({"latency_ms": 120}, "latency_ms"),
        ({"busy_hours": (20, 4)}, "lower limit 20 is above upper limit 4"),
        ({"availability": 1.0}, "availability"),
    ],
)
def test_an_objective_that_no_alert_could_keep_is_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        Objectives.model_validate(SLO.model_dump() | changes)


def test_the_long_window_is_the_longer_one():
    with pytest.raises(ValidationError, match="short_minutes 60 is not below long_minutes 60"):
        Burn(rate=2, long_minutes=60, short_minutes=60)
