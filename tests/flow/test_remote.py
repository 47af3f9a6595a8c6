"""What one copy pushes, another pulls: the exact files, or a refusal."""

import pytest

from pipeline.shared.files import file_hash
from tests.flow import life

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
SNAPSHOT = "data/ingest/flights/2013-02.parquet"
TRACKED = ["data/ingest", "data/validate", "data/features", "data/train", "data/evaluate"]


@pytest.fixture(scope="module")
def pushed(small, shelf):
    """A copy that has pushed all that it made to the remote of the project's own config."""
    folder = life.twin(small.folder, shelf / "pushed")
    life.run(folder, "make", "push").well()
    return folder


def _fresh(pushed, folder, *settings):
    """A clone that has no data, and knows the remote."""
    life.clone(pushed, folder)
    for setting in (("url", str(pushed / ".dvc/remote")), *settings):
        life.run(folder, "dvc", "remote", "modify", "--local", "local", *setting).well()
    return folder


def versioned(folder):
    """The hashes of what the graph holds, apart from pages that it does not version."""
    found = [path for top in TRACKED for path in (folder / top).rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): file_hash(path) for path in found}
    return {name: digest for name, digest in named.items() if "/docs/" not in name}


def test_a_pull_brings_the_exact_files_and_runs_no_stage(pushed, tmp_path):
    folder = _fresh(pushed, tmp_path / "pulled")
    done = life.run(folder, "make", "pull").well()
    assert "> python" not in done.words
    assert not (folder / "state").exists()
    assert versioned(folder) == versioned(pushed)
    assert len(versioned(folder)) > 20
    assert "up to date" in life.run(folder, "dvc", "status").well().words


@pytest.fixture(scope="module")
def corrupted(pushed, shelf):
    """A copy whose remote holds a snapshot in which one byte has changed, and nothing else."""
    folder = life.twin(pushed, shelf / "corrupted")
    size = (folder / SNAPSHOT).stat().st_size
    digest = file_hash(folder / SNAPSHOT)
    found = [
        path
        for path in (folder / ".dvc/remote/files/md5").rglob("*")
        if path.is_file() and path.stat().st_size == size and file_hash(path) == digest
    ]
    content = bytearray(found[0].read_bytes())
    content[size // 2] ^= 1
    mode = found[0].stat().st_mode
    found[0].chmod(0o644)
    found[0].write_bytes(content)
    found[0].chmod(mode)  # DVC trusts a file that is read-only, unless it is told to verify
    return folder


def test_a_changed_byte_in_the_remote_is_not_pulled(corrupted, tmp_path):
    folder = _fresh(corrupted, tmp_path / "pulled")
    done = life.run(folder, "make", "pull")
    assert done.code != 0
    assert "failed to pull data from the cloud" in done.words
    assert not (folder / SNAPSHOT).exists()


def test_where_the_remote_is_trusted_the_manifest_still_tells_the_changed_byte(corrupted, tmp_path):
    folder = _fresh(corrupted, tmp_path / "pulled", ("verify", "false"))
    life.run(folder, "make", "pull").well()
    done = life.run(folder, *life.PIPELINE, "validate")
    assert done.code == 1
    assert f"validate: SnapshotChanged: {SNAPSHOT} has bytes" in done.words
