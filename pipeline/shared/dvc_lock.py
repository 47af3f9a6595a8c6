"""The DVC pipeline: dvc.lock's inputs and outputs of each stage, push, pull, repro and checkout.

DVC identifies a file by the MD5 of its bytes, and a folder by the MD5 of its listing.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from pipeline.shared import dvc, errors, files, yaml_files
from pipeline.shared.errors import (
    ArtifactTampered,
    DataUnavailable,
    GraphFailed,
    PipelineError,
    shell_quote,
)

LOCK = Path("dvc.lock")


@dataclass(frozen=True)
class Stage:
    """A stage's recorded run: paths and MD5 of its inputs and outputs, and its params."""

    deps: dict[str, str]
    params: dict[str, Any]
    outs: dict[str, str]


def read_lock(path: Path) -> dict[str, Stage]:
    """The stages of a dvc.lock, in the order of the flow.

    Raises:
        ArtifactTampered: it is not a file that DVC writes.
    """
    try:
        lock = yaml_files.parse(path.read_text(encoding="utf-8"))
        return _in_order({n: _stage(entry) for n, entry in (lock.get("stages") or {}).items()})
    except (yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ArtifactTampered(
            f"{path} is not what DVC writes ({' '.join(str(error).split())}); "
            f"`mv {shell_quote(path)} {shell_quote(path)}.before`, then `git checkout HEAD -- "
            "dvc.lock` brings the committed one back, and `make evaluate` makes a new one"
        ) from error


def _in_order(stages: dict[str, Stage]) -> dict[str, Stage]:
    """The stages in topological order; DVC lists them in any order."""
    needed = {
        name: [
            maker
            for maker, made in stages.items()
            if any(out == dep or out.startswith(f"{dep}/") for out in made.outs for dep in one.deps)
        ]
        for name, one in stages.items()
    }
    return {name: stages[name] for name in TopologicalSorter(needed).static_order()}


def _stage(entry: dict[str, Any]) -> Stage:
    deps, outs = (
        {item["path"]: item["md5"] for item in entry.get(kind, [])} for kind in ("deps", "outs")
    )
    return Stage(deps, entry.get("params", {}), outs)


def md5(path: Path) -> str | None:
    """The MD5 by which DVC identifies a file or a folder; None if there is neither."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest()
    if not path.is_dir():
        return None
    members = [
        {"md5": md5(member), "relpath": member.relative_to(path).as_posix()}
        for member in files.members(path)
    ]
    listed = json.dumps(sorted(members, key=lambda member: str(member["relpath"])), sort_keys=True)
    return f"{hashlib.md5(listed.encode()).hexdigest()}.dir"


def cache_path(md5_of: str, cache: Path) -> Path:
    """The path in a cache of the file with this MD5."""
    return cache / "files" / "md5" / md5_of[:2] / md5_of[2:]


def cached_members(md5_of: str, cache: Path) -> dict[str, str]:
    """The files of a cached folder: their paths within it, and their MD5."""
    listed = json.loads(cache_path(md5_of, cache).read_text(encoding="utf-8"))
    return {entry["relpath"]: entry["md5"] for entry in listed}


def output_digests(folder: Path) -> dict[str, str]:
    """The MD5 of every file that a checkout's DVC pipeline wrote, in folders too."""
    outs = [folder / path for stage in read_lock(folder / LOCK).values() for path in stage.outs]
    paths = [file for out in outs for file in ([out] if out.is_file() else files.members(out))]
    return {path.relative_to(folder).as_posix(): str(md5(path)) for path in paths}


def push() -> None:
    """Push everything that dvc.lock names to the remote.

    Raises:
        DataUnavailable: the remote cannot be written, or a file is in no cache.
    """
    done = dvc.try_run(Path(), "push")
    if done.returncode:
        raise DataUnavailable(
            "what dvc.lock names could not be stored in the DVC remote, and a model whose data are "
            f"nowhere cannot be rebuilt: {dvc.reason(done)}; see `dvc remote list`, then "
            "`make push`"
        )


def pull(folder: Path, recorded: dict[str, str]) -> None:
    """Pull the files of a checkout's dvc.lock from its remote, and from nowhere else.

    `recorded` holds the MD5 of every file behind that lock, so that lost files can be named.

    Raises:
        DataUnavailable: a file is missing there, or its content is not its name's MD5.
    """
    done = dvc.try_run(folder, "pull", "--force", settings=dvc.isolated_environment())
    if not done.returncode:
        return
    cache, elsewhere = folder / ".dvc/cache", uncached_outputs(folder)
    lost = [
        f"{path} ({name})"
        for path, name in recorded.items()
        if path not in elsewhere and md5(cache_path(name, cache)) != name
    ]
    raise DataUnavailable(
        f"{len(lost)} of {len(recorded)} recorded files did not come from the DVC remote as they "
        f"were recorded: {', '.join(lost[:5])}; DVC says: {dvc.reason(done)}; what is missing or "
        "changed there, push again from a checkout that has it (`make push`), or restore the "
        "remote from a backup"
    )


def uncached_outputs(folder: Path) -> list[str]:
    """The outputs that dvc.yaml leaves to git (`cache: false`): small figures for people."""
    graph = yaml_files.parse((folder / "dvc.yaml").read_text(encoding="utf-8"))
    entries = [
        entry
        for stage in graph["stages"].values()
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get(kind, [])
        if isinstance(entry, dict)
    ]
    return [path for e in entries for path, how in e.items() if how.get("cache") is False]


def rerun(folder: Path, bin_folder: Path) -> bool:
    """Run every stage of a checkout's DVC pipeline, cached or not, with `bin_folder`'s Python.

    Its output goes to this process's own. Returns whether it succeeded.
    """
    path = f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [str(bin_folder / "python"), "-m", "dvc", "repro", "--force"]
    settings = {**dvc.isolated_environment(), "PATH": path}
    return subprocess.run(command, cwd=folder, env=settings, check=False).returncode == 0


def repro(target: str) -> str:
    """Bring a stage and all before it up to date; returns their output.

    Raises:
        PipelineError: the refusal of a stage, raised again with its message.
        GraphFailed: a stage or DVC itself failed without a refusal.
    """
    lines = []
    command = [sys.executable, "-m", "dvc", "repro", target]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    with subprocess.Popen(
        command,
        env={**dvc.environment(), "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or []:
            lines.append(line)
            if _STAGE_END.match(line):
                sys.stderr.write(line)
    output = "".join(lines)
    if process.returncode:
        raise _refusal(target, output)
    return output


_STAGE_END = re.compile(r"[a-z]+ +\d+\.\d s  ")
"""A stage's last line."""
_REFUSAL = re.compile(r"^[a-z]+: ([A-Z][A-Za-z]+): ", re.MULTILINE)
"""The start of a refusal, which ends where DVC's own output starts."""


def _refusal(target: str, output: str) -> Exception:
    start = _REFUSAL.search(output)
    kind = getattr(errors, start[1], None) if start else None
    if start and isinstance(kind, type) and issubclass(kind, (PipelineError, errors.UsageError)):
        return kind(output[start.end() :].partition("\nERROR: ")[0].strip())
    last = " ".join(output.split()[-60:])
    return GraphFailed(
        f"`dvc repro {target}` ended without a refusal: {last}; run it again and read what it says"
    )


def remote(folder: Path) -> dict[str, str]:
    """The settings of a checkout's default remote, its address in full."""
    return _remote(folder, dvc.list_settings(folder))


def _remote(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    name = settings.get("core.remote", "")
    own = _within(f"remote.{name}", settings)
    if "url" not in own:
        raise DataUnavailable(
            f"{folder.resolve()} names no DVC remote to fetch recorded data from; "
            "add one with `dvc remote add --default NAME URL`"
        )
    return own | {"name": name, "url": _in_full(folder, own["url"])}


def _within(section: str, settings: dict[str, str]) -> dict[str, str]:
    """The settings of one section, by their names within it."""
    start = f"{section}."
    return {k.removeprefix(start): v for k, v in settings.items() if k.startswith(start)}


def _in_full(folder: Path, url: str) -> str:
    """A remote's address for another checkout: paths are relative to the folder .dvc."""
    if "://" in url or Path(url).is_absolute():
        return url
    return str((folder / ".dvc" / url).resolve())


def use_remote(folder: Path, settings: dict[str, str]) -> None:
    """Let a checkout use another one's remote, but only its own cache; no tracked file changes."""
    _use(folder, settings, {"dir": str((folder / ".dvc/cache").absolute())}, {})


def use_cache(folder: Path) -> None:
    """Let another checkout of this project use this one's cache, with the same settings."""
    settings = dvc.list_settings(Path())
    cache = _within("cache", settings) | {"dir": str(dvc.cache(Path()))}
    # Both are on one file system, and this setting names its kind of locks.
    core = {k: v for k, v in _within("core", settings).items() if k == "hardlink_lock"}
    _use(folder, _remote(Path(), settings), cache, core)


def _use(
    folder: Path, settings: dict[str, str], cache: dict[str, str], core: dict[str, str]
) -> None:
    kept = {key: value for key, value in settings.items() if key != "name"} | {"verify": "true"}
    name = settings["name"]
    sections = {"core": core | {"remote": name}, "cache": cache, f'remote "{name}"': kept}
    dvc.configure(folder, sections)


def checkout(folder: Path) -> None:
    """Check out the files of a checkout's dvc.lock, as far as the cache has them.

    Raises:
        DataUnavailable: DVC failed, or this checkout has a file that its cache lacks.
    """
    dvc.run(folder, "checkout", "--force", "--allow-missing", settings=dvc.isolated_environment())
    named = [path for stage in read_lock(folder / LOCK).values() for path in stage.outs]
    outs = [path for path in named if path not in uncached_outputs(folder)]
    lost = [path for path in outs if Path(path).exists() and not (folder / path).exists()]
    if lost:
        raise DataUnavailable(
            f"{len(lost)} of {len(outs)} outputs are here and not in DVC's cache "
            f"{dvc.cache(Path())}: {', '.join(lost[:5])}; `make pull` fetches them from the "
            "remote, `dvc commit` stores those that are here"
        )
