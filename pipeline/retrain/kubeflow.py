"""Retraining as a Kubeflow pipeline: it runs the project's own commands and decides nothing.

The gate is a component of its own, which fails by its exit code. It must not be a `dsl.If` around
the later steps: the SDK's local runner never runs such a body, whatever the condition, and reports
success, so a gate that never ran would count as passed.

The SDK has an environment of its own (configs/retrain/kubeflow.lock), so this imports nothing of
the project. It compiles to `configs/retrain/kubeflow.yaml`. On a cluster each step runs in IMAGE
(configs/retrain/Dockerfile) and needs the same checkout: a volume at /project, or a DVC remote and
PIPELINE_TRACKING_URL that all of them reach. No cluster has run it here; the same pipeline runs on
the SDK's own SubprocessRunner.
"""

import argparse
import sys
import tomllib
from pathlib import Path

import yaml
from kfp import compiler, dsl, local

ROOT = Path(__file__).resolve().parents[2]
_STEPS: dict[str, str] = yaml.safe_load((ROOT / "configs/retrain/steps.yaml").read_text())
COMPILED = ROOT / "configs/retrain/kubeflow.yaml"
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMAGE = f"{_PROJECT['name']}:{_PROJECT['version']}"
"""The release's image; on a cluster pin its digest, since a tag can move."""


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def command(words: str, project: str, as_of: str) -> str:
    """Run a command of the project there; a refusal fails the component, and with it the run."""
    import os
    import subprocess

    environment = {**os.environ, "AS_OF": as_of}
    subprocess.run(["bash", "-c", words], cwd=project, env=environment, check=True)
    return words


def _chain_steps(steps: list[str], project: str, as_of: str) -> None:
    before = None
    for step in steps:
        task = command(words=_STEPS[step], project=project, as_of=as_of).set_display_name(step)
        task.set_caching_options(False)  # the same command does something else on other data
        if before is not None:
            task.after(before)
        before = task


@dsl.pipeline(name="retrain", description="Retrain, gate, register, shadow, canary")
def retrain(project: str = "/project", as_of: str = "") -> None:
    """Run every step, one after another."""
    _chain_steps(list(_STEPS), project, as_of)


def compile_pipeline() -> None:
    """Write the pipeline's YAML for a cluster."""
    compiler.Compiler().compile(retrain, str(COMPILED))


def run(project: str, as_of: str, until: str) -> None:
    """Run the pipeline locally up to a step, in processes; a failing step raises."""
    steps = list(_STEPS)[: list(_STEPS).index(until) + 1]

    @dsl.pipeline(name="retrain")
    def some(project: str, as_of: str) -> None:
        _chain_steps(steps, project, as_of)

    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=f"{project}/state/kfp")
    some(project=project, as_of=as_of)


def main() -> int:
    """`compile`, or `run PROJECT --as-of 2013-05 --until register`."""
    parser = argparse.ArgumentParser(prog="pipeline/retrain/kubeflow.py")
    parser.add_argument("action", choices=["compile", "run"])
    parser.add_argument("project", nargs="?", default=str(ROOT))
    parser.add_argument("--as-of", default="")
    parser.add_argument("--until", choices=_STEPS, default=list(_STEPS)[-1])
    chosen = parser.parse_args()
    if chosen.action == "compile":
        compile_pipeline()
    else:
        run(chosen.project, chosen.as_of, chosen.until)
    return 0


if __name__ == "__main__":
    sys.exit(main())
