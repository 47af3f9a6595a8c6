"""Registration and promotion: refuses models without a matching verdict and lineage.

The first model that passes becomes champion at once, since nothing is live yet. Every later one
becomes challenger; after a staged rollout `promote` makes it champion.
"""

import tempfile
from pathlib import Path

from pipeline.features.feature_table import ROWS
from pipeline.records import rollout_ledger
from pipeline.register.group_gaps import group_gaps, judged_rows
from pipeline.register.model_card import model_card
from pipeline.registry import (
    champions,
    locations,
    release,
    release_consistency,
    run_description,
    runs,
    versions,
)
from pipeline.registry.versions import CHALLENGER, CHAMPION, Version
from pipeline.shared import clock, dvc_lock, lineage
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import (
    EVALUATE,
    INGEST,
    TRAIN,
    Manifest,
    Training,
    Verdict,
    read_record,
)
from pipeline.shared.errors import RegistryRefused
from pipeline.shared.files import file_hash, read_json, text_hash, write_text


def register(
    config: RegisterConfig, verdict: Verdict, training: Training, champion: Version | None
) -> tuple[Version, bool]:
    """Register the model of a passed verdict; return its version, and whether it is new.

    The data are pushed to the DVC remote and the release is sealed before the version is made.

    Raises:
        RegistryRefused: the verdict failed, is about another model, or compared with another
            champion than the live one.
        ReleaseRefused: commit, data, model, features and config come from different runs.
        DataUnavailable: the remote cannot take the data.
    """
    _require_passed(verdict, training, champion)
    known = versions.find_version(config, verdict.challenger)
    if known is not None and _keeps_release(known, champion):
        return known, False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tags = _seal_release(config, folder, verdict, training)
        dvc_lock.push()
        if known is None:
            run_id = runs.find_run(config, training.digest) or runs.record(config, training)
        else:
            run_id = known.run_id
        _log_verdict(config, run_id)
        runs.log_folder(config, run_id, folder, release.artifact_path(tags["release"]))
    if known is not None:
        before = {"releases_before": " ".join(sorted(known.releases - {tags["release"]}))}
        return versions.set_tags(config, known, {**tags, **before}), False
    figures = read_json(EVALUATE / "metrics.json", "evaluate")
    about = run_description.version_description(training, verdict, figures)
    return versions.add_version(config, run_id, training.digest, tags, about), True


def _keeps_release(known: Version, champion: Version | None) -> bool:
    """Whether a version keeps its release: it is champion, or registered with this verdict."""
    is_champion = champion is not None and champion.digest == known.digest
    return is_champion or known.tag("verdict_hash") == file_hash(EVALUATE / "verdict.json")


def _seal_release(
    config: RegisterConfig, folder: Path, verdict: Verdict, training: Training
) -> dict[str, str]:
    """Gather the release's files from the checkout and seal them; return the registry's tags."""
    release.gather(folder)
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    figures = read_json(EVALUATE / "metrics.json", "evaluate")
    judged = load(EvaluateConfig)
    groups = group_gaps(*judged_rows(judged), judged)
    described = model_card(config.model_name, training, verdict, manifest, figures, groups)
    write_text(folder / release.CARD, described)
    sealed = release.seal(folder)
    release_consistency.require_in_step(sealed, folder, release.MODEL, Path())
    return release.tags(sealed, folder)


def _log_verdict(config: RegisterConfig, run_id: str) -> None:
    runs.log_verdict(config, run_id, EVALUATE, read_json(EVALUATE / "metrics.json", "evaluate"))


def _require_passed(verdict: Verdict, training: Training, champion: Version | None) -> None:
    if not verdict.passed:
        failed = sum(check.blocking and not check.passed for check in verdict.checks)
        raise RegistryRefused(
            f"the verdict on {verdict.challenger[:12]} failed ({failed} blocking check(s)); "
            f"see {EVALUATE}/verdict.html, train another model, then `make evaluate`"
        )
    if verdict.challenger != training.digest or file_hash(TRAIN / "model.onnx") != training.digest:
        raise RegistryRefused(
            f"the verdict is about {verdict.challenger[:12]}, {TRAIN}/ holds "
            f"{file_hash(TRAIN / 'model.onnx')[:12]}; run `make evaluate`"
        )
    _require_same_origin(training, verdict)
    live = champion.digest if champion else None
    if live not in (verdict.champion, verdict.challenger):
        raise RegistryRefused(
            f"the verdict compared with {(verdict.champion or 'no champion')[:12]}, the champion "
            f"is {(live or 'none')[:12]}; run `make evaluate`"
        )


def _require_same_origin(training: Training, verdict: Verdict) -> None:
    """Refuse if data or configs changed in the checkout since training and evaluation."""
    trained = text_hash(load(TrainConfig).model_dump_json())
    judged = text_hash(load(EvaluateConfig).model_dump_json())
    for what, then, now in (
        ("data", training.data_hash, lineage.data_hash()),
        ("configs/train.yaml", training.config_hash, trained),
        ("configs/evaluate.yaml", verdict.config_hash, judged),
        (str(ROWS), verdict.features_hash, file_hash(ROWS)),
    ):
        if then != now:
            raise RegistryRefused(
                f"the model was trained or judged with {what} {then[:12]}, the checkout holds "
                f"{now[:12]}; "
                "run `make train evaluate`, or restore the former inputs"
            )


def run() -> str:
    """Register the challenger of data/evaluate/verdict.json and set its alias."""
    config = load(RegisterConfig)
    lineage.require_checkout()
    verdict = read_record(Verdict, EVALUATE / "verdict.json", "evaluate")
    training = read_record(Training, TRAIN / "training.json", "train")
    champion = champions.repair_alias(config)
    if champion is None:
        champions.require_first(config, training.digest)
    version, added = register(config, verdict, training, champion)
    name = f"{config.model_name} version {version.number} (model {version.digest[:12]})"
    if champion is not None and champion.digest == version.digest:
        return f"{name} is already champion: nothing to do"
    alias = CHALLENGER if champion is not None else CHAMPION
    if alias == CHAMPION:
        _record_promotion(version, None)
        champions.update_alias(config)
    else:
        versions.set_alias(config, alias, version.number)
    done = "registered" if added else "was registered before"
    then = "; `make promote` makes it champion" if alias == CHALLENGER else ", the first"
    return f"{name} {done}, now {alias}{then}; lineage {version.tags['git_commit'][:8]}"


def promote() -> str:
    """Make the challenger champion; the former champion stays in the registry.

    A kill between ledger and alias leaves the ledger ahead: the same command sets the alias.

    Raises:
        RegistryRefused: there is no challenger, or its verdict is about another champion.
    """
    config = load(RegisterConfig)
    champion = champions.repair_alias(config)
    challenger = versions.version_of_alias(config, CHALLENGER)
    if challenger is None:
        raise RegistryRefused(
            f"{config.model_name} has no challenger: change a config, then `make champion`"
        )
    if champion is not None and challenger.digest == champion.digest:
        return f"version {champion.number} is champion already: nothing to do"
    live = champion.digest if champion else "baselines only"
    if challenger.tag("compared_with") != live:
        raise RegistryRefused(
            f"challenger version {challenger.number} was compared with "
            f"{challenger.tag('compared_with')[:12]}, the champion is {live[:12]}; "
            "run `make evaluate register`"
        )
    release_consistency.fetch(config, challenger)
    _record_promotion(challenger, champion)
    champions.update_alias(config)
    before = f"version {champion.number}" if champion else "none"
    return f"{config.model_name} version {challenger.number} is champion, before it {before}"


def _record_promotion(version: Version, before: Version | None) -> None:
    """Append the promotion to the ledger: all traffic at once, without a rollout."""
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    now = rollout_ledger.now(clock.arrived_at(manifest.as_of).to_pydatetime())
    move = champions.registration_transition(before or version, now)
    if before is not None:
        by_hand = {"event": "promoted by hand", "shares": {"challenger": rollout_ledger.WHOLE}}
        move = move.model_copy(update={**by_hand, "challenger": champions.side_of(version)})
    rollout_ledger.append(move)


def relocate() -> str:
    """Point the registry of a moved or copied project to the files of its own folder.

    Raises:
        RegistryRefused: the registry's files were not moved or copied with it.
    """
    return locations.relocate(load(RegisterConfig))
