"""Law 6: only the use case knows the domain; the rest of pipeline/ would serve another one."""

import re

from tests.rules import tree

WORDS = re.compile(
    r"(?<!in[ _])flight|airline|carrier|airport|aircraft|tailnum|weather", re.IGNORECASE
)
"""Words of the first use case; requests in flight are the field's."""
STILL = """
cockpit/facts/month.py
cockpit/facts/prediction.py
cockpit/pictures/figures.py
cockpit/pictures/time_strip.py
cockpit/templates/evidence.html
cockpit/templates/performance.html
cockpit/templates/prediction.html
cockpit/tiles.py
cockpit/tools/dashboard.py
pipeline/__init__.py
pipeline/evaluate/behaviour.py
pipeline/features/on_demand.py
pipeline/models/baselines.py
pipeline/models/onnx_export.py
pipeline/models/pictures.py
pipeline/monitor/diagnose.py
pipeline/monitor/explain.py
pipeline/monitor/explanation_report.py
pipeline/monitor/inputs/data_quality.py
pipeline/monitor/inputs/drift.py
pipeline/monitor/inputs/served_rules.py
pipeline/monitor/monitored_model.py
pipeline/monitor/operations/job_signals.py
pipeline/monitor/operations/slo.py
pipeline/monitor/performance/daily.py
pipeline/monitor/performance/label_checks.py
pipeline/monitor/performance/label_join.py
pipeline/monitor/performance/label_ledger.py
pipeline/monitor/performance/labels.py
pipeline/monitor/performance/performance.py
pipeline/monitor/performance/quality.py
pipeline/monitor/performance/refit_gain.py
pipeline/monitor/predictions.py
pipeline/monitor/raw_events.py
pipeline/monitor/report.py
pipeline/monitor/templates/explanation_report.html
pipeline/monitor/templates/month_report.html
pipeline/records/request_log.py
pipeline/reproduce/reproduce.py
pipeline/retrain/data_guards.py
pipeline/retrain/loop.py
pipeline/retrain/refresh_gain.py
pipeline/retrain/served.py
pipeline/retrain/signals.py
pipeline/rollout/analysis/canary.py
pipeline/rollout/analysis/guardrails.py
pipeline/rollout/analysis/shadow.py
pipeline/rollout/bluegreen.py
pipeline/rollout/controller.py
pipeline/rollout/shadow.py
pipeline/rollout/traffic/evidence.py
pipeline/rollout/traffic/listener.py
pipeline/rollout/traffic/live_traffic.py
pipeline/rollout/traffic/routes.py
pipeline/serve/app.py
pipeline/serve/batch.py
pipeline/serve/handler.py
pipeline/serve/kserve.py
pipeline/serve/metrics.py
pipeline/serve/open_inference.py
pipeline/serve/openapi.py
pipeline/serve/schema.py
pipeline/serve/skew.py
pipeline/shared/config/evaluate.py
pipeline/shared/config/features.py
pipeline/shared/config/monitor.py
pipeline/shared/contracts.py
pipeline/shared/paired_difference.py
pipeline/shared/prometheus.py
pipeline/train.py
pipeline/tune/tune.py
pipeline/usecase/chosen.py
pipeline/usecase/take.py
"""
"""Files that still say a word of the domain: the list may only become shorter."""


def _said() -> set[str]:
    """The files that say one, outside the use cases; the cockpit is one more reader of stages."""
    places = ("pipeline/", "cockpit/")
    cases = tuple(f"pipeline/{name}/" for name in tree.use_cases())
    text = [n for n in tree.files() if n.startswith(places) and not n.startswith(cases)]
    return {name for name in text if WORDS.search(tree.read(name))}


def test_no_other_file_says_a_word_of_the_domain() -> None:
    assert _said() - set(STILL.split()) == set()


def test_a_file_that_says_none_any_more_is_taken_off_the_list() -> None:
    assert set(STILL.split()) - _said() == set()


def test_the_use_cases_know_nothing_of_each_other() -> None:
    for name in tree.use_cases():
        others = {f"pipeline.{other}" for other in tree.use_cases()} - {f"pipeline.{name}"}
        files = [file for file in tree.code() if file.startswith(f"pipeline/{name}/")]
        assert {one for file in files for one in tree.imported(file)} & others == set()


def test_no_type_of_a_config_names_a_year() -> None:
    configs = [name for name in tree.code() if name.startswith("pipeline/shared/config/")]
    assert [name for name in configs if re.search(r"\b20\d\d\b", tree.read(name))] == []
