"""The proof of an answer: the tests that name its page, what they say, and what they measured."""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docs.ask import asked_for
from docs.pages import ARGUED, PROOFS, ROOT, Answer, only_closest


@dataclass(frozen=True)
class Proof:
    """How the tests that prove a page ended, how long they took, and what they measured."""

    proven: bool
    seconds: float
    ran: int
    failed: int
    figures: list[tuple[str, str]]
    """What was measured: its name and its value, as people read it."""
    sentences: list[str] = field(default_factory=list)
    """What the tests say, in the words of their names."""
    recorded: bool = False
    """Whether all of them only hold the page against recorded runs."""


def prove(page: Answer) -> Proof:
    """Run the tests that prove a page; it is proven if some ran and all of them passed.

    The flow, which takes minutes, runs with `make test`, and its drills with `make drill`.
    """
    began, files, code = time.monotonic(), _naming(page), 1
    with tempfile.TemporaryDirectory(prefix="prove-") as name:
        report = Path(name) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--answer={page.slug}"]
        if files:  # without any, pytest would take them all
            command += [f"--junitxml={report}", *files]
            command += ["-n", "2", "--dist", "worksteal"] if _is_long(files) else []
            code = _shown_run(command)
        cases = _cases(report)
    ran = [case for case in cases if case.find("skipped") is None]
    failed = sum(any(one.tag in ("failure", "error") for one in case) for case in ran)
    took = time.monotonic() - began
    return Proof(
        code == 0 and bool(ran),
        took,
        len(ran),
        failed,
        _figures(cases),
        _sentences(ran),
        all(case.get("classname", "").startswith("tests.figures.") for case in ran),
    )


def _shown_run(command: list[str]) -> int:
    """Run pytest and show what it says, apart from its workers' start; returns its exit code."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or []:
            if not line.startswith("bringing up nodes"):
                print(line, end="", flush=True)
    return process.returncode


def start(page: Answer) -> str:
    """The line before the tests run: what is started, and how long it took when it was recorded."""
    took = _recorded_proofs().get(page.slug)
    when = f"; {took['seconds']} s when recorded" if took else ""
    return f"prove: runs the tests that name {page.slug}, in {len(_naming(page))} files{when}"


def verdict(page: Answer, proof: Proof) -> str:
    """What the tests say, PROVEN or NOT PROVEN and after how long, and what was measured."""
    said = f"PROVEN in {proof.seconds:.0f} s by {proof.ran} tests: {page.question}"
    if not proof.proven:
        counts = f"{proof.failed} of {proof.ran} tests failed, in {proof.seconds:.0f} s"
        said = f"NOT PROVEN: {page.question} ({counts})"
    elif proof.recorded:
        said = (
            f"THE PAGE AGREES WITH THE RECORDED RUN in {proof.seconds:.0f} s, by {proof.ran} "
            f"tests; nothing was run anew: {page.question}"
        )
    sentences = [f"  - {one}" for one in proof.sentences] if proof.proven else []
    return "\n".join([*sentences, said, *_compared(page, proof)])


def _compared(page: Answer, proof: Proof) -> list[str]:
    """A line for each figure; beside one that differs stands what was recorded."""
    before = _recorded_proofs().get(page.slug, {}).get("figures", {})
    width = max((len(value) for _, value in proof.figures), default=0)
    return [
        f"  {value:>{width}}  {name}"
        + (f" ({before[name]} when recorded)" if before.get(name, value) != value else "")
        for name, value in proof.figures
    ]


def _recorded_proofs() -> dict[str, Any]:
    """How each proof ended when it was recorded, by page."""
    found: dict[str, Any] = json.loads(PROOFS.read_text(encoding="utf-8"))["proofs"]
    return found


def _is_long(files: list[str]) -> bool:
    """Whether a second process pays: it imports all again, which only real tools outweigh."""
    return any("mark.slow" in (ROOT / name).read_text(encoding="utf-8") for name in files)


def _naming(page: Answer) -> list[str]:
    """The test files that name a page, but the flow's; to collect all tests would take seconds."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [
        str(path.relative_to(ROOT))
        for path in files
        if not path.is_relative_to(ROOT / "tests" / "flow")
        and f'"{page.slug}"' in path.read_text(encoding="utf-8")
    ]


def _cases(report: Path) -> list[ElementTree.Element]:
    """The tests of pytest's report, file by file; none if pytest wrote no report."""
    found = ElementTree.parse(report).iter("testcase") if report.exists() else ()
    return sorted(found, key=lambda case: (case.get("classname", ""), case.get("name", "")))


def _figures(cases: list[ElementTree.Element]) -> list[tuple[str, str]]:
    """What tests measured, as `record_property` has it: name and value, the same ones once."""
    found = dict.fromkeys(
        (one.get("name", ""), _shown(one.get("value", "")))
        for case in cases
        for one in case.iter("property")
    )
    return list(found)


def _sentences(cases: list[ElementTree.Element]) -> list[str]:
    """The names of tests as words, each with the number of its cases."""
    named = Counter(case.get("name", "").partition("[")[0] for case in cases)
    return [
        name.removeprefix("test_").replace("_", " ") + (f" ({count} cases)" if count > 1 else "")
        for name, count in named.items()
    ]


def _shown(value: str) -> str:
    """A recorded value as people read it: 29,425 or 0.7598, and a text as it is."""
    for kind, form in ((int, ","), (float, ",.4g")):
        with suppress(ValueError):
            return format(kind(value), form)
    return value


def prove_asked(question: str) -> int:
    """Prove the page that is named or asked for; 1 if there is none, 2 if none was named."""
    try:
        page = asked_for("prove", question)
    except LookupError as none:
        print(f"prove: {none.args[0]}", file=sys.stderr)
        return 1 if question.strip() else 2
    if closest := only_closest(question).replace("make answer", "make prove"):
        print(f"{closest}\nNothing was run.")
        return 1
    return _prove_and_print(page)


def _prove_and_print(page: Answer) -> int:
    """Prove a page and print how that ended; the exit code. An argued page has nothing to run."""
    if page.shown == ARGUED:
        print(f"ARGUED ONLY: {page.question} `make answer Q={page.slug}` says what would refute it")
        return 1
    print(start(page), flush=True)
    proof = prove(page)
    print(verdict(page, proof))
    return int(not proof.proven)
