"""Copies of versions in another, empty registry: one champion, or all that a registry has lost."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.registry import locations
from pipeline.registry.client import connect, experiment_id
from pipeline.registry.versions import CHAMPION, Version, fetch_model
from pipeline.shared.config.register import RegisterConfig


def copy_champion(config: RegisterConfig, champion: Version, model: Path) -> str:
    """Copy a version into another, empty registry as its champion; returns its number there."""
    client = connect(config)
    locations.require_written_here(config)
    run = client.create_run(experiment_id(client, config))
    client.log_artifact(run.info.run_id, str(model), "model")
    client.create_registered_model(config.model_name)
    source = f"{run.info.artifact_uri}/model"
    added = client.create_model_version(
        config.model_name, source=source, run_id=run.info.run_id, tags=champion.tags
    )
    client.set_terminated(run.info.run_id)
    client.set_registered_model_alias(config.model_name, CHAMPION, added.version)
    return str(added.version)


@dataclass(frozen=True)
class VersionFiles:
    """A version to restore: model, release files, their `place` in the run, and tags."""

    model: Path
    papers: Path
    place: str
    tags: dict[str, str]


def restore(config: RegisterConfig, versions: dict[int, VersionFiles]) -> None:
    """Fill an empty registry with versions of these numbers; the numbers between stay unused."""
    client = connect(config)
    client.create_registered_model(config.model_name)
    for number in range(1, max(versions) + 1):
        run = client.create_run(experiment_id(client, config))
        source = f"{run.info.artifact_uri}/model"
        tags: dict[str, str] = {}
        if (one := versions.get(number)) is not None:
            client.log_artifact(run.info.run_id, str(one.model), "model")
            client.log_artifacts(run.info.run_id, str(one.papers), one.place)
            tags = one.tags
        added = client.create_model_version(
            config.model_name, source=source, run_id=run.info.run_id, tags=tags
        )
        client.set_terminated(run.info.run_id)
        if one is None:
            client.delete_model_version(config.model_name, added.version)
        else:
            fetch_model(
                config, Version.of(client.get_model_version(config.model_name, added.version))
            )
