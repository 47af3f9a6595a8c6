"""The answer book: every interview question, its spoken answer, its code, and what proves it.

Pages are docs/answers/<slug>.md with a checked header; tests name the page that they prove with
`pytest.mark.answer("<slug>")`. File and line are computed when an answer is printed, never written.
"""

import argparse
import ast
import json
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from docs import numbers, platforms, search
from pipeline.__main__ import run_command
from pipeline.shared import dvc, git, yaml_files

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ROOT / "docs" / "answers"
PROOFS = ROOT / "benchmarks" / "proofs.json"
HEADINGS = [
    "In 30 seconds",
    "In three minutes",
    "The numbers here",
    "If they ask further",
    "A weak answer",
    "The trade-off, and when not to",
    "Managed, or on a cluster",
    "What this leaves out",
]
"""The sections of every page, in their order."""
DEMONSTRATED, ARGUED = "demonstrated", "argued"
SHOWN = {
    DEMONSTRATED: "Demonstrated: tests prove it here, and record what they measured.",
    ARGUED: "Argued only: no test here proves it; the code named is the nearest to it.",
}
"""What a page's header may say of how it is shown, and what that means."""


@dataclass(frozen=True)
class Answer:
    """One page: the checked header, and the text below it.

    `shown` is one of SHOWN. `asked` holds the question in other words, as interviewers put it: the
    search reads them.
    """

    slug: str
    question: str
    shown: str
    stage: str
    code: list[str]
    command: str
    text: str
    asked: list[str] = field(default_factory=list)
    drills: list[str] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)


def read_page(path: Path) -> Answer:
    """A page's header and text.

    Raises:
        TypeError: a key in the header is missing, unknown, or read by YAML as no text; or `shown`
            is none of SHOWN.
        yaml.YAMLError: the header is not YAML, or a key stands twice.
    """
    _, header, text = path.read_text(encoding="utf-8").split("---\n", 2)
    values = yaml_files.parse(header)
    for label in values.get("numbers", {}):
        if not isinstance(label, str):
            raise TypeError(f"{path.name}: YAML reads a label of numbers as {label!r}; quote it")
    if (shown := values.get("shown", DEMONSTRATED)) not in SHOWN:
        raise TypeError(f"{path.name}: shown is {shown!r}, not one of {', '.join(SHOWN)}")
    return Answer(slug=path.stem, command=values.pop("try"), text=text, **values)


def pages() -> list[Answer]:
    """Every answer, in the order in which data flows, then by question."""
    stages = _stages()
    found = [read_page(path) for path in ANSWERS.glob("*.md") if path.name != "README.md"]
    return sorted(found, key=lambda page: (stages.index(page.stage), page.question))


def demonstrated() -> list[Answer]:
    """The answers that tests prove."""
    return [page for page in pages() if page.shown == DEMONSTRATED]


def _stages() -> list[str]:
    import pipeline

    return [line.split()[0] for line in (pipeline.__doc__ or "").splitlines() if "  " in line]


def find(words: str) -> Answer:
    """The page with this slug, or the one that is nearest to a question asked freely."""
    book = pages()
    for page in book:
        if page.slug == words.strip():
            return page
    found = near(words)
    if not found:
        sys.exit(f"no answer shares a word with {words!r}; `make questions` lists all {len(book)}")
    return found[0]


def near(words: str) -> list[Answer]:
    """The pages that may answer a question asked freely, the nearest first."""
    book = {page.slug: page for page in pages()}
    return [book[slug] for slug in search.rank(words, [_entry(page) for page in book.values()])]


def _entry(page: Answer) -> search.Entry:
    phrases = [page.question, page.slug.replace("-", " "), *page.asked]
    return search.Entry(page.slug, phrases, page.text)


def aside(words: str) -> str:
    """What else a question asked freely may have meant, and whether no page asks that at all."""
    first, *others = near(words)
    none = (
        ""
        if search.asks(words, _entry(first))
        else f"No question of the book is about {words!r}; this is the nearest text. "
    )
    return f"{none}Near it: {', '.join(page.slug for page in others[:3]) or 'none'}"


def place(symbol: str) -> str:
    """Where a symbol such as "pipeline.registry.model:load" stands: file:line, and what.

    The source is read and not imported: that would take seconds.
    """
    path, node = _found(symbol)
    line, doc = _first_line(node), ""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        doc = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
    return f"{path.relative_to(ROOT)}:{line}  {doc}".rstrip()


def source(symbol: str) -> list[str]:
    """The lines of a symbol's statement, or of its module."""
    path, node = _found(symbol)
    last = None if isinstance(node, ast.Module) else node.end_lineno
    lines = path.read_text(encoding="utf-8").splitlines()[_first_line(node) - 1 : last]
    return textwrap.dedent("\n".join(lines)).splitlines()


def _first_line(node: ast.Module | ast.stmt) -> int:
    if isinstance(node, ast.Module):
        return 1
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])


def _found(symbol: str) -> tuple[Path, ast.Module | ast.stmt]:
    """A symbol's file and its statement there, where it is made and not where it is passed on."""
    module, _, name = symbol.partition(":")
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    node: ast.Module | ast.stmt = ast.parse(path.read_text(encoding="utf-8"))
    for part in filter(None, name.split(".")):
        node = next(one for one in getattr(node, "body", []) if part in _names(one))
        if isinstance(node, ast.ImportFrom):
            made = next(one.name for one in node.names if part in (one.name, one.asname))
            return _found(f"{node.module}:{made}")
    return path, node


def _names(node: ast.stmt) -> list[str]:
    """What a statement gives a name to."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [one.asname or one.name for one in node.names]
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [one.id for one in targets if isinstance(one, ast.Name)]


def questions_table() -> str:
    """The table question -> code -> command of the book's own list."""
    rows = [
        f"| [{page.question}]({page.slug}.md) | {page.shown} "
        f"| `{page.code[0].partition(':')[0]}` | `{page.command}` |"
        for page in pages()
    ]
    return "\n".join(["| question | shown | code | command |", "|---|---|---|---|", *rows])


def readme_table() -> str:
    """The same by stage and in a few words: the README is to be read."""
    found: dict[str, list[str]] = {}
    for page in pages():
        link = f"[{page.slug.replace('-', ' ')}](docs/answers/{page.slug}.md)"
        found.setdefault(page.stage, []).append(link)
    rows = [f"| {stage} | {' · '.join(links)} |" for stage, links in found.items()]
    return "\n".join(["| stage | answers |", "|---|---|", *rows])


def recorded() -> str:
    """What `make run` printed in a fresh clone, as `make record` wrote it down."""
    return f"```console\n$ make run\n{(ROOT / 'docs/run.txt').read_text(encoding='utf-8')}```"


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
    }
    wanted |= {
        ANSWERS / f"{p.slug}.md": {"numbers": numbers.table(p.numbers)}
        for p in pages()
        if p.numbers
    }
    filled = {path: _filled(path, parts) for path, parts in wanted.items()}
    return filled | _made()


def _made() -> dict[Path, str]:
    """What is made as a whole: the pages of drills, scores and platforms."""
    from docs import score
    from exercises import matrix

    drills = matrix.page(json.loads(matrix.RECORD.read_text(encoding="utf-8")))
    made = {ROOT / "docs/drills.md": drills, score.PAGE: score.page()}
    return made | {platforms.PAGE: platforms.page()}


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


def show(page: Answer) -> str:
    """An answer as it is printed: question, spoken answer, where the code is, what to run."""
    places = "\n".join(f"- {place(symbol)}" for symbol in page.code)
    text = re.sub(r"<!-- .*? -->\n", "", page.text).strip()
    drills = "".join(f"\n- Break it: `make drill D={name}`" for name in page.drills)
    took = json.loads(PROOFS.read_text(encoding="utf-8"))["proofs"].get(page.slug)
    when = f" ({took['seconds']} s when recorded)" if took else ""
    proof = f"\n- Prove it: `make prove Q={page.slug}`{when}"
    return (
        f"# {page.question}\n\n{SHOWN[page.shown]}\n\n{text}\n\n## In the code\n{places}\n\n"
        f"## Run it\n- Run it: `{page.command}`{proof * (page.shown == DEMONSTRATED)}{drills}"
    )


def told(text: str) -> None:
    """Print an answer: rendered where somebody reads it, as it is for whatever else does."""
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(width=min(100, Console().width)).print(Markdown(text))


@dataclass(frozen=True)
class Proof:
    """How the tests that prove a page ended, how long they took, and what they measured."""

    proven: bool
    seconds: float
    ran: int
    failed: int
    figures: list[str]


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
            command += ["-n", "2", "--dist", "worksteal"] if len(files) > 1 else []
            code = subprocess.run(command, cwd=ROOT, check=False).returncode
        cases = _cases(report)
    ran = [case for case in cases if case.find("skipped") is None]
    failed = sum(one.tag in ("failure", "error") for case in ran for one in case)
    took = time.monotonic() - began
    return Proof(code == 0 and bool(ran), took, len(ran), failed, _figures(cases))


def verdict(page: Answer, proof: Proof) -> str:
    """PROVEN or NOT PROVEN, after how long, and what was measured."""
    said = f"PROVEN in {proof.seconds:.0f} s by {proof.ran} tests: {page.question}"
    if not proof.proven:
        counts = f"{proof.failed} of {proof.ran} tests failed, in {proof.seconds:.0f} s"
        said = f"NOT PROVEN: {page.question} ({counts})"
    return "\n".join([said, *proof.figures])


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
    return sorted(found, key=lambda case: case.get("classname", ""))


def _figures(cases: list[ElementTree.Element]) -> list[str]:
    """What tests measured, as `record_property` has it: value and name, the same ones once."""
    found = dict.fromkeys(
        (one.get("name", ""), _shown(one.get("value", "")))
        for case in cases
        for one in case.iter("property")
    )
    width = max((len(value) for _, value in found), default=0)
    return [f"  {value:>{width}}  {name}" for name, value in found]


def _shown(value: str) -> str:
    """A recorded value as people read it: 29,425 or 0.7598, and a text as it is."""
    for kind, form in ((int, ","), (float, ",.4g")):
        with suppress(ValueError):
            return format(kind(value), form)
    return value


def main(arguments: list[str] | None = None) -> int:
    """`questions` lists, `answer` shows one, `prove` runs its tests, `fill` renews what is made."""
    parser = argparse.ArgumentParser(prog="python -m docs.book")
    parser.add_argument("action", choices=["questions", "answer", "prove", "fill", "record"])
    parser.add_argument("question", nargs="?", default="")
    chosen = parser.parse_args(arguments)
    if chosen.action == "questions":
        for page in pages():
            print(f"{page.slug:<20} {page.question}")
            proof = f"make prove Q={page.slug}" if page.shown == DEMONSTRATED else "argued only"
            print(f"{'':<20} {page.command}, {proof}")
    elif chosen.action == "fill":
        for path, text in generated().items():
            path.write_text(text, encoding="utf-8")
    elif chosen.action == "record":
        record()
    elif not chosen.question:
        parser.error("name a question: make answer Q=data-validation, or in free words")
    elif chosen.action == "answer":
        page = find(chosen.question)
        told(show(page))
        if page.slug != chosen.question.strip():
            print(f"\n{aside(chosen.question)}")
    else:
        return _proved(find(chosen.question))
    return 0


def _proved(page: Answer) -> int:
    """Prove a page and print how it ended; the exit code. An argued page has nothing to run."""
    if page.shown == ARGUED:
        print(f"ARGUED ONLY: {page.question} `make answer Q={page.slug}` says what would refute it")
        return 1
    proof = prove(page)
    print(verdict(page, proof))
    return int(not proof.proven)


if __name__ == "__main__":
    sys.exit(run_command(main))
