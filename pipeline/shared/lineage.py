"""Where a model comes from: the commit, the data, the configs and the environment, as digests."""

import os
import platform
import subprocess
import tempfile
from pathlib import Path

from pipeline.shared.config import CONFIGS
from pipeline.shared.contracts import INGEST, Manifest, read_record
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.files import bytes_hash, file_hash, text_hash

OUTPUTS = [":(exclude)dvc.lock", ":(exclude)data"]
"""What the pipeline itself writes into the checkout; its digests are recorded, not its text."""


def _git(*arguments: str, **environment: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            check=True,
            env={**os.environ, **environment},
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode(errors="replace").strip() or error
        raise EnvironmentUnfit(
            f"{Path.cwd()} is not a git checkout with a commit: a model's lineage begins with one; "
            "clone the project, or `git init && git add -A && git commit -m start` "
            f"(git says: {said})"
        ) from error
    return done.stdout


def require_checkout() -> str:
    """The commit that is checked out, as 40 hex digits.

    Raises:
        EnvironmentUnfit: this is not a git checkout, or it has no commit yet.
    """
    return _git("rev-parse", "--verify", "HEAD").decode().strip()


def patch() -> bytes:
    """What the working tree changes against its commit, new files included; empty if clean.

    Bytes, since the changed files may hold any; and nothing of the user's own settings for git.
    """
    if not _git("status", "--porcelain", "--untracked-files=normal", "--", ".", *OUTPUTS).strip():
        return b""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git("read-tree", "HEAD", **index)
        _git("add", "--all", "--", ".", **index)  # an exclusion of what is ignored fails here
        compared = ["--patch", "--cached", "--binary", "HEAD", "--", ".", *OUTPUTS]
        return _git("diff-index", *compared, **index)


def configs_hash() -> str:
    """One digest over the names and bytes of everything in configs/."""
    found = sorted(path for path in CONFIGS.rglob("*") if path.is_file())
    return text_hash("\n".join(f"{path.as_posix()} {file_hash(path)}" for path in found))


def data_hash() -> str:
    """One digest over the content of every snapshot that has arrived."""
    manifest = read_record(Manifest, INGEST / "manifest.json", "ingest")
    return text_hash("\n".join(f"{s.table} {s.month} {s.content_hash}" for s in manifest.snapshots))


def collect() -> dict[str, str]:
    """The lineage of what the checkout holds now, each entry a short text."""
    changed = patch()
    return {
        "git_commit": require_checkout(),
        "git_tree": f"changed, patch {bytes_hash(changed)[:12]}" if changed else "clean",
        "data_hash": data_hash(),
        "configs_hash": configs_hash(),
        "dvc_lock_hash": file_hash(Path("dvc.lock")) if Path("dvc.lock").is_file() else "none yet",
        "environment_hash": file_hash(Path("requirements.lock")),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
