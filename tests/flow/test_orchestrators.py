"""Airflow and Kubeflow run the real commands to their end; a refused gate fails their run."""

import subprocess

import pytest

from exercises.drill import configure
from pipeline.records import rollout_ledger
from tests import needs
from tests.flow import life, orchestrate

pytestmark = [  # at night: each tool has an environment of its own, which takes a minute to install
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    pytest.mark.answer("orchestrators"),
]

NAMES = ["kubeflow", "airflow"]


@pytest.fixture(scope="module")
def champion(small):
    """The small project with its champion; March is there to arrive."""
    return small.folder


def installed(name):
    """Whether the orchestrator's own environment is there, or can be made."""
    if not orchestrate.installed(name):
        subprocess.run(["make", f"state/{name}/installed"], cwd=life.ROOT, check=False)
    if not orchestrate.installed(name):
        needs.skip("a package index")  # for an environment of its own


def test_what_a_cluster_would_be_given_is_what_the_pipeline_compiles_to(champion, shelf):
    installed("kubeflow")
    folder = life.twin(champion, shelf / "compiled")
    compiled = folder / "configs/retrain/kubeflow.yaml"
    compiled.unlink()
    python = orchestrate.environment("kubeflow") / "bin/python"
    life.run(folder, str(python), "-P", "pipeline/retrain/kubeflow.py", "compile").well()
    assert compiled.read_bytes() == (life.ROOT / "configs/retrain/kubeflow.yaml").read_bytes()


def aliases(folder):
    """Who is challenger and champion, by what the registry's command says."""
    told = {}
    for alias in ("champion", "challenger"):
        done = life.run(folder, "python", "-m", "pipeline", "lineage", f"--version={alias}")
        told[alias] = done.code == 0
    return told


@pytest.mark.parametrize("name", NAMES)
def test_it_retrains_until_the_challenger_is_registered(champion, shelf, name):
    installed(name)
    folder = life.twin(champion, shelf / f"{name}-runs")
    code, said = orchestrate.orchestrate(name, folder, "register")
    assert code == 0, said
    assert "flight-delay version 2" in said
    assert aliases(folder) == {"champion": True, "challenger": True}


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_gate_fails_the_run_and_nothing_is_registered(champion, shelf, name):
    installed(name)
    folder = life.twin(champion, shelf / f"{name}-refused")
    configure(folder, "evaluate", **{"behaviour.calm_morning_max": 0.01})
    life.commit(folder)
    before = (folder / rollout_ledger.LEDGER).read_bytes()
    code, said = orchestrate.orchestrate(name, folder, "register")
    assert code != 0
    assert "GateRefused" in said
    assert "flight-delay version 2" not in said
    assert aliases(folder) == {"champion": True, "challenger": False}
    assert (folder / rollout_ledger.LEDGER).read_bytes() == before
