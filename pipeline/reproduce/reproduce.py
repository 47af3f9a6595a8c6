"""Reproduction: rebuilds a registered version in a clean checkout and compares the outputs."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.records import rollout_ledger
from pipeline.registry import champions, copies, release, release_consistency, versions
from pipeline.registry.release import MANIFEST, MODEL, TRAINING, VERDICT, Release
from pipeline.reproduce import compare, environment
from pipeline.reproduce.compare import ComparedItem, Rebuild
from pipeline.shared import checkouts, dvc_lock
from pipeline.shared.config.loading import load, read_values
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.reproduce import ReproduceConfig
from pipeline.shared.contracts import REPRODUCE, Record
from pipeline.shared.errors import DayUnknown, EnvironmentUnfit, NotReproduced
from pipeline.shared.files import file_hash, read_json, write_json
from pipeline.usecase.chosen import USECASE

_THREADS = re.compile(r"^threads: \d+$", re.MULTILINE)


class Reproduction(Record):
    """The result of a rebuild: the headline comparisons, then every output."""

    version: str
    release: str
    commit: str
    python: str
    threads: str
    finished: bool
    headlines: list[ComparedItem]
    outputs: list[ComparedItem]


def run(
    version: str = versions.CHAMPION, rebuild_env: bool = False, threads: int = 0, at: str = ""
) -> str:
    """Rebuild a version from the registry, git and the DVC remote alone, and compare it.

    With `at`, an instant, it is the version that served most of the traffic then. `rebuild_env`
    builds the recorded environment if the current one differs. `threads` overrides the recorded
    number of threads, to show that the model does not depend on it.

    Raises:
        NotReproduced: an output differs; the message names the first such stage.
    """
    config, registry = load(ReproduceConfig), load(RegisterConfig)
    registered = champions.resolve_version(registry, _served_version(at) if at else version)
    sealed, release_folder, model = release_consistency.fetch(registry, registered)
    with checkouts.worktree(sealed.commit, release_folder / release.PATCH) as folder:
        shutil.copyfile(release_folder / dvc_lock.LOCK, folder / dvc_lock.LOCK)
        release_consistency.require_in_step(sealed, release_folder, model, folder)
        # Use the commit's lock: the registry must not decide which code is built and run.
        programs = environment.find_environment(
            folder / release.ENVIRONMENT, sealed.python, rebuild_env
        )
        dvc_lock.use_remote(folder, dvc_lock.remote(Path()))
        dvc_lock.pull(folder, _json(release_folder / release.OUTPUTS))
        shutil.rmtree(folder / "data")  # the cache has it; only rebuilt files remain
        _isolate_registry(registry, folder, release_folder)
        rebuilt = Rebuild(
            folder=folder,
            release_folder=release_folder,
            lock=dvc_lock.read_lock(release_folder / dvc_lock.LOCK),
            expected=_override_threads(folder, threads),
        )
        finished = dvc_lock.rerun(folder, programs)
        outputs = compare.compare_outputs(rebuilt, config)
        found = Reproduction(
            version=registered.number,
            release=registered.tag("release"),
            commit=sealed.commit,
            python=sealed.python,
            threads=str(threads or registered.tag("threads")),
            finished=finished,
            headlines=headlines(sealed, rebuilt, outputs),
            outputs=outputs,
        )
    path = REPRODUCE / f"version-{registered.number}.json"
    write_json(path, found.model_dump())
    return _summary(found, path)


def _served_version(at: str) -> str:
    """The number of the version that served most of the traffic at an instant."""
    entry = rollout_ledger.entry_at(rollout_ledger.parse_instant(at))
    if entry is None:
        raise DayUnknown(f"nothing served at {at}: the ledger begins later; see `make rollout`")
    return rollout_ledger.main_side(entry.move).version


def _isolate_registry(registry: RegisterConfig, folder: Path, release_folder: Path) -> None:
    """Give the checkout its own registry, with the champion that the version was compared with.

    A rebuilt run must never reach the registry that the config names.
    """
    places = {
        "tracking_url": f"sqlite:///{folder}/state/mlflow.db",
        "artifacts_url": f"{folder}/state/artifacts",
    }
    own = RegisterConfig.model_validate(registry.model_dump() | places)
    path = folder / "configs/register.yaml"
    values = read_values(path) | registry.model_dump() | places
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    opponent = _json(release_folder / VERDICT)["champion"]
    if opponent is None:
        return
    champion = versions.find_version(registry, opponent)
    if champion is None:
        raise NotReproduced(
            f"the version was judged against {opponent[:12]}, which "
            f"{registry.tracking_url} no longer holds: restore it from a backup"
        )
    number = copies.copy_champion(own, champion, versions.fetch_model(registry, champion))
    first = champions.registration_transition(
        replace(champion, number=number), rollout_ledger.beginning()
    )
    rollout_ledger.append(first, folder / rollout_ledger.LEDGER)


def _override_threads(folder: Path, threads: int) -> dict[str, str]:
    """Override the number of threads; return the recorded texts that this changes."""
    if not threads:
        return {}
    path = folder / "configs/train.yaml"
    text = path.read_text(encoding="utf-8")
    found = _THREADS.findall(text)
    if len(found) != 1:
        raise EnvironmentUnfit(
            f"configs/train.yaml of that version sets its threads {len(found)} times, not once; "
            "run `make reproduce` without THREADS"
        )
    path.write_text(_THREADS.sub(f"threads: {threads}", text), encoding="utf-8")
    return {found[0].replace("threads", '"threads"'): f'"threads": {threads}'}


def headlines(sealed: Release, rebuilt: Rebuild, outputs: list[ComparedItem]) -> list[ComparedItem]:
    """The headline comparisons by hash: the snapshots, the model, and its predictions.

    If hashes differ, the answer is that of the output that they stand for.
    """
    before, after = rebuilt.release_folder, rebuilt.folder
    old, new = (_snapshots(_json(side / MANIFEST)) for side in (before, after))
    kept = {name: digest for name, digest in new.items() if old.get(name) == digest}
    training, verdict = ([_json(s / p) for s in (before, after)] for p in (TRAINING, VERDICT))
    every, judged = ([str(p.get("predictions_hash")) for p in pair] for pair in (training, verdict))
    made = file_hash(after / MODEL) if (after / MODEL).is_file() else "nothing"
    every_event = f"predictions, every {USECASE.words.event}"
    hashes: list[tuple[str, str, str, str, Path]] = [
        ("ingest", "snapshots", str(len(old)), str(len(kept)), MANIFEST),
        ("train", "model", sealed.model, made, MODEL),
        ("train", every_event, every[0], every[1], compare.PREDICTIONS),
        ("evaluate", "predictions, test set", judged[0], judged[1], compare.PREDICTIONS),
    ]
    answers = {output.what: output.answer for output in outputs}
    return [
        compare.compare_values(stage, what, was, now, answers.get(str(path), "different"))
        for stage, what, was, now, path in hashes
    ]


def _snapshots(manifest: dict[str, Any]) -> dict[str, str]:
    listed = manifest.get("snapshots", [])
    return {f"{s['table']} {s['month']}": s["content_hash"] for s in listed}


def _json(path: Path) -> dict[str, Any]:
    return dict(read_json(path, "reproduce")) if path.is_file() else {}


def _summary(found: Reproduction, path: Path) -> str:
    items = [*found.headlines, *found.outputs]
    shown = [*found.headlines, *(o for o in found.outputs if o.answer != "equal")]
    rows = "\n".join(f"  {i.stage:<9} {i.what:<30} {i.answer:<17} {_item_text(i)}" for i in shown)
    equal = sum(output.answer == "equal" for output in found.outputs)
    counted = f"{equal} of {len(found.outputs)} outputs equal byte for byte"
    differing = [item.stage for item in items if item.answer == "different"]
    if differing or not found.finished:
        ordered = [o.stage for o in found.outputs if o.stage in differing]
        first = next(iter([*ordered, *differing, "evaluate"]))
        how = "" if found.finished else "; the DVC pipeline did not finish"
        raise NotReproduced(
            f"version {found.version} is not what was registered: {first} is the first stage that "
            f"differs{how}; {counted}:\n{rows}\n  all of it: {path}; what it was made of: `make "
            f"lineage VERSION={found.version}`"
        )
    return f"version {found.version} is what was registered: {counted} -> {path}\n{rows}"


def _item_text(item: ComparedItem) -> str:
    if item.answer == "equal":
        return item.recorded[:12]
    return item.detail or f"{item.recorded[:12]} was recorded, {item.found[:12]} is there"
