"""`make airflow` and `make kubeflow`: the small project, retrained by a real orchestrator.

A scratch copy with a champion of two months; March arrives, and the orchestrator runs the project's
commands there until its challenger is registered. The checkout and its registry stay as they are.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from exercises.drill import shown
from pipeline.__main__ import run_command
from tests.flow import life

MONTH = "2013-03"
"""What arrives: the small project learns from January and judges on February."""


def ready(folder: Path) -> Path:
    """A scratch copy with a champion; the next month is not there yet."""
    life.small(folder)
    life.run(folder, "bash", "-c", "dvc repro --quiet && python -m pipeline register").well()
    return folder


def environment(name: str) -> Path:
    """Where `make` has installed an orchestrator."""
    return life.ROOT / "state" / name / "venv"


def installed(name: str) -> bool:
    """Whether it has."""
    return (environment(name) / "bin" / "python").is_file()


def settings(name: str, folder: Path) -> dict[str, str]:
    """The environment in which an orchestrator runs a copy: the copy's packages come first."""
    own = life.settings(folder)
    home = life.beside(folder, name)
    airflow = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "pipeline/retrain"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    return {**own, **airflow, "PIPELINE_PROJECT": str(folder), "PYTHONPATH": ""}


def commands(name: str, folder: Path, until: str) -> list[list[str]]:
    """What runs the retraining of a copy, up to a step."""
    programs = environment(name) / "bin"
    if name == "kubeflow":
        file = str(folder / "pipeline/retrain/kubeflow.py")
        words = ["run", str(folder), f"--as-of={MONTH}", f"--until={until}"]
        return [[str(programs / "python"), "-P", file, *words]]
    conf = f'{{"as_of": "{MONTH}", "until": "{until}"}}'
    airflow = str(programs / "airflow")
    return [
        [airflow, "db", "migrate"],
        [airflow, "dags", "test", "--conf", conf, "retrain"],
    ]


def orchestrate(name: str, folder: Path, until: str) -> tuple[int, str]:
    """Run the retraining of a copy, showing what is said: the exit code and all words."""
    said = ""
    for command in commands(name, folder, until):
        outcome = shown(command, folder, settings(name, folder))
        said += outcome.words
        if outcome.code:
            return outcome.code, said
    return 0, said


def main() -> int:
    """0 where the orchestrator came to its end and the challenger is there."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which takes the copy away, too
    name, until = sys.argv[1], os.environ.get("STEP") or "register"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as place:
        folder = ready(Path(place) / "small")
        code, _ = orchestrate(name, folder, until)
        words = life.run(folder, "python", "-m", "pipeline", "lineage", "--version=challenger")
    seconds = f"{time.monotonic() - started:.0f} s"
    if code or words.code:
        print(f"{name}: it ended with {code}, no challenger of {MONTH}; {seconds}", file=sys.stderr)
        return 1
    print(f"{name}: ran to {until} in {seconds}; {words.words.splitlines()[-1]}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
