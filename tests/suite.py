"""`make test`: the unit tests beside the flow, whatever becomes of either; and what was left out.

`make long` runs the same two halves of the tests that take a processor more than a second each. The
last line says what could not be tested on this machine, and what would install it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from pipeline.__main__ import run_command
from tests.needs import REASON, installing

HALVES = {
    "unit tests": [
        "-n",
        "3",  # on two processors: many tests wait
        "--dist",
        "loadfile",
        "--ignore=tests/flow",
        "--ignore=tests/figures",
    ],
    "flow": ["tests/flow"],
}
MARKED = {"test": "not long and not nightly", "long": "long and not nightly"}
"""By what was asked for, the tests that run; nightly ones have a command of their own."""
FOLDER = Path("state/tests")
SHOWN = 20
"""Failed tests that are named once more at the end; more are above."""


@dataclass(frozen=True)
class Half:
    """How one half ended: pytest's exit code and what it wrote of each test."""

    name: str
    code: int
    cases: list[ElementTree.Element]

    @property
    def failed(self) -> list[str]:
        """The tests that failed, as pytest names them."""
        found = [c for c in self.cases if c.find("failure") is not None or _broke(c)]
        return [
            f"{case.get('file') or case.get('classname')}::{case.get('name')}" for case in found
        ]

    @property
    def skipped(self) -> Iterator[str]:
        """Why tests were skipped."""
        for case in self.cases:
            if (skipped := case.find("skipped")) is not None:
                yield skipped.get("message", "")

    def told(self) -> str:
        """The half in a line, and below it what failed."""
        passed = len(self.cases) - len(self.failed) - len(list(self.skipped))
        if self.code == 0:
            return f"test: {self.name}: {passed:,} passed"
        names = [f"\n  {name}" for name in self.failed[:SHOWN]]
        more = "\n  and more" if len(self.failed) > SHOWN else ""
        ended = f"{len(self.failed):,} failed, {passed:,} passed, pytest ended with {self.code}"
        return f"test: {self.name}: {ended}{''.join(names)}{more}"


def _broke(case: ElementTree.Element) -> bool:
    return case.find("error") is not None


def begin(name: str, asked: str, stream: IO[bytes] | None = None) -> "subprocess.Popen[bytes]":
    """Begin one half; pytest says what it does in the stream, or on the terminal."""
    (report := _report(name, asked)).unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *HALVES[name], "-m", MARKED[asked]]
    return subprocess.Popen([*command, f"--junitxml={report}"], stdout=stream)


def ended(name: str, asked: str, code: int) -> Half:
    """How a half ended, with what it wrote of each test."""
    report = _report(name, asked)
    cases = list(ElementTree.parse(report).iter("testcase")) if report.is_file() else []
    return Half(name, code, cases)


def _report(name: str, asked: str) -> Path:
    kind = "" if asked == "test" else f"{asked}-"
    return FOLDER / f"{kind}{name.replace(' ', '-')}.xml"


def run(asked: str) -> list[Half]:
    """Run both halves beside each other, the flow waits as much as it computes; show one by one."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    units, flow = HALVES
    with (
        tempfile.NamedTemporaryFile() as said,
        Path(said.name).open("rb") as shown,
        begin(flow, asked, said.file) as beside,
    ):
        halves = [ended(units, asked, begin(units, asked).wait())]
        while (running := beside.poll() is None) | bool(text := shown.read()):
            sys.stdout.buffer.write(text)
            sys.stdout.flush()
            time.sleep(0.2 if running else 0)
    return [*halves, ended(flow, asked, beside.returncode)]


def left_out(reasons: Counter[str]) -> str:
    """What was not tested, by what it needs, and what would install it: one line."""
    if not reasons:
        return "test: everything was tested here"
    needed = [reason.removeprefix(REASON) for reason in reasons if reason.startswith(REASON)]
    told = ", ".join(f"{count} ({_said(reason)})" for reason, count in reasons.most_common())
    commands = installing(needed)
    return f"test: not tested here: {told}" + (f"; to test it: {commands}" if commands else "")


def _said(reason: str) -> str:
    return f"without {reason.removeprefix(REASON)}" if reason.startswith(REASON) else reason


def main(arguments: list[str] | None = None) -> int:
    """0 if both halves passed, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.suite")
    parser.add_argument("asked", nargs="?", default="test", choices=list(MARKED))
    halves = run(parser.parse_args(arguments).asked)
    for half in halves:
        print(half.told())
    print(left_out(Counter(reason for half in halves for reason in half.skipped)))
    return int(any(half.code for half in halves))


if __name__ == "__main__":
    sys.exit(run_command(main))
