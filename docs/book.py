"""The maker of the answer book: generated parts of its pages, and the proofs of its answers.

Pages are docs/answers/<slug>.md with a checked header: docs/pages.py reads them, docs/ask.py shows
them. Tests name the page that they prove with `pytest.mark.answer("<slug>")`.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docs import measured, numbers, platforms, sheet, tonight
from docs.ask import asked_for
from docs.pages import ANSWERS, ARGUED, PROOFS, ROOT, Answer, only_closest, pages
from pipeline.__main__ import run_command
from pipeline.monitor.operations.alerts import alerts
from pipeline.shared import dvc, git


def questions_table() -> str:
    """The table question -> code -> command of the book's own list."""
    rows = [
        f"| [{page.question}]({page.slug}.md) | {page.shown} "
        f"| `{page.code[0].partition(':')[0]}` | `{page.command}` |"
        for page in pages()
    ]
    return "\n".join(["| question | shown | code | command |", "|---|---|---|---|", *rows])


def readme_table() -> str:
    """The questions of tonight's sheet: the README is to be read, `make questions` has them all."""
    rows = [
        f"{number}. [{entry.question}](docs/answers/{entry.page}.md)"
        for number, entry in enumerate(sheet.entries(), 1)
    ]
    return "\n".join(rows)


def recorded() -> str:
    """What `make run` printed in a fresh clone, as `make record` wrote it down."""
    return f"```console\n$ make run\n{(ROOT / 'docs/run.txt').read_text(encoding='utf-8')}```"


def runbook() -> str:
    """The sections of the runbook: what each alert's rule says to do, in the order of the rules."""
    return "\n".join(f"## {alert.name}\n{alert.runbook}" for alert in alerts())


def record() -> None:
    """Run `make run` in a fresh clone without an environment, and keep how its story ends."""
    with tempfile.TemporaryDirectory(prefix="record-") as name:
        clone = Path(name) / "mlops-pipeline"
        git.run(ROOT, *git.AS_RECORDED, "clone", "--quiet", str(ROOT), str(clone))
        with subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env=dvc.isolated_environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            lines = []
            for line in process.stdout or []:
                print(line, end="", flush=True)
                lines.append(line)
        if process.returncode:
            sys.exit(process.returncode)
    told = next(place for place, line in enumerate(lines) if line.startswith("replay "))
    where = "   -> "  # the file and the answer of each event: not on a first screen
    kept = [line.rstrip() for line in lines[told:] if not line.startswith(where)]
    shown = [part for line in kept for part in textwrap.wrap(line, 98, subsequent_indent=" " * 3)]
    (ROOT / "docs/run.txt").write_text("\n".join(shown) + "\n", encoding="utf-8")


def generated() -> dict[Path, str]:
    """Every page that holds generated parts, with those parts as they should read."""
    wanted = {
        ROOT / "README.md": {
            "questions": readme_table(),
            "run": recorded(),
            "on": platforms.sentence(),
        },
        ANSWERS / "README.md": {"questions": questions_table()},
        ROOT / "docs/runbook.md": {"alerts": runbook()},
    }
    filled = {path: _filled(path, parts) for path, parts in wanted.items()}
    filled |= {ANSWERS / f"{page.slug}.md": _filled_page(page) for page in pages()}
    return filled | _made()


def _filled_page(page: Answer) -> str:
    """A page with its table of numbers, and with the figures that its sentences cite."""
    from docs import score

    parts = {"numbers": numbers.table(page.numbers)} if page.numbers else {}
    if "<!-- score -->" in page.text:
        parts["score"] = score.sentence()
    path = ANSWERS / f"{page.slug}.md"
    try:
        return numbers.cite(_filled(path, parts), page.figures)
    except (LookupError, ValueError) as wrong:
        sys.exit(f"{path.relative_to(ROOT)}: {wrong}")


def _made() -> dict[Path, str]:
    """What is made as a whole: pages of drills, scores, platforms, benchmarks; tonight's sheet."""
    from docs import score
    from exercises import matrix

    drills = matrix.page(json.loads(matrix.RECORD.read_text(encoding="utf-8")))
    made = {ROOT / "docs/drills.md": drills, score.PAGE: score.page()}
    made |= {platforms.PAGE: platforms.page(), tonight.SHEET: sheet.sheet()}
    return made | measured.pages()


def _filled(path: Path, parts: dict[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for name, body in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)"
        text, count = re.subn(
            pattern, lambda m, b=body: m[1] + b + "\n" + m[2], text, flags=re.DOTALL
        )
        if count != 1:
            sys.exit(
                f"{path.relative_to(ROOT)} needs one block <!-- {name} --> ... <!-- end {name} -->"
            )
    return text


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
            f"THE PAGE AGREES WITH THE RECORDED RUN in {proof.seconds:.0f} s, by {proof.ran} tests; "
            f"nothing was run anew: {page.question}"
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


def main(arguments: list[str] | None = None) -> int:
    """`prove` runs an answer's tests, `fill` renews what is generated, `record` runs `make run`."""
    parser = argparse.ArgumentParser(prog="python -m docs.book")
    parser.add_argument("action", choices=["prove", "fill", "record"])
    parser.add_argument("question", nargs="?", default="")
    chosen = parser.parse_args(arguments)
    if chosen.action == "fill":
        for path, text in generated().items():
            path.write_text(text, encoding="utf-8")
    elif chosen.action == "record":
        record()
    else:
        return _prove_asked(chosen.question)
    return 0


def _prove_asked(question: str) -> int:
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


if __name__ == "__main__":
    sys.exit(run_command(main))
