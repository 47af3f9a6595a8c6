"""The stage: rebuilds a registered version in a clean checkout, compares, and answers."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.records import rollout_ledger
from pipeline.registry import champions, release, versions
from pipeline.registry.release import MANIFEST, MODEL, TRAINING, VERDICT, Release
from pipeline.reproduce import compare, environment
from pipeline.reproduce.compare import Item, Rebuilt
from pipeline.shared import checkouts, dvc_lock
from pipeline.shared.config.loading import load, read_values
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.reproduce import ReproduceConfig
from pipeline.shared.contracts import REPRODUCE, Record
from pipeline.shared.errors import DayUnknown, EnvironmentUnfit, NotReproduced
from pipeline.shared.files import file_hash, read_json, write_json

_THREADS = re.compile(r"^threads: \d+$", re.MULTILINE)


class Reproduction(Record):
    """What was rebuilt, and how it compares: first what matters most, then every output."""

    version: str
    release: str
    commit: str
    python: str
    threads: str
    finished: bool
    headlines: list[Item]
    outputs: list[Item]


def run(
    version: str = versions.CHAMPION, rebuild_env: bool = False, threads: int = 0, at: str = ""
) -> str:
    """Rebuild a version from the registry, git and the DVC remote alone, and compare it.

    With `at`, an instant, it is the version that served most of the traffic then. `rebuild_env`
    builds the recorded environment where this one differs. `threads` trains with another number
    of threads than was recorded, to show that the model does not depend on it.

    Raises:
        NotReproduced: something differs; the first stage that does is named.
    """
    config, registry = load(ReproduceConfig), load(RegisterConfig)
    registered = champions.named(registry, _served(at) if at else version)
    sealed, papers, model = release.fetch(registry, registered)
    with checkouts.worktree(sealed.commit, papers / release.PATCH) as folder:
        shutil.copyfile(papers / dvc_lock.LOCK, folder / dvc_lock.LOCK)
        release.require_in_step(sealed, papers, model, folder)
        # The commit's lock: what is built and run from the registry's would be the registry's.
        programs = environment.fitting(folder / release.ENVIRONMENT, sealed.python, rebuild_env)
        dvc_lock.use_remote(folder, dvc_lock.remote(Path()))
        dvc_lock.pull(folder, _json(papers / release.OUTPUTS))
        shutil.rmtree(folder / "data")  # it is in the cache; here stands only what is made anew
        _set_apart(registry, folder, papers)
        rebuilt = Rebuilt(
            folder=folder,
            papers=papers,
            lock=dvc_lock.read_lock(papers / dvc_lock.LOCK),
            expected=_trained_with(folder, threads),
        )
        finished = dvc_lock.rerun(folder, programs)
        outputs = compare.outputs(rebuilt, config)
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
    return _answer(found, path)


def _served(at: str) -> str:
    """The number of the version that served most of the traffic at an instant."""
    entry = rollout_ledger.entry_at(rollout_ledger.parse_instant(at))
    if entry is None:
        raise DayUnknown(f"nothing served at {at}: the ledger begins later; see `make rollout`")
    return rollout_ledger.main_side(entry.move).version


def _set_apart(registry: RegisterConfig, folder: Path, papers: Path) -> None:
    """Give the checkout a registry of its own, whose champion is the one that was judged against.

    Whatever registry its config names, a rebuilt run must not land there.
    """
    places = {
        "tracking_url": f"sqlite:///{folder}/state/mlflow.db",
        "artifacts_url": f"{folder}/state/artifacts",
    }
    own = RegisterConfig.model_validate(registry.model_dump() | places)
    path = folder / "configs/register.yaml"
    values = read_values(path) | registry.model_dump() | places
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    opponent = _json(papers / VERDICT)["champion"]
    if opponent is None:
        return
    champion = versions.find_version(registry, opponent)
    if champion is None:
        raise NotReproduced(
            f"the version was judged against {opponent[:12]}, which "
            f"{registry.tracking_url} no longer holds: restore it from a backup"
        )
    number = versions.plant(own, champion, versions.fetch(registry, champion))
    first = champions.first_move(replace(champion, number=number), rollout_ledger.BEGINNING)
    rollout_ledger.append(first, folder / rollout_ledger.LEDGER)


def _trained_with(folder: Path, threads: int) -> dict[str, str]:
    """Change the number of threads on purpose, and say which recorded text that changes."""
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


def headlines(sealed: Release, rebuilt: Rebuilt, outputs: list[Item]) -> list[Item]:
    """What people ask first: the snapshots, the model, and its predictions, by their hashes.

    Where hashes differ, the output that they stand for says by how much.
    """
    before, after = rebuilt.papers, rebuilt.folder
    old, new = (_snapshots(_json(side / MANIFEST)) for side in (before, after))
    kept = {name: digest for name, digest in new.items() if old.get(name) == digest}
    training, verdict = ([_json(s / p) for s in (before, after)] for p in (TRAINING, VERDICT))
    every, judged = ([str(p.get("predictions_hash")) for p in pair] for pair in (training, verdict))
    made = file_hash(after / MODEL) if (after / MODEL).is_file() else "nothing"
    asked: list[tuple[str, str, str, str, Path]] = [
        ("ingest", "snapshots", str(len(old)), str(len(kept)), MANIFEST),
        ("train", "model", sealed.model, made, MODEL),
        ("train", "predictions, every flight", every[0], every[1], compare.PREDICTIONS),
        ("evaluate", "predictions, test set", judged[0], judged[1], compare.PREDICTIONS),
    ]
    answers = {output.what: output.answer for output in outputs}
    return [
        compare.same(stage, what, was, now, answers.get(str(path), "different"))
        for stage, what, was, now, path in asked
    ]


def _snapshots(manifest: dict[str, Any]) -> dict[str, str]:
    listed = manifest.get("snapshots", [])
    return {f"{s['table']} {s['month']}": s["content_hash"] for s in listed}


def _json(path: Path) -> dict[str, Any]:
    return dict(read_json(path, "reproduce")) if path.is_file() else {}


def _answer(found: Reproduction, path: Path) -> str:
    items = [*found.headlines, *found.outputs]
    shown = [*found.headlines, *(o for o in found.outputs if o.answer != "equal")]
    rows = "\n".join(f"  {i.stage:<9} {i.what:<30} {i.answer:<17} {_told(i)}" for i in shown)
    equal = sum(output.answer == "equal" for output in found.outputs)
    counted = f"{equal} of {len(found.outputs)} outputs equal byte for byte"
    differing = [item.stage for item in items if item.answer == "different"]
    if differing or not found.finished:
        ordered = [o.stage for o in found.outputs if o.stage in differing]
        first = next(iter([*ordered, *differing, "evaluate"]))
        how = "" if found.finished else "; the graph did not come to its end"
        raise NotReproduced(
            f"version {found.version} is not what was registered: {first} is the first stage that "
            f"differs{how}; {counted}:\n{rows}\n  all of it: {path}; what it was made of: `make "
            f"lineage VERSION={found.version}`"
        )
    return f"version {found.version} is what was registered: {counted} -> {path}\n{rows}"


def _told(item: Item) -> str:
    if item.answer == "equal":
        return item.recorded[:12]
    return item.detail or f"{item.recorded[:12]} was recorded, {item.found[:12]} is there"
