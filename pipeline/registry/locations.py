"""The locations of the registry's files: relative paths, so the project can be moved and copied.

MLflow stores the folder of each experiment, run and model by its full path. Where database and
artifacts both lie in the project, the experiment gets a relative one instead; MLflow hands it on to
everything below, and any tool started in the project's folder understands it. A registry with full
paths, such as an older one, is compared with its actual folder, and `relocate` updates the paths.
"""

import contextlib
import re
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pipeline.shared import databases, installation
from pipeline.shared.config.loading import CONFIGS, load
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.databases import database, require_made
from pipeline.shared.errors import RegistryRefused, shell_quote
from pipeline.shared.files import atomic_write

_OURS = "experiment_id IN (SELECT experiment_id FROM experiments WHERE name = :experiment)"
_ROOTS = {
    ("experiments", "artifact_location"): "name = :experiment",
    ("runs", "artifact_uri"): _OURS,
    ("logged_models", "artifact_location"): _OURS,
}
"""Tables and columns of MLflow's database that hold a folder; the condition selects our rows."""
_BELOW = {
    ("model_versions", "storage_location"): "name = :model",
    ("model_versions", "source"): "name = :model",
}
"""Columns that repeat one of those folders."""
_MARK = CONFIGS / "register.yaml"
_LAYOUT = re.compile(r"/(?:[0-9a-f]{32}|models/m-[0-9a-f]{32})/artifacts$")
"""The path that MLflow appends to an experiment's folder for a run or a model."""

_VERSIONS = (
    "SELECT version FROM model_versions WHERE name = ? AND current_stage <> 'Deleted_Internal'"
)
_ALIASES = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
_RELEASES = """
SELECT version, value FROM model_version_tags
WHERE name = ? AND key IN ('release', 'releases_before')
"""


def artifact_location(config: RegisterConfig) -> str:
    """The folder of a new experiment as MLflow stores it: relative where it lies in the project."""
    if config.artifacts is None:
        return config.artifacts_url.get_secret_value()
    here, folder = Path.cwd().resolve(), config.artifacts.resolve()
    inside = config.database is not None and config.database.resolve().is_relative_to(here)
    if inside and folder.is_relative_to(here):
        relative = folder.relative_to(here).as_posix()
        if quote(relative) == relative:  # MLflow reads percent signs in it
            return relative
    return folder.as_uri()


def set_location(config: RegisterConfig, experiment: str) -> None:
    """Set a new experiment's location in the database: MLflow would make the path a full one."""
    if config.database is not None:
        with _database(config) as connection:
            connection.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                (artifact_location(config), experiment),
            )


@contextlib.contextmanager
def _database(config: RegisterConfig) -> Iterator[sqlite3.Connection]:
    assert config.database is not None
    require_made(config.database, "registry")
    with (
        database(config.database, "registry"),
        contextlib.closing(
            sqlite3.connect(config.database, timeout=databases.BUSY_SECONDS)
        ) as connection,
        connection,
    ):
        yield connection


def _values(
    connection: sqlite3.Connection, config: RegisterConfig, places: dict[tuple[str, str], str]
) -> Iterator[tuple[str, str, str]]:
    """Each table and column of `places`, with every value in this project's rows."""
    ours = {"experiment": config.experiment, "model": config.model_name}
    for (table, column), where in places.items():
        if connection.execute(
            "SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)
        ).fetchone():
            query = f"SELECT DISTINCT {column} FROM {table} WHERE {where} AND {column} IS NOT NULL"
            for (value,) in connection.execute(query, ours).fetchall():
                yield table, column, value


def _roots(connection: sqlite3.Connection, config: RegisterConfig) -> set[str]:
    """The stored local folders of the experiment's files."""
    values = {_LAYOUT.sub("", value) for *_, value in _values(connection, config, _ROOTS)}
    return {value for value in values if urlsplit(value).scheme in ("", "file")}


def project(config: RegisterConfig) -> Path:
    """The project folder that a registry's relative paths start from, also for other projects."""
    here = Path.cwd().resolve()
    above = config.database.resolve().parents if config.database else ()
    return next((folder for folder in above if (folder / _MARK).is_file()), here)


def resolve(config: RegisterConfig, stored: str) -> str:
    """A stored path or address, resolved for use from this folder."""
    own = project(config)
    if own == Path.cwd().resolve() or urlsplit(stored).scheme or Path(stored).is_absolute():
        return stored
    return (own / stored).as_uri()


def require_written_here(config: RegisterConfig) -> None:
    """Refuse to add files to another project's registry: MLflow would put them into this folder.

    Raises:
        RegistryRefused: its paths are relative to the other project.
    """
    if config.database is None or not config.database.is_file():
        return
    with _database(config) as connection:
        relative = any(resolve(config, root) != root for root in _roots(connection, config))
    if relative:
        raise RegistryRefused(
            f"{config.database} is the registry of {project(config)}, which names its files by "
            f"paths from there, and this is {Path.cwd()}: it is read here and written there; "
            "change tracking_url in configs/register.yaml to one of this project's own, or for "
            "both to one that lies in neither"
        )


def _folder(config: RegisterConfig, stored: str) -> Path:
    return (project(config) / unquote(urlsplit(stored).path)).resolve()


def require_own_files(config: RegisterConfig) -> None:
    """Refuse a registry whose files are not in this project's folder.

    Raises:
        RegistryRefused: it was moved or copied.
        StorageFailed: another program has locked it.
        ArtifactTampered: it is not a database.
    """
    if config.database is None or not config.database.is_file():
        return
    with _database(config) as connection:
        roots = _roots(connection, config)
    if config.artifacts is None:
        return
    here, own = config.artifacts.resolve(), project(config)
    for other in sorted({_folder(config, root) for root in roots} - {here}):
        if own != Path.cwd().resolve():
            raise RegistryRefused(
                f"{config.database} is the registry of {own} and keeps its files in {other}, this "
                f"project keeps them in {here}; change artifacts_url in configs/register.yaml to "
                f"{other} to read it here, or tracking_url to a registry of this project's own"
            )
        raise RegistryRefused(
            f"{config.database} keeps its files in {other}, this project keeps them in {here}: it "
            "was moved or copied, or another project keeps it; nothing was written to either "
            "folder: `make relocate` lets the registry name the files that are here"
        )


def versions(config: RegisterConfig) -> dict[str, set[str]]:
    """The releases of each version in a local registry, read without MLflow."""
    with _database(config) as connection:
        numbers = connection.execute(_VERSIONS, (config.model_name,)).fetchall()
        tags = connection.execute(_RELEASES, (config.model_name,)).fetchall()
    releases: dict[str, set[str]] = {str(number): set() for (number,) in numbers}
    for number, value in tags:
        releases.get(str(number), set()).update(str(value).split())
    return releases


def aliases(config: RegisterConfig) -> dict[str, str]:
    """The aliases of a local registry with their versions, read without MLflow."""
    with _database(config) as connection:
        return {
            str(alias): str(number)
            for alias, number in connection.execute(_ALIASES, (config.model_name,))
        }


def relocate(config: RegisterConfig) -> str:
    """Update registry, replays and environment to this folder; returns a summary.

    Raises:
        RegistryRefused: the registry's files are elsewhere, and not here.
    """
    changed = _relocate_registry(config)
    for folder in sorted(installation.REPLAYS.glob("*/")):
        changed += [str(folder)] if installation.attach_replay(folder) else []
        if (folder / CONFIGS).is_dir():
            with contextlib.chdir(folder):
                changed += [f"{folder}/{made}" for made in _relocate_registry(load(RegisterConfig))]
    scripts = installation.relocate_scripts(Path(sys.prefix) / "bin")
    changed += [f"{scripts} scripts of {sys.prefix}"] if scripts else []
    return f"{'; '.join(changed) or 'nothing to change'}: all names {Path.cwd()}"


def _relocate_registry(config: RegisterConfig) -> list[str]:
    if config.database is None or config.artifacts is None or not config.database.is_file():
        return []
    if project(config) != Path.cwd().resolve():
        return []  # another project's registry
    location = artifact_location(config)
    with _database(config) as connection:
        old = _roots(connection, config) - {location}
        for root in sorted(old):
            _require_moved(connection, config, root)
        if not old:
            return []
        backup = _back_up(config.database)
        connection.execute("BEGIN IMMEDIATE")
        for table, column, value in _values(connection, config, _ROOTS | _BELOW):
            for root in old:
                if value == root or value.startswith(f"{root}/"):
                    new = location + value.removeprefix(root)
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, value)
                    )
    return [f"{config.database} (as it was: {backup})"]


def _require_moved(connection: sqlite3.Connection, config: RegisterConfig, root: str) -> None:
    """Refuse if folders that the registry names below `root` exist there but not here."""
    here, there = Path(str(config.artifacts)).resolve(), _folder(config, root)
    if here == there or not there.is_dir():
        return
    below = [
        unquote(value.removeprefix(root)).lstrip("/")
        for *_, value in _values(connection, config, _ROOTS)
        if value.startswith(f"{root}/")
    ]
    kept = [name for name in below if (there / name).is_dir()]
    if lost := [name for name in kept if not (here / name).is_dir()]:
        raise RegistryRefused(
            f"{len(lost)} of {len(kept)} folders that {config.database} names are in {there} and "
            f"not in {here}, such as {lost[0]}: copy them "
            f"(`cp -a {shell_quote(there)}/. {shell_quote(here)}/`), then "
            "`make relocate`; or name that folder as artifacts_url in configs/register.yaml"
        )


def _back_up(path: Path) -> Path:
    """Copy a database beside itself, under a name with the current time."""
    to = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    with atomic_write(to) as temporary:
        temporary.touch(mode=0o600)
        with (
            contextlib.closing(sqlite3.connect(path, timeout=databases.BUSY_SECONDS)) as source,
            contextlib.closing(sqlite3.connect(temporary)) as target,
        ):
            source.backup(target)
    return to
