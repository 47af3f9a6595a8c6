"""What this runs on is what dry runs of the lock found: the pages, set-up and the lock agree."""

import importlib.util
import re
import sys

import pytest

from docs import platforms
from pipeline.shared import requirements
from tests.rules import test_lock, tree

sys.path.append(str(tree.ROOT / ".ci"))
import machine

SPEC = importlib.util.spec_from_file_location("dry_runs", tree.ROOT / ".ci/platforms.py")
dry_runs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(dry_runs)

RECORD = platforms.record()


def test_the_record_holds_every_platform_and_python_that_is_asked() -> None:
    assert list(RECORD) == list(dry_runs.platforms())
    pythons = list(dry_runs.PYTHONS)
    assert pythons == test_lock.PYTHONS
    assert all(list(by) == pythons for by in RECORD.values())


def test_set_up_serves_what_the_record_says_and_no_more() -> None:
    since = platforms.oldest(RECORD)
    assert since == {
        **{f"Linux {one} glibc": machine.OLDEST["glibc"] for one in machine.SERVED["linux"]},
        **{f"macOS {one}": machine.OLDEST["macOS"] for one in machine.SERVED["darwin"]},
    }
    served = [(system, one) for system, all_of in machine.SERVED.items() for one in all_of]
    assert served == test_lock.MACHINES


def test_only_what_stands_apart_lacks_a_wheel_where_the_lock_is_served() -> None:
    apart = {name for by in RECORD.values() for lacks in by.values() for name in lacks["apart"]}
    assert apart == set(requirements.OPTIONAL)


@pytest.mark.parametrize("name", dry_runs.PURE)
def test_a_package_that_is_left_out_of_the_dry_runs_is_in_the_lock(name: str) -> None:
    assert requirements.only(tree.read("requirements.lock"), {name}).startswith(f"{name}==")


def test_the_readme_and_the_page_are_made_from_the_record() -> None:
    block = re.search(r"<!-- on -->\n(.*)\n<!-- end on -->", tree.read("README.md"), re.DOTALL)
    assert block
    assert block[1] == platforms.sentence()
    assert platforms.PAGE.read_text(encoding="utf-8") == platforms.page()


@pytest.mark.parametrize(
    ("lacks", "since"),
    [
        ([[], [], []], (1,)),
        ([["a"], [], []], (2,)),
        ([[], ["a"], []], (3,)),
        ([[], [], ["a"]], None),
    ],
)
def test_served_from_the_version_after_which_nothing_is_missing(
    lacks: list[list[str]], since: tuple[int, ...] | None
) -> None:
    found = {
        f"Plan9 {version}": {
            "3.11": {"needed": [], "apart": []},
            "3.12": {"needed": n, "apart": []},
        }
        for version, n in enumerate(lacks, 1)
    }
    assert platforms.oldest(found).get("Plan9") == since
