"""What the monitoring job knows, and how Prometheus is told it."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from prometheus_client import generate_latest
from pydantic import ValidationError

from pipeline.monitor.operations import job_signals
from pipeline.monitor.operations.exporter import read_gauges
from pipeline.monitor.operations.job_signals import JobSignals
from pipeline.rollout.traffic.servers import free_ports
from pipeline.shared import loopback
from pipeline.shared.errors import ArtifactMissing, ArtifactTampered
from pipeline.shared.loopback import HOST
from pipeline.shared.prometheus import registry_of, samples, serve_metrics
from tests.patience import PATIENCE
from tests.rules.tree import ROOT

pytestmark = pytest.mark.answer("what-to-monitor")

AT = datetime(2013, 5, 1, 14, tzinfo=UTC)
BARE = JobSignals(at=AT, version="7", release="f" * 64)
FULL = BARE.model_copy(
    update={
        "model_age_days": 31.0,
        "labels_age_hours": 4.0,
        "coverage": 0.98,
        "due_days": 14,
        "excess_loss": -0.001,
        "outcome_gap": 0.012,
        "refit_gain": -0.004,
        "refit_gain_high": 0.002,
        "prediction_psi": 0.04,
        "input_psi": {"distance": 0.01, "aircraft_slack": 0.02},
        "quality_failures": 0,
        "labels_disagreeing": 0,
        "skew_mismatches": 0,
    }
)


def numbers(found, heartbeat=1.0):
    told = samples(
        generate_latest(registry_of(lambda: job_signals.gauge_values(found, heartbeat))).decode()
    )
    return {(s.name.removeprefix(job_signals.PREFIX), *s.labels.values()): s.value for s in told}


def test_what_is_written_is_what_is_read(tmp_path):
    path = tmp_path / "signals.json"
    job_signals.write_signals(FULL, path)
    assert job_signals.read(path) == FULL


def test_what_a_job_never_wrote_is_missing_and_what_another_wrote_is_refused(tmp_path):
    with pytest.raises(ArtifactMissing, match="`make monitor` writes it"):
        job_signals.read(tmp_path / "signals.json")
    (tmp_path / "signals.json").write_text('{"at": "2013-05-01T14:00:00"}')
    with pytest.raises(ArtifactTampered):
        job_signals.read(tmp_path / "signals.json")


def test_an_instant_without_a_zone_is_none():
    with pytest.raises(ValidationError, match="timezone"):
        JobSignals(at=datetime(2013, 5, 1), version="7", release="f" * 64)


def test_every_number_of_the_record_is_shown():
    found = numbers(FULL)
    fields = set(JobSignals.model_fields) - {"at", "version", "release", "input_psi"}
    assert {name for name, *_ in found} == fields | {
        "heartbeat_seconds", "at_seconds", "model_info", "input_psi",
    }  # fmt: skip
    assert found["excess_loss",] == -0.001
    assert found["input_psi", "distance"] == 0.01
    assert found["at_seconds",] == AT.timestamp()
    assert found["model_info", "f" * 12, "7"] == 1


def test_what_nobody_knows_is_not_shown_rather_than_zero():
    assert {name for name, *_ in numbers(BARE)} == {"heartbeat_seconds", "at_seconds", "model_info"}
    assert ("skew_mismatches",) in numbers(FULL)


def test_a_job_that_runs_again_and_finds_the_same_shows_that_it_ran(tmp_path):
    path = tmp_path / "signals.json"
    job_signals.write_signals(FULL, path)
    os.utime(path, (0, 0))
    assert next(iter(read_gauges(path))).value == 0
    before = path.read_bytes()
    (tmp_path / "before").touch()
    job_signals.write_signals(FULL, path)
    (tmp_path / "after").touch()
    earliest, latest = ((tmp_path / name).stat().st_mtime for name in ("before", "after"))
    assert earliest <= next(iter(read_gauges(path))).value <= latest
    assert path.read_bytes() == before


def test_a_counter_keeps_the_name_under_which_it_is_shown():
    text = (
        '# TYPE envoy_rq_xx counter\nenvoy_rq_xx{code="5"} 3\n# TYPE a_total counter\na_total 1\n'
    )
    assert [(s.name, s.value) for s in samples(text)] == [("envoy_rq_xx", 3), ("a_total", 1)]


def page(port):
    return loopback.get(port, "/metrics")


def test_what_is_exposed_is_read_anew_each_time_and_gone_with_its_block(tmp_path):
    path = tmp_path / "signals.json"
    with serve_metrics(lambda: read_gauges(path), 0, HOST) as port:
        assert "monitor" not in page(port)
        job_signals.write_signals(FULL, path)
        assert "monitor_coverage 0.98" in page(port)
        job_signals.write_signals(BARE, path)
        assert "monitor_coverage" not in page(port)
    assert page(port) is None


def test_the_exporter_shows_nothing_where_there_is_nothing_or_something_else(tmp_path):
    assert list(read_gauges(tmp_path / "signals.json")) == []
    (tmp_path / "signals.json").write_text('{"at": 3}')
    assert list(read_gauges(tmp_path / "signals.json")) == []


@pytest.mark.slow
def test_the_exporter_answers_until_it_is_told_to_end(tmp_path):
    job_signals.write_signals(FULL, tmp_path / job_signals.SIGNALS)
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "pipeline", "exporter", f"--port={port}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert f"127.0.0.1:{port}/metrics shows data/monitor/signals.json" in (
            process.stdout.readline()
        )
        assert "monitor_coverage 0.98" in page(port)
        taken = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert taken.returncode == 2
        assert "EnvironmentUnfit" in taken.stderr
        assert "make exporter PORT=" in taken.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
