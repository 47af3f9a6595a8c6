"""requirements.lock: every package pinned and hashed, from nowhere in particular, for everyone."""

import re
import tomllib

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.shared import requirements
from tests.rules import tree

PROJECT = tomllib.loads(tree.read("pyproject.toml"))["project"]
DIRECT = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
ENTRIES = [
    line
    for line in tree.read("requirements.lock").replace("\\\n", "").splitlines()
    if line and not line.startswith(("#", "-"))
]
PINNED = [Requirement(entry.partition("--hash")[0].strip()) for entry in ENTRIES]
MACHINES = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
PYTHONS = ["3.11", "3.12", "3.13"]


def _versions(name: str, python: str, machine: tuple[str, str]) -> list[str]:
    """The versions that a machine would install of a package: one, if the lock is right."""
    platform, processor = machine
    here = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_machine": processor,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[platform],
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    return [
        next(iter(pin.specifier)).version
        for pin in PINNED
        if canonicalize_name(pin.name) == canonicalize_name(name)
        if pin.marker is None or Marker(str(pin.marker)).evaluate(here)
    ]


def test_every_entry_is_one_version_with_its_hashes() -> None:
    for entry in ENTRIES:
        hashes = entry.split(" --hash=")[1:]
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", found.strip()) for found in hashes), entry
    assert [str(pin) for pin in PINNED if [s.operator for s in pin.specifier] != ["=="]] == []


def test_it_names_no_host_and_no_folder() -> None:
    text = tree.read("requirements.lock")
    assert re.findall(r"://| @ |\.whl|\.tar\.gz", text) == []
    assert set(re.findall(r"--[a-z-]+", text)) == {"--hash"}


@pytest.mark.parametrize("direct", DIRECT)
def test_every_direct_dependency_is_pinned_where_it_is_satisfied(direct: str) -> None:
    wanted = Requirement(direct)
    for python in PYTHONS:
        for machine in MACHINES:
            found = _versions(wanted.name, python, machine)
            assert len(found) == 1, f"{wanted.name} on {python}, {machine}: {found}"
            assert wanted.specifier.contains(found[0])


def test_the_supported_pythons_are_those_that_setup_takes() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in tree.read("Makefile")


def test_uv_itself_is_pinned_once() -> None:
    wanted = next(Requirement(d) for d in DIRECT if Requirement(d).name == "uv")
    assert [str(spec) for spec in wanted.specifier] == [
        f"=={version}" for version in _versions("uv", "3.11", MACHINES[0])
    ]


def _pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """By package and version, the hashes that a lock has."""
    return {
        f"{package} {re.search('==([^ ;]+)', text)[1]}": frozenset(
            re.findall(r"sha256:[0-9a-f]{64}", text)
        )
        for package, text in requirements.entries(tree.read(name))
    }


def test_the_servers_lock_is_a_part_of_the_whole_one() -> None:
    """The image holds what was tested: each version and each hash, and nothing beside."""
    whole, part = _pins("requirements.lock"), _pins("configs/serve/requirements.lock")
    assert part
    assert {pin: hashes for pin, hashes in part.items() if whole.get(pin) != hashes} == {}
    wanted = tree.read("configs/serve/requirements.in").splitlines()
    names = [Requirement(line).name for line in wanted if line and not line.startswith("#")]
    assert set(names) <= {pin.split()[0] for pin in part}
    assert set(names) <= {Requirement(one).name for one in PROJECT["dependencies"]}


def test_the_lock_of_an_extra_holds_what_it_adds_and_nothing_else() -> None:
    """The extra `lightgbm` is installed beside requirements.lock, and was resolved for it."""
    wanted = PROJECT["optional-dependencies"]["lightgbm"]
    lines = tree.read("configs/train/lightgbm.in").splitlines()
    assert [line for line in lines if line[0] != "#"] == wanted
    text = tree.read("configs/train/lightgbm.lock")
    added = dict(re.findall(r"^([a-z][\w.-]*)==([\w.]+)", text, re.MULTILINE))
    assert set(added) & {pin.name for pin in PINNED} == set()
    for one in map(Requirement, wanted):
        assert one.specifier.contains(added[one.name])
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(added)
