"""The model registry: versions, their tags and approvals, and the aliases that point at them.

A version is one registered model. Its file is loaded only if it is the one that was registered.
"""

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.registry import locations, run_description
from pipeline.registry.client import connect, download, registered_model, require_kept, store_exists
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import ArtifactTampered, RegistryRefused, VersionUnknown
from pipeline.shared.files import file_hash

_APPROVAL = "approval."
CHAMPION, CHALLENGER = "champion", "challenger"
MODEL_FILE = "model.onnx"
_LOGGED = "models:/m-"
"""The prefix of a version's source, before the id of its logged model."""


@dataclass(frozen=True)
class Version:
    """A registered model: its number, its file's digest, its run, its tags."""

    number: str
    digest: str
    run_id: str
    tags: dict[str, str]

    @classmethod
    def of(cls, entry: Any) -> "Version":
        """The version of an entry of MLflow."""
        tags = dict(entry.tags)
        return cls(str(entry.version), tags.get("model_digest", ""), str(entry.run_id), tags)

    def tag(self, name: str) -> str:
        """A tag that `register` gives to every version.

        Raises:
            RegistryRefused: the version was registered by other means.
        """
        if name not in self.tags:
            raise RegistryRefused(
                f"version {self.number} has no tag {name!r}, so `make register` did not write it; "
                "point the alias at one that it wrote"
            )
        return self.tags[name]

    @property
    def releases(self) -> set[str]:
        """Its release, and those before it was evaluated again."""
        return {self.tag("release"), *self.tags.get("releases_before", "").split()}


@dataclass(frozen=True)
class RegistryContents:
    """The model's versions by number, and its aliases.

    `remembered` holds the numbers that aliases were last set to: MLflow deletes an alias with its
    version, and anybody with write access can delete an alias alone.
    """

    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    remembered: dict[str, str] = field(default_factory=dict)


def version_of_alias(config: RegisterConfig, alias: str) -> Version | None:
    """The version that an alias names, or None where the alias is not set.

    For the champion, use champions.py: the ledger names it, and the alias follows.

    Raises:
        RegistryRefused: the alias names a version that is gone.
    """
    if not store_exists(config):
        return None
    client = connect(config)
    model = registered_model(client, config)
    if model is None or alias not in model.aliases:
        return None
    number = model.aliases[alias]
    with require_kept(config, alias, str(number), "the registry"):
        return Version.of(client.get_model_version(config.model_name, number))


def registry_contents(config: RegisterConfig) -> RegistryContents:
    """All versions and aliases of the model; empty without a registry."""
    if not store_exists(config):
        return RegistryContents()
    model = registered_model(connect(config), config)
    if model is None:
        return RegistryContents()
    aliases = {name: str(number) for name, number in model.aliases.items()}
    versions = {version.number: version for version in _versions(config)}
    return RegistryContents(versions, aliases, dict(model.tags))


def _source(client: Any, config: RegisterConfig, number: str) -> str:
    """The address of a version's model folder, also in another project's registry."""
    source = str(client.get_model_version(config.model_name, number).source)
    if locations.project(config) == Path.cwd().resolve():
        return source
    if source.startswith(_LOGGED):
        source = str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)
    return locations.resolve(config, source)


def fetch_model(config: RegisterConfig, registered: Version) -> Path:
    """Fetch a registered version's model file and verify its digest.

    Raises:
        RegistryRefused: the file is gone from the store.
        ArtifactTampered: the file is not the one that was registered.
    """
    client = connect(config)
    source = _source(client, config, registered.number)
    with require_kept(config, "in use", registered.number, str(config.artifacts_url)):
        path = download(source) / MODEL_FILE
        actual = file_hash(path)
    if actual != registered.digest:
        raise ArtifactTampered(
            f"{config.model_name} version {registered.number} has SHA-256 {actual[:12]}…, "
            f"{registered.digest[:12]}… was registered; it is not loaded: restore "
            f"{config.artifacts_url} from a backup; {REPAIR}"
        )
    return path


def get_version(config: RegisterConfig, name: str) -> Version:
    """The version with this number or alias.

    Raises:
        VersionUnknown: the name is not valid, or the registry has no such version.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}|[a-z][a-z0-9-]{0,60}", name):
        raise VersionUnknown(
            f"{name!r} is no version: name a number such as 1, or an alias such as {CHAMPION}, as "
            "in `make lineage VERSION=1`"
        )
    registered = registered_model(connect(config), config) if store_exists(config) else None
    aliases = dict(registered.aliases) if registered else {}
    versions = {version.number: version for version in _versions(config)} if registered else {}
    version = versions.get(str(aliases.get(name, name)))
    if version is None:
        newest = max(map(int, versions), default=1)
        raise VersionUnknown(
            f"{config.model_name} has no version {name!r} in {config.tracking_url}; it "
            f"has {len(versions)} version(s) {sorted(map(int, versions))[-5:]} and the aliases "
            f"{sorted(aliases)}; see `make lineage VERSION={newest}`, or register one: `make "
            "champion`"
        )
    return version


def version_of_release(config: RegisterConfig, release: str) -> Version:
    """The version whose release has this digest.

    Raises:
        VersionUnknown: there is none.
    """
    versions = _versions(config) if store_exists(config) else []
    for registered in versions:
        if registered.tags.get("release") == release:
            return registered
    raise VersionUnknown(
        f"{config.model_name} has no version with the release {release[:12]} in "
        f"{config.tracking_url}; it has {len(versions)} version(s), and `make lineage` "
        "shows the champion's"
    )


def _versions(config: RegisterConfig) -> list[Version]:
    entries = connect(config).search_model_versions(f"name = '{config.model_name}'")
    return [Version.of(entry) for entry in entries]


def find_version(config: RegisterConfig, digest: str) -> Version | None:
    """The registered version with this model digest, if there is one."""
    same = [version for version in _versions(config) if version.digest == digest]
    return min(same, key=lambda v: int(v.number)) if same else None


def add_version(
    config: RegisterConfig, run_id: str, digest: str, tags: dict[str, str], description: str = ""
) -> Version:
    """Register the model of a run as a new version with its lineage as tags."""
    client = connect(config)
    if registered_model(client, config) is None:
        client.create_registered_model(
            config.model_name, description=run_description.MODEL_DESCRIPTION
        )
    models = client.get_run(run_id).outputs.model_outputs
    added = client.create_model_version(
        config.model_name,
        source=f"models:/{models[0].model_id}",
        run_id=run_id,
        tags={**tags, "model_digest": digest},
        description=description or None,
    )
    registered = Version.of(client.get_model_version(config.model_name, added.version))
    fetch_model(config, registered)
    return registered


def set_alias(config: RegisterConfig, alias: str, number: str) -> None:
    """Point an alias at a version, atomically.

    A tag of the model keeps the number, so that an alias lost later can be reported. The alias is
    set last: after a kill before that, the old alias stands and the call can be repeated.
    """
    client = connect(config)
    client.set_registered_model_tag(config.model_name, alias, number)
    client.set_registered_model_alias(config.model_name, alias, number)


def set_tags(config: RegisterConfig, registered: Version, tags: dict[str, str]) -> Version:
    """Add or replace tags of a version; returns the version with them."""
    client = connect(config)
    for name, value in tags.items():
        client.set_model_version_tag(config.model_name, registered.number, name, value)
    return replace(registered, tags={**registered.tags, **tags})


def fetch_folder(config: RegisterConfig, registered: Version, place: str) -> Path:
    """Fetch the folder `place` of a version's run.

    Raises:
        RegistryRefused: it is gone from the store.
    """
    client = connect(config)
    with require_kept(config, place, registered.number, str(config.artifacts_url)):
        artifacts = locations.resolve(config, client.get_run(registered.run_id).info.artifact_uri)
        return download(f"{artifacts}/{place}")


def folder_of(config: RegisterConfig, registered: Version, place: str) -> Path:
    """The path of the folder `place` of a version's run in a local store."""
    return _local(f"{connect(config).get_run(registered.run_id).info.artifact_uri}/{place}")


def model_of(config: RegisterConfig, registered: Version) -> Path:
    """The path of a version's model file in a local store."""
    uri = connect(config).get_model_version_download_uri(config.model_name, registered.number)
    return _local(uri) / MODEL_FILE


def _local(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def approve(config: RegisterConfig, registered: Version, words: dict[str, str]) -> None:
    """Add an approval to a version, with its wall-clock instant; none is replaced.

    Each ledger entry has one approval: a second one for the same entry is not added.
    """
    known = approvals(registered)
    if any(one.get("entry", "") == words["entry"] for one in known):
        return
    given = {**words, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    name = f"{_APPROVAL}{len(known) + 1:03}"
    set_tags(config, registered, {name: json.dumps(given, sort_keys=True)})


def approvals(registered: Version) -> list[dict[str, str]]:
    """A version's approvals, by whom and when, the oldest first."""
    names = sorted(name for name in registered.tags if name.startswith(_APPROVAL))
    return [json.loads(registered.tags[name]) for name in names]
