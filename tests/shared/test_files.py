import errno
import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from pipeline.shared.errors import ArtifactMissing, StorageFailed
from pipeline.shared.files import (
    LEFT_OVER,
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    atomic_write,
    file_hash,
    members,
    own_temporary,
    publish,
    read_json,
    read_parquet,
    storage_failure,
    text_hash,
    write_json,
    write_parquet,
    write_text,
)
from tests.rules.tree import ROOT


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "folder" / "file"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # so that the rename is one step
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError("a bug"), KeyboardInterrupt(), OSError(2, "gone")])
def test_what_fails_inside_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "file"
    write_text(path, "old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


LIMITED = """
import resource, signal, sys
sys.dont_write_bytecode = True  # Python itself takes half a file for a whole one
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails instead of the process
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
import pandas as pd
from pathlib import Path
from pipeline.shared.errors import StorageFailed
from pipeline.shared.files import write_json, write_parquet, write_text
path, big = Path("data/big"), list(range(100_000))
writers = {
    "text": lambda: write_text(path, "x" * 100_000),
    "json": lambda: write_json(path, big),
    "parquet": lambda: write_parquet(path, pd.DataFrame({"a": big})),
}
for name, write in writers.items():
    try:
        write()
    except StorageFailed as refused:
        print(name, refused)
"""


def test_a_disk_without_room_is_told_by_every_writer_with_the_free_space(tmp_path):
    write_text(tmp_path / "data/big", "old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = done.stdout.splitlines()
    assert [line.split()[0] for line in told] == ["text", "json", "parquet"]
    for line in told:
        assert "cannot write data/big: " in line
        assert "File too large; " in line
        assert " MB are free in data/" in line
        assert "make room" in line
    assert [(p.name, p.read_text()) for p in (tmp_path / "data").iterdir()] == [("big", "old")]


def test_a_file_where_a_folder_should_be_is_told(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageFailed, match=r"cannot write .*data/train/model\.onnx"):
        write_text(tmp_path / "data/train/model.onnx", "x")


@pytest.mark.parametrize(
    ("number", "is_storage"), [(28, True), (122, True), (30, True), (13, True), (2, False)]
)
def test_an_error_of_the_system_is_told_from_a_bug_by_its_number(tmp_path, number, is_storage):
    failed = storage_failure(tmp_path / "not/yet/there", OSError(number, "as the system says"))
    assert isinstance(failed, StorageFailed) is is_storage
    assert failed is None or f"are free in {tmp_path}/" in str(failed)


def test_equal_values_are_equal_bytes_of_json(tmp_path):
    write_json(tmp_path / "one.json", {"b": 1, "a": [1.5, None]})
    write_json(tmp_path / "two.json", {"a": [1.5, None], "b": 1})
    assert file_hash(tmp_path / "one.json") == file_hash(tmp_path / "two.json")
    assert json.loads((tmp_path / "one.json").read_text()) == {"b": 1, "a": [1.5, None]}


def test_a_number_that_json_does_not_know_is_a_bug_and_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "one.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_read_again(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    write_json(tmp_path / "one.json", {"é": 1})
    write_parquet(tmp_path / "one.parquet", table)
    assert read_json(tmp_path / "one.json", "train") == {"é": 1}
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "one.parquet", "train"), table)
    assert list(read_parquet(tmp_path / "one.parquet", "train", ["b"])) == ["b"]


@pytest.mark.parametrize("read", [read_json, read_parquet])
def test_a_missing_file_names_the_command_that_writes_it(tmp_path, read):
    with pytest.raises(ArtifactMissing, match=r"/gone is missing; `make features` writes it"):
        read(tmp_path / "gone", "features")


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe", b"PAR1 and no more"])
@pytest.mark.parametrize("read", [read_json, read_parquet])
def test_a_damaged_file_names_the_command_that_writes_it(tmp_path, read, content):
    (tmp_path / "damaged").write_bytes(content)
    with pytest.raises(ArtifactMissing, match=r"/damaged .*; run `make features`"):
        read(tmp_path / "damaged", "features")


def test_json_that_is_larger_than_any_of_ours_is_refused_with_both_sizes(tmp_path):
    path = tmp_path / "large.json"
    path.touch()
    os.truncate(path, 10**12)  # a hole, which takes no room on the disk
    told = r"large\.json .*1,000,000,000,000 bytes, at most 4,000,000 .*; run `make train`"
    with pytest.raises(ArtifactMissing, match=told):
        read_json(path, "train")


def test_json_as_large_as_allowed_is_read(tmp_path):
    path = tmp_path / "large.json"
    path.write_text('"' + "x" * (MAX_JSON_BYTES - 2) + '"')
    assert len(read_json(path, "train")) == MAX_JSON_BYTES - 2


@pytest.mark.parametrize("nest", ["[{}]", '{{"a": {}}}', '[0, "]", {}]', '["\\"]", {}]'])
def test_json_that_is_nested_deeper_than_any_of_ours_is_refused_with_both_depths(tmp_path, nest):
    path = tmp_path / "deep.json"
    before, after = (part.replace("{{", "{").replace("}}", "}") for part in nest.split("{}"))
    path.write_text(before * MAX_JSON_DEPTH + "0" + after * MAX_JSON_DEPTH)
    read_json(path, "train")
    path.write_text(before * 100_000 + "0" + after * 100_000)
    told = r"deep\.json .* nested 100,000 deep, at most 50 are read\); run `make train`"
    with pytest.raises(ArtifactMissing, match=told):
        read_json(path, "train")


@pytest.mark.parametrize("text", ['"' + "[" * 100_000 + '"', '["\\\\", "' + "{" * 99 + '"]'])
def test_brackets_within_texts_nest_nothing(tmp_path, text):
    (tmp_path / "flat.json").write_text(text)
    assert read_json(tmp_path / "flat.json", "train") == json.loads(text)


def test_a_text_that_never_ends_is_told_at_once(tmp_path):
    (tmp_path / "endless.json").write_text('"' + '\\"' * 1_900_000)
    with pytest.raises(ArtifactMissing, match="Unterminated string"):
        read_json(tmp_path / "endless.json", "train")


def test_a_table_without_a_column_that_is_asked_for_names_the_command_that_writes_it(tmp_path):
    write_parquet(tmp_path / "rows.parquet", pd.DataFrame({"a": [1]}))
    with pytest.raises(ArtifactMissing, match="run `make features`"):
        read_parquet(tmp_path / "rows.parquet", "features", ["b"])


def test_a_digest_is_sha_256(tmp_path):
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_hash(tmp_path / "abc") == text_hash("abc") == expected


# Names of temporary files.


def test_two_writers_of_one_file_do_not_take_each_others_temporary(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as first:
        first.write_text("first")
        with atomic_write(path) as second:  # as another thread or another process does
            assert second != first
            second.write_text("second")
        assert path.read_text() == "second"
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_live_process_keeps_its_temporary_and_a_killed_one_does_not(tmp_path):
    path = tmp_path / "file"
    writer = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.shared.files import atomic_write\n"
        "with atomic_write(Path('file')) as temporary:\n"
        "    temporary.write_text('of another')\n    print(temporary, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", writer],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        theirs = tmp_path / process.stdout.readline().strip()
        write_text(path, "ours")
        assert theirs.read_text() == "of another"
        process.kill()
    assert theirs.exists()
    write_text(path, "ours again")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("left", [".file.123.tmp", ".file.123.tmp-journal"])
def test_what_an_earlier_version_left_is_removed(tmp_path, left):
    (tmp_path / left).write_text("half")
    write_text(tmp_path / "file", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_another_machine_writes_is_left_alone_for_a_day(tmp_path):
    theirs = tmp_path / ".file.01234567-1-01234567.tmp"
    theirs.write_text("half")
    write_text(tmp_path / "file", "new")
    assert theirs.exists()
    os.utime(theirs, (0, 0))
    write_text(tmp_path / "file", "new")
    assert not theirs.exists()


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("earlier", [None, "old"])
def test_a_whole_file_appears_or_the_earlier_one_stays(tmp_path, monkeypatch, links, earlier):
    if not links:  # as on exFAT

        def refused(*_):
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)
    path = tmp_path / "file"
    if earlier:
        path.write_text(earlier)
    temporary = own_temporary(path)
    temporary.write_text("new")
    publish(temporary, path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", earlier or "new")]


# What file managers and editors leave.

LEFT = [".DS_Store", "._a.py", "Thumbs.db", "desktop.ini", "a.py~", ".a.py.swp", ".directory"]


@pytest.mark.parametrize("left", [*LEFT, "__pycache__/a.pyc", ".ipynb_checkpoints/a.py"])
def test_what_a_file_manager_or_an_editor_leaves_belongs_to_no_folder(tmp_path, left):
    (tmp_path / "x~").mkdir()  # above the folder any name is right
    folder = tmp_path / "x~" / "code"
    (folder / "inner").mkdir(parents=True)
    kept = [folder / "a.py", folder / "inner" / "b.py"]
    for path in kept:
        path.write_text("")
    for place in (folder, folder / "inner"):
        (place / left).parent.mkdir(exist_ok=True)
        (place / left).write_text("")
    assert members(folder) == kept
    assert members(folder, "*.py") == kept[:1]


def test_dvc_leaves_out_what_we_leave_out():
    lines = (ROOT / ".dvcignore").read_text().splitlines()
    assert [line.rstrip("/") for line in lines if not line.startswith("#")] == list(LEFT_OVER)
