"""Where a model comes from: the commit, the data, the configs and the environment, as digests."""

import getpass
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.shared.config import CONFIGS
from pipeline.shared.contracts import INGEST, Manifest, read_record
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.files import bytes_hash, file_hash, text_hash

_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
"""No hook of the user's may change what was recorded."""
OUTPUTS = [":(exclude)dvc.lock", ":(exclude)data"]
"""What the pipeline itself writes into the checkout; its digests are recorded, not its text."""


def _git(
    *arguments: str, folder: Path | None = None, environment: dict[str, str] | None = None
) -> bytes:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            check=True,
            env={**os.environ, **(environment or {})},
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode(errors="replace").strip() or error
        raise EnvironmentUnfit(
            f"{folder or Path.cwd()} is not a git checkout with a commit: a model's lineage begins "
            "with one; clone the project, or `git init && git add -A && git commit -m start` "
            f"(git says: {said})"
        ) from error
    return done.stdout


def require_checkout(folder: Path | None = None) -> str:
    """The commit that is checked out here, or in `folder`, as 40 hex digits.

    Raises:
        EnvironmentUnfit: this is not a git checkout, or it has no commit yet.
    """
    return _git("rev-parse", "--verify", "HEAD", folder=folder).decode().strip()


def patch() -> bytes:
    """What the working tree changes against its commit, new files included; empty if clean.

    Bytes, since the changed files may hold any; and nothing of the user's own settings for git.
    """
    if not _git("status", "--porcelain", "--untracked-files=normal", "--", ".", *OUTPUTS).strip():
        return b""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git("read-tree", "HEAD", environment=index)
        _git(
            "add", "--all", "--", ".", environment=index
        )  # an exclusion of what is ignored fails here
        compared = ["--patch", "--cached", "--binary", "HEAD", "--", ".", *OUTPUTS]
        return _git("diff-index", *compared, environment=index)


def copy(folder: Path) -> None:
    """Another checkout in `folder`, of the same commit and with the same changes.

    It shares this clone's commits, and nothing else: what it commits or changes stays there.

    Raises:
        EnvironmentUnfit: this is no git checkout, or has no commit yet.
    """
    changed = patch()
    _git("worktree", "prune")
    _git(*_NO_HOOKS, "worktree", "add", "--force", "--detach", str(folder.absolute()), "HEAD")
    if changed:
        with tempfile.NamedTemporaryFile(suffix=".patch") as stream:
            stream.write(changed)
            stream.flush()
            _git("apply", "--whitespace=nowarn", stream.name, folder=folder)


def remove(folder: Path) -> None:
    """Take a checkout that `copy` made away, with everything in it."""
    shutil.rmtree(folder, ignore_errors=True)
    _git("worktree", "prune")


@contextmanager
def worktree(commit: str, patch_file: Path) -> Iterator[Path]:
    """A clean checkout of a commit, with its patch if there is one, in a temporary folder.

    Raises:
        EnvironmentUnfit: this clone does not hold the commit, or the patch does not fit it.
    """
    _git("worktree", "prune")  # what a killed command left
    _require_known(commit)
    with tempfile.TemporaryDirectory(prefix="worktree-") as name:
        folder = Path(name) / "checkout"
        _git(*_NO_HOOKS, "worktree", "add", "--detach", str(folder), commit)
        try:
            if patch_file.is_file():
                _git("apply", "--whitespace=nowarn", str(patch_file.absolute()), folder=folder)
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _require_known(commit: str) -> None:
    try:
        _git("cat-file", "-e", f"{commit}^{{commit}}")
    except EnvironmentUnfit as error:
        raise EnvironmentUnfit(
            f"this clone does not hold commit {commit[:12]}, from which the version was made: "
            f"`git fetch origin {commit}`, or run the same in a clone that has it"
        ) from error


def configs_hash() -> str:
    """One digest over the names and bytes of everything in configs/."""
    found = sorted(path for path in CONFIGS.rglob("*") if path.is_file())
    return text_hash("\n".join(f"{path.as_posix()} {file_hash(path)}" for path in found))


def data_version(snapshots: Iterable[Mapping[str, Any]]) -> str:
    """One digest over the content of snapshots, as the manifest lists them."""
    return text_hash("\n".join("{table} {month} {content_hash}".format(**s) for s in snapshots))


def data_hash() -> str:
    """One digest over the content of every snapshot that has arrived."""
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    return data_version(snapshot.model_dump() for snapshot in manifest.snapshots)


def tree_words(patch_hash: str | None) -> str:
    """How a working tree differs from its commit, in a few words."""
    return f"changed, patch {patch_hash[:12]}" if patch_hash else "clean"


def surroundings() -> dict[str, str]:
    """The Python and the kind of machine that this runs on."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def who() -> str:
    """Who acts: the CI's user, git's user, or the account's name."""
    named = _git("config", "--get", "--default", "", "user.name").decode(errors="replace").strip()
    return os.environ.get("GITHUB_ACTOR") or named or getpass.getuser()


def collect() -> dict[str, str]:
    """The lineage of what the checkout holds now, each entry a short text."""
    changed = patch()
    return {
        "git_commit": require_checkout(),
        "git_tree": tree_words(bytes_hash(changed) if changed else None),
        "data_hash": data_hash(),
        "configs_hash": configs_hash(),
        "dvc_lock_hash": file_hash(Path("dvc.lock")) if Path("dvc.lock").is_file() else "none yet",
        "environment_hash": file_hash(Path("requirements.lock")),
        **surroundings(),
    }
