"""The graph: what dvc.lock says that each stage read and wrote, and moving those files.

DVC names a file by the MD5 of its bytes, and a folder by that of its list.
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
    """What a stage of the graph was run with and what it wrote: paths and their MD5, and params."""

    deps: dict[str, str]
    params: dict[str, Any]
    outs: dict[str, str]


def read_lock(path: Path) -> dict[str, Stage]:
    """The stages of a dvc.lock, in the order of the flow.

    Raises:
        ArtifactTampered: it is not what DVC writes.
    """
    try:
        found = yaml_files.parse(path.read_text(encoding="utf-8"))
        return _in_order({n: _stage(entry) for n, entry in (found.get("stages") or {}).items()})
    except (yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ArtifactTampered(
            f"{path} is not what DVC writes ({' '.join(str(error).split())}); "
            f"`mv {shell_quote(path)} {shell_quote(path)}.before`, then `git checkout HEAD -- "
            "dvc.lock` brings the committed one back, and `make evaluate` makes a new one"
        ) from error


def _in_order(stages: dict[str, Stage]) -> dict[str, Stage]:
    """The stages, each after those whose outputs it read; DVC lists them in any order."""
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
    """The MD5 by which DVC names a file or a folder; None where there is neither."""
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
    """Where a cache keeps the file with this MD5."""
    return cache / "files" / "md5" / md5_of[:2] / md5_of[2:]


def members(md5_of: str, cache: Path) -> dict[str, str]:
    """The files of a folder that is in a cache: their paths within it, and their MD5."""
    listed = json.loads(cache_path(md5_of, cache).read_text(encoding="utf-8"))
    return {entry["relpath"]: entry["md5"] for entry in listed}


def output_digests(folder: Path) -> dict[str, str]:
    """Every file that the graph of a checkout has written, those in its folders too: its MD5."""
    outs = [folder / path for stage in read_lock(folder / LOCK).values() for path in stage.outs]
    found = [file for out in outs for file in ([out] if out.is_file() else files.members(out))]
    return {file.relative_to(folder).as_posix(): str(md5(file)) for file in found}


def push() -> None:
    """Store everything that dvc.lock names in the remote.

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
    """Fetch what the dvc.lock of a checkout names from its remote, and from nowhere else.

    `recorded` holds the MD5 of every file behind that lock, so that what is lost can be named.

    Raises:
        DataUnavailable: a file is missing there, or is not what its name says.
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
    """The outputs that a checkout's dvc.yaml leaves to git: small figures that people compare."""
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
    """Run every stage of a checkout's graph, cached or not, with the Python of `bin_folder`.

    What the stages say goes where this process says it. Returns whether it came to its end.
    """
    path = f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [str(bin_folder / "python"), "-m", "dvc", "repro", "--force"]
    settings = {**dvc.isolated_environment(), "PATH": path}
    return subprocess.run(command, cwd=folder, env=settings, check=False).returncode == 0


def repro(target: str) -> str:
    """Bring a stage and all before it up to date; what they said.

    Raises:
        PipelineError: the one by which a stage refused, told again in its words.
        GraphFailed: a stage ended otherwise than by a refusal, or DVC itself did.
    """
    said = []
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
            said.append(line)
            if _STAGE_END.match(line):
                sys.stderr.write(line)
    words = "".join(said)
    if process.returncode:
        raise _refusal(target, words)
    return words


_STAGE_END = re.compile(r"[a-z]+ +\d+\.\d s  ")
"""The line with which a stage ends."""
_REFUSAL = re.compile(r"^[a-z]+: ([A-Z][A-Za-z]+): ", re.MULTILINE)
"""How a refusal begins; it ends where DVC's own words begin."""


def _refusal(target: str, words: str) -> Exception:
    found = _REFUSAL.search(words)
    kind = getattr(errors, found[1], None) if found else None
    if found and isinstance(kind, type) and issubclass(kind, (PipelineError, errors.UsageError)):
        return kind(words[found.end() :].partition("\nERROR: ")[0].strip())
    last = " ".join(words.split()[-60:])
    return GraphFailed(
        f"`dvc repro {target}` ended without a refusal: {last}; run it again and read what it says"
    )


def remote(folder: Path) -> dict[str, str]:
    """The settings of a checkout's default remote, its address in full."""
    return _remote(folder, dvc.list_settings(folder))


def _remote(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    name = settings.get("core.remote", "")
    found = _within(f"remote.{name}", settings)
    if "url" not in found:
        raise DataUnavailable(
            f"{folder.resolve()} names no DVC remote to fetch recorded data from; "
            "add one with `dvc remote add --default NAME URL`"
        )
    return found | {"name": name, "url": _in_full(folder, found["url"])}


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
    """Let a checkout use another one's remote, and no cache but its own; no file of git changes."""
    _use(folder, settings, {"dir": str((folder / ".dvc/cache").absolute())}, {})


def use_cache(folder: Path) -> None:
    """Let another checkout of this project keep its data where this one does, and as it does."""
    settings = dvc.list_settings(Path())
    cache = _within("cache", settings) | {"dir": str(dvc.cache(Path()))}
    # Both are on one file system, and this says which locks it knows.
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
    """Bring what the dvc.lock of a checkout names into it, as far as the cache has it.

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
