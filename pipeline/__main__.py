"""The command line: `python -m pipeline STAGE [STAGE ...] [--OPTION VALUE]`."""

import argparse
import io
import os
import pkgutil
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pipeline.shared.errors import PipelineError, UsageError

STAGES = {
    "ingest": "pipeline.ingest:run",
    "validate": "pipeline.validate.data_gate:run",
    "features": "pipeline.features.build:run",
    "train": "pipeline.train:run",
    "tune": "pipeline.tune.tune:run",
    "evaluate": "pipeline.evaluate.gate:run",
    "register": "pipeline.register.register:run",
    "reproduce": "pipeline.reproduce.reproduce:run",
    "serve-http": "pipeline.serve.server:serve_http",
    "materialize": "pipeline.serve.materialize:materialize",
    "batch": "pipeline.serve.batch:batch",
    "promote": "pipeline.register.register:promote",
    "rollout": "pipeline.rollout.who_served:run",
    "rollback": "pipeline.rollout.rollback:rollback",
    "monitor": "pipeline.monitor.report:run",
    "diagnose": "pipeline.monitor.diagnose:diagnose",
    "exporter": "pipeline.monitor.operations.exporter:exporter",
    "retrain": "pipeline.retrain.training_windows:run",
    "guards": "pipeline.retrain.data_guards:guards",
    "lineage": "pipeline.reproduce.lineage_report:lineage",
    "who-served": "pipeline.rollout.who_served:who_served",
    "replay-decision": "pipeline.rollout.who_served:replay_decision",
    "explain": "pipeline.monitor.explain:explain",
    "decisions": "pipeline.retrain.decisions:decisions",
    "prune": "pipeline.records.retention:prune",
    "relocate": "pipeline.register.register:relocate",
    "repair": "pipeline.retrain.repair:repair",
}
"""The commands, in the order of `make help-all`; each is loaded only when it is run."""


def _whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers within two bounds; none is taken for "not given"."""

    def read(text: str) -> int:
        value = int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return value

    return read


_VERSION = {"metavar": "N", "help": "a registered version: its number or an alias"}
_MONTH = {"month": {"metavar": "YYYY-MM", "help": "a month: 2013-04; batch: one that has arrived"}}
_PORT = {"type": _whole(0, 65535), "metavar": "PORT", "help": "where it listens, 0 for any"}
_AT = {"metavar": "INSTANT", "help": "an instant of the replay: 2013-05-18T10:00Z"}
Options = dict[str, dict[str, dict[str, Any]]]
OPTIONS: Options = {
    "tune": {"trials": {"type": _whole(1, 1000), "metavar": "N", "help": "tune: as many trials"}},
    "reproduce": {
        "version": _VERSION,
        "at": _AT,
        "rebuild-env": {"action": "store_true", "help": "build the recorded environment"},
        "threads": {"type": _whole(1, 1024), "metavar": "N", "help": "train with so many threads"},
    },
    "lineage": {"version": _VERSION},
    "serve-http": {"version": _VERSION, "port": _PORT},
    "materialize": {"until": {"metavar": "INSTANT", "help": "materialize: 2013-04-18T10:00Z"}},
    **dict.fromkeys(("batch", "diagnose"), _MONTH),
    "monitor": {**_MONTH, "at": _AT},
    "rollback": {"version": _VERSION},
    "who-served": {"at": _AT},
    "replay-decision": {"rollout": {"metavar": "NAME", "help": "a rollout: 0002-canary"}},
    "exporter": {"port": _PORT},
    "prune": {"until": {"metavar": "INSTANT", "help": "the replay's instant: 2013-05-18T10:00Z"}},
    "explain": {
        "request": {"metavar": "ID", "help": "an answer's id, or the name of an event"},
        "row": {
            "type": _whole(0, 10**6),
            "metavar": "N",
            "help": "which row of that request, 0 the first",
        },
    },
    "retrain": {"as-of": {"metavar": "YYYY-MM", "help": "the month or the day that has arrived"}},
    "repair": {"yes": {"action": "store_true", "help": "do what repair proposes"}},
}
"""What a command may be told: its options by name, each as argparse takes it."""

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # MLflow compares with this very word
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
}
"""No tool calls home."""


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one sentence, with the command that lists what there is."""

    def error(self, message: str) -> NoReturn:
        """Print the refusal and end with 2, wrong usage."""
        self.exit(2, f"{self.prog}: error: {message}; `make help-all` lists commands and values\n")


def main(
    arguments: list[str] | None = None,
    stages: Mapping[str, str] = STAGES,
    options: Options = OPTIONS,
    program: str = "pipeline",
) -> int:
    """Run the named stages one after another; 0 done, 1 refused, 2 wrong usage."""
    parser = Parser(
        prog=f"python -m {program}", description="Run one stage, or several in the order given."
    )
    parser.add_argument("stage", nargs="+", choices=stages, metavar="STAGE", help=", ".join(stages))
    for name, how in {n: h for of in options.values() for n, h in of.items()}.items():
        parser.add_argument(f"--{name}", dest=name, default=None, **how)
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    _drop_git_variables()
    chosen = vars(parser.parse_args(arguments))
    wanted = chosen.pop("stage")
    given = {name: value for name, value in chosen.items() if value is not None}
    for stage in wanted:
        if unknown := sorted(given.keys() - options.get(stage, {}).keys()):
            parser.error(f"{stage} takes no --{unknown[0]}")
    given = {name.replace("-", "_"): value for name, value in given.items()}
    for stage in wanted:
        if code := _run(stage, stages[stage], given):
            return code
    return 0


def run_command(command: Callable[[], int | None]) -> int:
    """Run a command and return its exit code: 141 and no word where its output is read no more.

    That is how a filter ends: in `make drill | head` it is no bug that head has had enough. What an
    output's encoding lacks, such as an accent in ASCII, it says by its number.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return command() or 0
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if _is_read():
            raise  # it was another pipe, or a socket
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _is_read() -> bool:
    """Whether somebody still holds the other end of what this prints to."""
    output = select.poll()
    output.register(sys.stdout.fileno(), select.POLLOUT)
    return not any(events & (select.POLLERR | select.POLLHUP) for _, events in output.poll(0))


def _drop_git_variables() -> None:
    """Forget which repository a git hook works on: MLflow and DVC call git in folders of theirs."""
    from pipeline.shared import git

    for name in os.environ.keys() - git.environment().keys():
        del os.environ[name]


def _run(stage: str, target: str, given: dict[str, Any]) -> int:
    from pipeline.records.command_runs import CommandRun, note
    from pipeline.shared.errors import PipelineError, UsageError
    from pipeline.shared.installation import name_account, require_home

    started = time.perf_counter()
    try:
        name_account()
        if stage != "relocate":
            require_home()
        line = pkgutil.resolve_name(target)(**given)
    except (PipelineError, UsageError) as refusal:
        return _refuse(stage, refusal, started)
    except Exception as error:
        if (failed := _storage_failed(stage, error)) is None:
            raise
        return _refuse(stage, failed, started)
    took = time.perf_counter() - started
    note(CommandRun(stage, time.time(), took, "done", str(line)))
    print(f"{stage:<9} {took:5.1f} s  {line}", flush=True)
    return 0


def _storage_failed(stage: str, error: Exception) -> "PipelineError | None":
    """The message where room or rights are wanting, for any command; None for a bug."""
    from pipeline.shared.config.loading import load
    from pipeline.shared.config.register import RegisterConfig
    from pipeline.shared.databases import refusal_after
    from pipeline.shared.files import storage_failure

    if isinstance(error, OSError):
        return storage_failure(Path(error.filename or f"data/{stage}"), error)
    path = load(RegisterConfig).database  # what no other module has opened
    return None if path is None else refusal_after(path, "registry", error)


def _refuse(stage: str, refusal: "PipelineError | UsageError", started: float) -> int:
    from pipeline.records.command_runs import CommandRun, note

    words = f"{type(refusal).__name__}: {refusal}"
    if refusal.exit_code == 1:  # wrong usage says nothing about the stage
        note(CommandRun(stage, time.time(), time.perf_counter() - started, "refused", words))
    print(f"{stage}: {words}", file=sys.stderr)
    return refusal.exit_code


if __name__ == "__main__":
    sys.exit(run_command(main))
