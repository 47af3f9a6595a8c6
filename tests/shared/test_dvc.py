"""DVC as people have it: a cache that a team shares, folders with any name, failures with words."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.shared import dvc, dvc_lock
from pipeline.shared.errors import DataUnavailable
from tests.rules.tree import ROOT
from tests.shared import project

pytestmark = [pytest.mark.slow, pytest.mark.answer("three-artefacts")]


@pytest.fixture
def shared(tmp_path_factory, monkeypatch):
    """The cache of a team in a user's settings, which link and share as they like."""
    home = tmp_path_factory.mktemp("home")
    cache = home / "né 100%#"
    lines = ("[cache]", f'    dir = "{cache}"', "    type = copy", "    shared = group")
    (home / "config").write_text("\n".join([*lines, "[core]", "    autostage = true"]) + "\n")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(home))
    return cache


@pytest.fixture
def beside(shared, tmp_path_factory):
    """Another checkout of the project, whose folder has an accent in its name."""
    folder = tmp_path_factory.mktemp("né") / "p"
    project.git("clone", "--quiet", ".", str(folder))
    return folder


def test_in_the_users_own_checkout_their_cache_is_used(started, shared):
    assert dvc.cache(Path()) == shared
    assert dvc.list_settings(Path())["core.autostage"] == "true"


def test_a_replay_uses_the_cache_that_this_checkout_uses_and_no_other_setting(
    started, shared, beside
):
    with (shared.parent / "config").open("a") as stream:
        stream.write("    hardlink_lock = true\n")
    dvc_lock.use_cache(beside)
    settings = dvc.isolated_environment()
    assert dvc.run(beside, "cache", "dir", settings=settings).strip() == str(shared)
    found = dvc.run(beside, "config", "--list", settings=settings)
    assert "cache.type=copy" in found
    assert "cache.shared=group" in found
    assert "core.hardlink_lock=true" in found
    assert "core.autostage" not in found
    assert f"remote.local.url={Path('.dvc/remote').absolute()}" in found
    assert project.git("-C", str(beside), "status", "--porcelain") == ""


def test_a_rebuilt_checkout_uses_its_own_cache_and_the_users_remote(started, shared, beside):
    dvc_lock.use_remote(beside, dvc_lock.remote(Path()))
    settings = dvc.isolated_environment()
    cache = dvc.run(beside, "cache", "dir", settings=settings).strip()
    assert cache == str(beside / ".dvc/cache")
    found = dvc.run(beside, "config", "--list", settings=settings)
    assert "cache.type" not in found
    assert "core.remote=local" in found


@pytest.mark.long
def test_what_only_this_checkout_has_is_named_with_the_cache_that_lacks_it(judged, beside):
    (beside / "dvc.lock").write_bytes(Path("dvc.lock").read_bytes())
    dvc_lock.use_cache(beside)
    with pytest.raises(DataUnavailable) as refused:
        dvc_lock.checkout(beside)
    said = str(refused.value)
    assert "outputs are here and not in DVC's cache" in said
    assert str(dvc.cache(Path())) in said
    advice = "`dvc commit` stores those that are here"
    assert advice in said
    dvc.run(Path(), "commit", "--force")
    dvc_lock.checkout(beside)
    assert dvc_lock.md5(beside / "data/train/model.onnx") == dvc_lock.md5(
        Path("data/train/model.onnx")
    )


def test_a_failure_is_told_with_its_exit_code_and_reason(started):
    with pytest.raises(
        DataUnavailable,
        match=r"`dvc repro nothing` in .* ended with 255, 0 was .*"
        r"ERROR: .*nothing",
    ):
        dvc.run(Path(), "repro", "nothing")


def _by_make(*arguments):
    """DVC as make runs it; the exit code and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.shared.dvc", *arguments],
        env=dvc.isolated_environment() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.long
def test_no_advice_of_dvc_reaches_the_reader_of_make_and_its_errors_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project.git("init", "--quiet")
    dvc.run(tmp_path, "init", "--quiet", settings=dvc.isolated_environment())
    stages = {"stages": {"one": {"cmd": "echo said"}, "two": {"cmd": "exit 3"}}}
    Path("dvc.yaml").write_text(json.dumps(stages))
    code, said = _by_make("repro", "one")
    assert code == 0
    assert "Running stage 'one':\n> echo said\nsaid\n" in said
    assert not re.search("remote storage|track the changes|autostage", said)
    code, said = _by_make("repro", "two")
    assert code == 255
    assert "ERROR: failed to reproduce 'two': " in said


def test_a_pull_that_fails_for_another_reason_tells_that_reason(judged, beside):
    (beside / "dvc.lock").write_bytes(Path("dvc.lock").read_bytes())
    dvc_lock.use_remote(beside, {"name": "local", "url": "nowhere://there"})
    with pytest.raises(DataUnavailable, match=r"DVC says: ERROR: .*nowhere"):
        dvc_lock.pull(beside, dvc_lock.output_digests(Path()))


def test_a_setting_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(DataUnavailable, match="both kinds of quotes"):
        dvc.configure(tmp_path, {"cache": {"dir": "a'b\"c"}})
