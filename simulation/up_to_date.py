"""Whether `make run` has nothing to do: all that its story rests on is as the last run left it.

The bytes of files are compared, never their dates. A registry on a server or in another place may
change unseen, so with one a run is always made.
"""

import json
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from pipeline.__main__ import run_command
from pipeline.shared.files import file_hash, members, text_hash, write_json

LAST_RUN = Path("state/last-run.json")
RUN_INPUTS = ("pipeline", "simulation", "configs", "dvc.yaml", "requirements.lock", "Makefile")
REPLAY_FOLDER = Path("state/replay/run")
RUN_OUTPUTS = (
    *("dvc.lock", "data", "state/mlflow.db", "state/artifacts", "state/rollout"),
    *(f"{REPLAY_FOLDER}/{name}" for name in ("dvc.lock", "configs", "data", "state")),
    "state/replay/wrong-unit/data/validate/report.json",
)
_VARIABLES = ("PIPELINE_", "MLFLOW_", "DVC_")
"""Variables that settings are taken from; a digest of them is kept, since some hold passwords."""


def inputs_digest() -> str:
    """A digest of code, configs, settings in the environment, Python and packages' versions."""
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*-info"))
    variables = {name: of for name, of in os.environ.items() if name.startswith(_VARIABLES)}
    told = [sys.version, platform.platform(), packages, sorted(variables.items())]
    return text_hash(json.dumps([_digests(RUN_INPUTS), told]))


def outputs_digest() -> str:
    """A digest of the data, the registry, the ledger and the replayed months."""
    return text_hash(json.dumps(_digests(RUN_OUTPUTS)))


def _digests(places: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each file at or below some places; "none" for a place without one."""
    digests: dict[str, str] = {}
    for place in map(Path, places):
        files = [place] if place.is_file() else members(place)
        digests |= {str(path): file_hash(path) for path in files} or {str(place): "none"}
    return digests


def check() -> str:
    """The line that says what stands; "" if there is work, whose inputs are then noted."""
    try:
        last = json.loads(LAST_RUN.read_text(encoding="utf-8"))
        if last == {
            "inputs": inputs_digest(),
            "outputs": outputs_digest(),
            "stands": last["stands"],
        }:
            return f"run: nothing has changed: {last['stands']}; `make replay` shows them"
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no run has ended, or its record is damaged
    write_json(LAST_RUN, {"inputs": inputs_digest()})
    return ""


def note_run() -> None:
    """Record that a run has ended, unless its inputs have changed since it began."""
    from pipeline.records import rollout_ledger
    from pipeline.shared.config.loading import load
    from pipeline.shared.config.register import RegisterConfig
    from simulation.story import story_events

    began = json.loads(LAST_RUN.read_text(encoding="utf-8"))["inputs"]
    registry = load(RegisterConfig)
    watched = {str(registry.database), str(registry.artifacts)} <= set(RUN_OUTPUTS)
    if began != inputs_digest() or not watched:
        return
    champion = rollout_ledger.entries(rollout_ledger.LEDGER)[-1].move.champion
    events = len(story_events(REPLAY_FOLDER))
    stands = f"{champion.label} is champion, {events} events in {REPLAY_FOLDER}"
    write_json(LAST_RUN, {"inputs": began, "outputs": outputs_digest(), "stands": stands})


def main() -> int:
    """Say what stands, or with `--note` record that a run has ended."""
    if "--note" in sys.argv:
        note_run()
    elif line := check():
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
