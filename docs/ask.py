"""The book at the prompt: `questions` lists it, `answer` shows one page. It needs Python alone.

File and line of the code are computed when an answer is printed, never written.
"""

import json
import sys

from docs import symbols
from docs.pages import (
    DEMONSTRATED,
    PROOFS,
    SHOWN,
    Answer,
    aside,
    exercises,
    find,
    only_closest,
    pages,
    readable,
    wrapped,
)
from pipeline.__main__ import Parser, run_command


def show(page: Answer) -> str:
    """An answer as it is printed: question, spoken answer, where the code is, what to run."""
    places = "\n".join(f"- {symbols.place(symbol)}" for symbol in page.code)
    drills = "".join(f"\n- Break it: `make drill D={name}`" for name in page.drills)
    built = "".join(
        f"\n- Build it: `make exercise E={name}` ({words})"
        for name, words in exercises().get(page.slug, [])
    )
    took = json.loads(PROOFS.read_text(encoding="utf-8"))["proofs"].get(page.slug)
    when = f" ({took['seconds']} s when recorded)" if took else ""
    proof = f"\n- Prove it: `make prove Q={page.slug}`{when}"
    return (
        f"# {page.question}\n\n{SHOWN[page.shown]}\n\n{wrapped(readable(page.text)).strip()}\n\n"
        f"## In the code\n{places}\n\n## Run it\n- Run it: `{page.command}`"
        f"{proof * (page.shown == DEMONSTRATED)}{drills}{built}"
    )


def question_list() -> str:
    """Every question by stage, with the word that asks for it."""
    book = pages()
    width = max(len(page.slug) for page in book)
    lines = []
    for before, page in zip([None, *book], book, strict=False):
        if before is None or before.stage != page.stage:
            lines.append(f"\n{page.stage}")
        argued = "" if page.shown == DEMONSTRATED else " (argued only)"
        lines.append(f"  {page.slug:<{width}}  {page.question}{argued}")
    return "\n".join([*lines, "", "One of them: make answer Q=rollback, or in free words."]).strip()


def say(text: str) -> None:
    """Print Markdown: rendered on a terminal where rich is installed, as it is elsewhere."""
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.markdown import Markdown
        except ImportError:
            pass
        else:
            Console(width=min(100, Console().width)).print(Markdown(text))
            return
    print(text)


def main(arguments: list[str] | None = None) -> int:
    """`questions` lists all, `answer` shows one; 1 if there is none, 2 if none was named."""
    parser = Parser(prog="python3 -m docs.ask")
    parser.add_argument("action", choices=["questions", "answer"])
    parser.add_argument("question", nargs="?", default="")
    chosen = parser.parse_args(arguments)
    if chosen.action == "questions":
        print(question_list())
        return 0
    try:
        page = asked_for("answer", chosen.question)
    except LookupError as none:
        print(f"answer: {none.args[0]}", file=sys.stderr)
        return 1 if chosen.question.strip() else 2
    closest = only_closest(chosen.question)
    if closest:
        print(closest)
    say(show(page))
    if page.slug != chosen.question.strip() and not closest:
        print(f"\n{aside(chosen.question)}")
    return 0


def asked_for(command: str, question: str) -> Answer:
    """The page that a command's Q names, or asks for in free words.

    Raises:
        LookupError: no question is given, or no page shares a word with it.
    """
    if not question.strip():
        raise LookupError(
            f"no question is named: `make {command} Q=rollback`, or in free words; "
            "`make questions` lists them"
        )
    return find(question)


if __name__ == "__main__":
    sys.exit(run_command(main))
