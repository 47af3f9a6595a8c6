"""Lineage: the commit, data, configs and environment behind a model, as digests."""

import getpass
import os
import platform
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.shared import git, yaml_files
from pipeline.shared.config.loading import CONFIGS
from pipeline.shared.contracts import INGEST, Manifest, read_record
from pipeline.shared.errors import EnvironmentUnfit, shell_quote
from pipeline.shared.files import bytes_hash, file_hash, is_left_over, members, text_hash

_OUTPUTS = [":(exclude)dvc.lock", ":(exclude)data"]
"""The pipeline's own outputs in the checkout; digests of them are recorded, not their text."""
DVC_YAML = Path("dvc.yaml")
_HERE = Path()
_LITERAL = ":(literal)"


def require_checkout(folder: Path | None = None) -> str:
    """The commit checked out here, or in `folder`, as 40 hex digits.

    Raises:
        EnvironmentUnfit: this is not a git checkout of its own, or it has no commit yet.
    """
    return git.commit(folder or _HERE)


def patch() -> bytes:
    """The working tree's patch against its commit, new files included; empty if clean.

    Bytes, since changed files may hold any; independent of the user's git settings.

    Raises:
        EnvironmentUnfit: git ignores a dependency of the DVC pipeline, which would be missing.
    """
    pathspecs = _pathspecs(_HERE)
    _require_recorded(_HERE, pathspecs)
    status = ["status", "--porcelain", "--untracked-files=normal", "--", ".", *_OUTPUTS]
    if not git.run(_HERE, *status).strip():
        return b""
    own = os.fsdecode(git.run(_HERE, "rev-parse", "--absolute-git-dir")).rstrip("\n")
    with tempfile.TemporaryDirectory(dir=own) as folder:  # a folder that git never records
        index = Path(folder) / "index"
        git.run(_HERE, "read-tree", "HEAD", index=index)
        # _OUTPUTS cannot be excluded here: an exclusion of ignored files fails
        git.run(_HERE, "add", "--all", "--", ".", index=index)
        if forced := _force_added():
            git.run(_HERE, "add", "--force", "--", *forced, index=index)
        _require_no_repository_within(index, pathspecs)
        how = ["--patch", "--cached", "--binary", "--no-ext-diff", "--no-textconv"]
        how += ["--full-index", "HEAD"]
        return git.run(_HERE, "diff-index", *how, "--", ".", *_OUTPUTS, index=index)


def _require_no_repository_within(index: Path, pathspecs: list[str]) -> None:
    """Refuse a nested repository: git records its commit's number and none of its files."""
    listed = git.run(_HERE, "ls-files", "--stage", "-z", "--", *pathspecs, index=index)
    for entry in os.fsdecode(listed).split("\0"):
        if entry.startswith("160000 "):
            within = entry.partition("\t")[2]
            raise EnvironmentUnfit(
                f"{within} is a git repository among the DVC pipeline's dependencies, so "
                f"the recorded patch would hold none of its files: `mv {shell_quote(within)}/.git "
                f"{shell_quote(within)}.git`"
            )


def _force_added() -> list[str]:
    """The ignored files that the user has added by force."""
    listed = git.run(_HERE, "ls-files", "--cached", "--ignored", "--exclude-standard", "-z")
    return [f":(literal){n}" for n in os.fsdecode(listed).split("\0") if n and Path(n).is_file()]


def require_recorded(folder: Path) -> None:
    """Refuse dependencies of the DVC pipeline that neither a commit nor a patch would hold.

    Raises:
        EnvironmentUnfit: a file that git ignores or assumes unchanged, or a link that leads out.
    """
    _require_recorded(folder, _pathspecs(folder))


def _require_recorded(folder: Path, pathspecs: list[str]) -> None:
    if not (folder / DVC_YAML).is_file():
        return
    _require_followed(folder, [Path(path.removeprefix(_LITERAL)) for path in pathspecs])
    _require_watched(folder, pathspecs)
    listed = ["--others", "--ignored", "--exclude-standard", "-z", "--", *pathspecs]
    ignored = os.fsdecode(git.run(folder, "ls-files", *listed)).split("\0")
    lost = [path for path in ignored if path and not is_left_over(Path(path))]
    if lost:
        rule = git.run(folder, "check-ignore", "-v", "--", lost[0]).decode(errors="replace")
        raise EnvironmentUnfit(
            f"git ignores {len(lost)} file(s) that the DVC pipeline depends on, so neither a "
            f"commit nor the recorded patch would hold them: {', '.join(lost[:5])}, by the rule "
            f"{rule.partition(chr(9))[0]}; change that rule, or `git add --force "
            f"{shell_quote(lost[0])}`"
        )


def _pathspecs(folder: Path) -> list[str]:
    """The dependencies of the DVC pipeline, as git's pathspecs."""
    if not (folder / DVC_YAML).is_file():
        return ["."]
    return [f"{_LITERAL}{path}" for path in _sources(folder / DVC_YAML)]


def _require_followed(folder: Path, sources: list[Path]) -> None:
    """Refuse a symlink to an unrecorded target: git records the link, not its target."""
    top = folder.resolve()
    above = {folder / p for source in sources for p in source.parents if p != _HERE}
    below = {path for source in sources for path in [folder / source, *_below(folder / source)]}
    for link in sorted(path for path in above | below if path.is_symlink()):
        to = Path(os.path.realpath(link))
        if to.is_relative_to(top):
            within = [f"{_LITERAL}{to.relative_to(top)}", *_OUTPUTS]
            how = ("--cached", "--others", "--exclude-standard")
            if git.run(folder, "ls-files", *how, "--", *within):
                continue
        raise EnvironmentUnfit(
            f"{link} leads to {to}, and git records where a link leads, not what is there, so "
            "neither a commit nor the recorded patch would hold what the DVC pipeline depends on: "
            f"`rm {shell_quote(link)} && cp -R {shell_quote(to)} {shell_quote(link)}`"
        )


def _below(folder: Path) -> Iterator[Path]:
    """All files and folders below a folder, without leftovers of tools; links are not followed."""
    for place, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(place) / name
            if not is_left_over(path.relative_to(folder)):
                yield path


def _require_watched(folder: Path, pathspecs: list[str]) -> None:
    """Refuse files that git assumes unchanged: they would be recorded as they were before."""
    listed = os.fsdecode(git.run(folder, "ls-files", "-v", "-z", "--", *pathspecs)).split("\0")
    kept = {entry[2:]: entry[0] for entry in listed if entry and (folder / entry[2:]).is_file()}
    if blind := [path for path, state in kept.items() if state.islower() or state == "S"]:
        how = "skip-worktree" if kept[blind[0]] in "Ss" else "assume-unchanged"
        raise EnvironmentUnfit(
            f"git takes {len(blind)} file(s) that the DVC pipeline depends on for unchanged, "
            f"such as {blind[0]}, so a change would not be recorded: "
            f"`git update-index --no-{how} {shell_quote(blind[0])}`"
        )


def _sources(path: Path) -> list[str]:
    """The dependencies in a dvc.yaml that no stage writes: code, configs, the lock."""
    stages = yaml_files.parse(path.read_text(encoding="utf-8"))["stages"].values()
    named = {path for stage in stages for path in stage.get("deps", [])}
    named |= {path for stage in stages for entry in stage.get("params", []) for path in entry}
    return sorted({str(DVC_YAML), *(path for path in named if not path.startswith("data/"))})


def configs_hash() -> str:
    """One digest over the names and bytes of everything in configs/."""
    return text_hash("\n".join(f"{p.as_posix()} {file_hash(p)}" for p in members(CONFIGS)))


def data_version(snapshots: Iterable[Mapping[str, Any]]) -> str:
    """One digest over the content of snapshots, as the manifest lists them."""
    return text_hash("\n".join("{table} {month} {content_hash}".format(**s) for s in snapshots))


def data_hash() -> str:
    """One digest over the content of every snapshot that has arrived."""
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    return data_version(snapshot.model_dump() for snapshot in manifest.snapshots)


def tree_words(patch_hash: str | None) -> str:
    """The state of a working tree against its commit, for tags and pages."""
    return f"changed, patch {patch_hash[:12]}" if patch_hash else "clean"


def platform_versions() -> dict[str, str]:
    """The versions of Python and of the kind of machine."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def actor() -> str:
    """The acting user: CI's, git's, or the account's name."""
    query = ("config", "--get", "--default", "", "user.name")
    named = git.run(_HERE, *query).decode(errors="replace").strip()
    return os.environ.get("GITHUB_ACTOR") or named or account()


def account() -> str:
    """The account's name, or its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the type differs between versions of Python
        return f"uid-{os.getuid()}"


def collect() -> dict[str, str]:
    """The checkout's current lineage, each entry a short text."""
    changed = patch()
    return {
        "git_commit": require_checkout(),
        "git_tree": tree_words(bytes_hash(changed) if changed else None),
        "data_hash": data_hash(),
        "configs_hash": configs_hash(),
        "dvc_lock_hash": file_hash(Path("dvc.lock")) if Path("dvc.lock").is_file() else "none yet",
        "environment_hash": file_hash(Path("requirements.lock")),
        **platform_versions(),
    }
