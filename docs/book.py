"""The maker of the answer book: generated parts of its pages, and the proofs of its answers.

Pages are docs/answers/<slug>.md with a checked header: docs/pages.py reads them, docs/ask.py shows
them. Tests name the page that they prove with `pytest.mark.answer("<slug>")`.
"""

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from docs import measured, numbers, platforms, proof, sheet, tonight
from docs.pages import ANSWERS, ROOT, Answer, pages
from pipeline.__main__ import Parser, run_command
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


def main(arguments: list[str] | None = None) -> int:
    """`prove` runs an answer's tests, `fill` renews what is generated, `record` runs `make run`."""
    parser = Parser(prog="python -m docs.book")
    parser.add_argument("action", choices=["prove", "fill", "record"])
    parser.add_argument("question", nargs="?", default="")
    chosen = parser.parse_args(arguments)
    if chosen.action == "fill":
        for path, text in generated().items():
            path.write_text(text, encoding="utf-8")
    elif chosen.action == "record":
        record()
    else:
        return proof.prove_asked(chosen.question)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
