"""Faults of the state: files that are cut, lost or rewritten, and a registry that lags or lies."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from exercises.drill import Drill, Outcome, run_stages
from exercises.drills.release import ran
from pipeline.usecase.chosen import USECASE

LEDGER, REGISTRY = "state/rollout/ledger.db", "state/mlflow.db"
LOG, ONLINE = "state/serve/log.db", f"state/feast/online-{USECASE.name}.db"
PROMOTED = """
from dataclasses import replace
from pipeline.records import rollout_ledger as ledger
from pipeline.registry import champions, versions
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig

config = load(RegisterConfig)
first = champions.current(config)
second = versions.add_version(config, first.run_id, first.digest, first.tags)
move = ledger.entries()[-1].move
by_hand = {"event": "promoted by hand", "rollout": "0002-register", "shares": {"challenger": 10000}}
ledger.append(move.model_copy(update={**by_hand, "challenger": champions.side_of(second)}))
"""
DELETED = """
from mlflow import MlflowClient
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig

config = load(RegisterConfig)
client = MlflowClient(config.tracking_url.get_secret_value())
client.delete_registered_model_alias(config.model_name, "champion")
"""
EXPORTED = "from pipeline.registry.release_loader import export; export('champion')"
LOGGED = f"from pipeline.records import request_log; request_log.prepare('sqlite:///{LOG}')"


def _do(folder: Path, script: str) -> None:
    """Run what the fault needs in the scratch copy."""
    if run_stages(folder, [], ("-c", script)).code:
        raise SystemExit("what the drill itself does failed: the drill is stale")


def _cut(path: Path) -> None:
    """As after a disk that was full, or a copy that was not finished."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _after(
    damage: Callable[[Path], object], *command: str, before: str = ""
) -> Callable[[Path], list[str]]:
    """A champion is registered, and what `before` does; then the damage, then the command."""

    def inject(folder: Path) -> list[str]:
        ran(folder, "register")
        if before:
            _do(folder, before)
        damage(folder)
        return list(command)

    return inject


def _filled_and_cut(folder: Path) -> list[str]:
    """The online store is filled; then half of its file is gone."""
    ran(folder, "register")
    if run_stages(folder, ["materialize"]).code:
        raise SystemExit("the online store could not be filled: the drill is stale")
    _cut(folder / ONLINE)
    return ["materialize"]


def _spoil_the_export(folder: Path) -> None:
    (model,) = (folder / "state/serve/releases").glob("*/model.onnx")
    model.write_bytes(model.read_bytes()[:-1] + b"x")


def _refused(kind: str, words: str) -> Callable[[Path, Outcome], str]:
    """A refusal of this kind in one line, and no traceback."""

    def caught(_: Path, outcome: Outcome) -> str:
        told = re.search(rf"^[\w-]+: {kind}: (.*{words}.*)$", outcome.words, re.MULTILINE)
        if outcome.code != 1 or told is None or "Traceback" in outcome.words:
            return ""
        return told[1].partition("; `")[0]

    return caught


def _said(words: str) -> Callable[[Path, Outcome], str]:
    """The command did its work by the ledger, and said how the alias differs."""

    def caught(_: Path, outcome: Outcome) -> str:
        told = re.search(rf"^champion: (.*{words}.*)$", outcome.words, re.MULTILINE)
        return told[1] if outcome.code == 0 and told else ""

    return caught


def _repaired(name: str) -> Callable[[Path, Outcome], str]:
    """It was rebuilt, the broken one is kept, and nothing else is broken."""

    def caught(folder: Path, outcome: Outcome) -> str:
        told = re.search(r"1 repaired; every file of state holds", outcome.words)
        kept = list(folder.glob(f"{name}.broken"))
        stands = re.search(r"^   stands  (.+)$", outcome.words, re.MULTILINE)
        return stands[1] if outcome.code == 0 and told and kept and stands else ""

    return caught


DRILLS = [
    Drill(
        slug="emptied-registry",
        stage="register",
        fault="the registry's database is gone; the next model would be the first champion",
        guard="registry.champions: the ledger knows who was champion",
        inject=_after(lambda folder: (folder / REGISTRY).unlink(), "register"),
        caught=_refused("RegistryRefused", "it was emptied or replaced"),
    ),
    Drill(
        slug="lost-ledger",
        stage="rollout",
        fault="the ledger is gone with its copy, and nothing says who served",
        guard="registry.champions: the registry's alias knows that somebody did",
        inject=_after(lambda folder: shutil.rmtree(folder / "state/rollout"), "rollback"),
        caught=_refused("RegistryRefused", "has 0 entries: the ledger was lost"),
    ),
    Drill(
        slug="deleted-alias",
        stage="rollout",
        fault="somebody deletes the champion's alias in the registry",
        guard="registry.champions: the alias follows the ledger, `make rollout` mends it",
        inject=_after(lambda folder: _do(folder, DELETED), "rollout"),
        caught=_said("is not set; the alias was mended"),
    ),
    Drill(
        slug="alias-behind",
        stage="reproduce",
        fault="a promotion is killed between the ledger and the registry's alias",
        guard="registry.champions: a reader goes by the ledger and says how the alias differs",
        inject=_after(lambda folder: _do(folder, PROMOTED), "lineage"),
        caught=_said("the ledger says version 2 .* is version 1; the ledger counts"),
    ),
    Drill(
        slug="cut-ledger",
        stage="retrain",
        fault="half of the ledger's file is gone",
        guard="retrain.repair: the ledger's copy holds every entry with its hash",
        inject=_after(lambda folder: _cut(folder / LEDGER), "repair", "--yes"),
        caught=_repaired(LEDGER),
    ),
    Drill(
        slug="cut-registry",
        stage="retrain",
        fault="half of the registry's database is gone",
        guard="retrain.repair: whole releases among its files, and the ledger's alias",
        inject=_after(lambda folder: _cut(folder / REGISTRY), "repair", "--yes"),
        caught=_repaired(REGISTRY),
    ),
    Drill(
        slug="spoilt-export",
        stage="retrain",
        fault="the model in the release store is changed, from which servers load it",
        guard="retrain.repair: the registry holds the same release, whole",
        inject=_after(_spoil_the_export, "repair", "--yes", before=EXPORTED),
        caught=_repaired("state/serve/releases/*"),
    ),
    Drill(
        slug="cut-store",
        stage="serve",
        fault="half of the online store's file is gone",
        guard="features.online_store: a database that is shorter than it says is not opened",
        inject=_filled_and_cut,
        caught=_refused("ArtifactTampered", "is no online store of .*its header counts"),
    ),
    Drill(
        slug="cut-log",
        stage="serve",
        fault="half of the request log's file is gone",
        guard="records.request_log: a database that is shorter than it says is not opened",
        inject=_after(
            lambda folder: _cut(folder / LOG), "prune", "--until=2013-03-01T00:00Z", before=LOGGED
        ),
        caught=_refused("ArtifactTampered", "is no request log of .*its header counts"),
    ),
]
