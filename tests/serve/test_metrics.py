import subprocess
import sys

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram

from pipeline.features.definitions import VIEWS
from pipeline.features.windows import NEVER
from pipeline.serve.metrics import RISKS, Metrics
from tests.rules.tree import ROOT

KNOWN = np.array([[NEVER] + [980] * (len(VIEWS) - 1), [990] * len(VIEWS)])


def test_it_counts_requests_features_risks_and_what_others_keep():
    metrics = Metrics()
    metrics.request("/predict", 200, 0.003)
    metrics.features([1000, 1000], KNOWN, [{"system": "missing"}, {}])
    metrics.risks(np.array([0.2, 0.4]))
    metrics.invalid()
    metrics.add_gauge("serve_waiting", "as it is", lambda: 3)
    metrics.model(version="7", release="f" * 12)
    assert metrics.value("serve_requests_total", route="/predict", code="200") == 1
    assert metrics.value("serve_seconds_bucket", route="/predict", le="0.005") == 1
    assert metrics.value("serve_features_total", view="system", flag="missing") == 1
    assert metrics.value("serve_features_age_minutes_count", view="system") == 1
    assert metrics.value("serve_features_age_minutes_sum", view="weather") == 30
    assert metrics.value("serve_risk_sum") == 0.2 + 0.4
    assert metrics.value("serve_invalid_predictions_total") == 1
    assert metrics.value("serve_waiting") == 3
    assert b'serve_model_info{release="ffffffffffff",version="7"} 1.0' in metrics.text()


@pytest.mark.parametrize("arrays", [3, 1_000])
def test_buckets_are_those_of_the_client_library_however_many_values_come_at_once(arrays):
    metrics, registry = Metrics(), CollectorRegistry()
    theirs = Histogram("serve_risk", "the same", buckets=RISKS, registry=registry)
    chance = np.random.default_rng(arrays)
    for _ in range(arrays):
        risk = chance.choice(np.array([*RISKS, 0.0, 0.049, 0.51], dtype="float32"), 7)
        metrics.risks(risk)
        for one in risk.tolist():
            theirs.observe(one)
    for family in registry.collect():
        for sample in family.samples:
            if sample.name.endswith(("_bucket", "_count")):
                assert metrics.value(sample.name, **sample.labels) == sample.value
    assert metrics.value("serve_risk_sum") == pytest.approx(
        registry.get_sample_value("serve_risk_sum")
    )


@pytest.mark.parametrize("responses", [1, 255, 256, 600])
def test_ages_are_counted_of_every_response_however_many_wait_to_be_counted(responses):
    metrics = Metrics()
    for _ in range(responses):
        metrics.features([1000, 1000], KNOWN, [{"system": "missing"}, {}])
    ages = {view: [10] if view == VIEWS[0] else [10, 20] for view in VIEWS}
    for view, of in ages.items():
        count = metrics.value("serve_features_age_minutes_count", view=view)
        total = metrics.value("serve_features_age_minutes_sum", view=view)
        assert (count, total) == (responses * len(of), responses * sum(of))
    missing = metrics.value("serve_features_total", view="system", flag="missing")
    assert missing == responses


def test_two_servers_count_apart():
    one, other = Metrics(), Metrics()
    one.invalid()
    assert other.value("serve_invalid_predictions_total") == 0


@pytest.mark.long
@pytest.mark.slow
def test_a_process_counts_for_itself_though_feast_was_imported_first(tmp_path):
    """Feast says that numbers are to be kept in files; whichever comes first, ours are not."""
    script = (
        "import feast, feast.metrics, os, prometheus_client\n"
        "assert os.environ['PROMETHEUS_MULTIPROC_DIR']\n"
        "from pipeline.serve.metrics import Metrics\n"
        "metrics = Metrics(); metrics.request('/predict', 200, 0.1)\n"
        "kept = [name for name in os.listdir(os.environ['PROMETHEUS_MULTIPROC_DIR'])\n"
        "        if b'serve_' in open(os.environ['PROMETHEUS_MULTIPROC_DIR'] + '/' + name, 'rb')"
        ".read()]\n"
        "print(kept, metrics.value('serve_requests_total', route='/predict', code='200'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[-2] == "[] 1.0"
