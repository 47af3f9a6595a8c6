"""The workbench's command line: `python -m exercises VERB [EXERCISE] [--OPTION VALUE]`."""

import argparse
import sys
from datetime import date, datetime
from pathlib import Path

from rich.console import Console

from pipeline.__main__ import Parser, run_command
from pipeline.shared.errors import PipelineError, UsageError
from pipeline.shared.files import storage_failure

ONE = ("submit", "hint", "reset", "solution", "handout", "grade", "interview")
"""The verbs that need an exercise."""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m exercises")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    start = verbs.add_parser("exercise", help="start one or go on with it; without a name a list")
    start.add_argument("slug", nargs="?", default="")
    start.add_argument("--rebase", action="store_true", help="bring your work onto main as it is")
    for name in ONE:
        one = verbs.add_parser(name)
        one.add_argument("slug", nargs="?", default="")
        if name == "solution":
            one.add_argument("--yes", action="store_true", help="do not ask first")
        if name in ("handout", "grade"):
            one.add_argument("--to", type=Path, help="the folder to write")
        if name == "grade":
            one.add_argument("--from", dest="source", type=Path, help="the submission")
    verbs.add_parser("learn", help="all exercises on one page, with a verdict on each save")
    brief = verbs.add_parser("brief", help="what a checkout lacks of a brief, check by check")
    brief.add_argument("slug", nargs="?", default="")
    brief.add_argument("--from", dest="source", type=Path, default=Path(), help="the checkout")
    exam = verbs.add_parser("exam", help="draw a set, see the time left, or end it")
    exam.add_argument("--minutes", type=int, choices=[45, 120], default=45)
    exam.add_argument("--topic", default="")
    exam.add_argument("--seed", type=int, default=None)
    exam.add_argument("--end", action="store_true", help="score it now")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; exit code 0 done or passed, 1 refused or not passed, 2 wrong usage."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.verb in ONE and not chosen.slug:
            raise UsageError(
                f"no exercise is named: `make {chosen.verb} E=...`; `make exercise` lists them"
            )
        return _run(chosen, Console(soft_wrap=True))
    except (PipelineError, UsageError) as refusal:
        print(f"{chosen.verb}: {type(refusal).__name__}: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except OSError as error:
        failed = storage_failure(Path(error.filename or "state/exercises"), error)
        if failed is None:
            raise
        print(f"{chosen.verb}: StorageFailed: {failed}", file=sys.stderr)
        return failed.exit_code


def _run(chosen: argparse.Namespace, console: Console) -> int:
    from exercises.workbench import commands

    today = date.today()
    if chosen.verb == "exercise" and not chosen.slug:
        commands.listing(console, today)
    elif chosen.verb == "exercise":
        commands.begin(chosen.slug, console, today, chosen.rebase)
    elif chosen.verb == "submit":
        return 0 if commands.submit(chosen.slug, console, today) else 1
    elif chosen.verb == "hint":
        commands.hint(chosen.slug, console)
    elif chosen.verb == "reset":
        commands.reset(chosen.slug, console, today)
    elif chosen.verb == "solution":
        commands.solution(chosen.slug, console, chosen.yes)
    elif chosen.verb == "handout":
        commands.hand_out(chosen.slug, chosen.to, console)
    elif chosen.verb == "grade":
        commands.grade(chosen.slug, chosen.source, chosen.to, console)
    elif chosen.verb == "brief":
        from exercises.briefs import suite

        return 0 if suite.show(chosen.slug, chosen.source, console) else 1
    else:
        _run_pages(chosen, console)
    return 0


def _run_pages(chosen: argparse.Namespace, console: Console) -> None:
    from exercises.workbench import catalogue, exam, interview, learn

    if chosen.verb == "learn":
        learn.learn(console, date.today())
    elif chosen.verb == "interview":
        console.print(f"for your screen: {interview.write(catalogue.exercise(chosen.slug))}")
    elif chosen.end:
        exam.end(datetime.now(), console)
    else:
        exam.begin(chosen.minutes, chosen.topic, chosen.seed, datetime.now(), console)


if __name__ == "__main__":
    sys.exit(run_command(main))
