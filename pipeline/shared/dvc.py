"""The only module that calls DVC: a command in a named folder, with an environment of its own.

In the user's checkout their DVC settings apply: a shared cache is theirs to choose. In our own
checkouts (a replay, a rebuilt version, a scratch copy) none of them does; theirs are written into
the checkout's `.dvc/config.local`, which git ignores.
"""

import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.shared import git
from pipeline.shared.errors import DataUnavailable
from pipeline.shared.files import write_text

_QUIET = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false"}
_INHERITED = ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_")
"""Variables that DVC sets for its stages; a DVC inside one would take them for its own."""
_ELSEWHERE = ("MLFLOW_", "PIPELINE_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables that would lead a command in another checkout to this one's registry or packages."""
_SHELLS = ("BASH_FUNC_", "BASH_ENV", "BASHOPTS", "CDPATH", "SHELLOPTS")
"""The user's shell functions and options."""
_SETTINGS = ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
_NO_SETTINGS = str(Path(sys.prefix) / "no-settings-of-dvc")
"""A folder that does not exist; a path below a file such as /dev/null makes DVC fail."""
_ADVICE = "Use `dvc push`"
_PROGRESS = ("Collecting", "Fetching", "Pushing", "Having any troubles")


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables for a command in the user's checkout, this process's by default."""
    given = git.environment(variables)
    kept = {k: v for k, v in given.items() if not k.startswith(_INHERITED + _SHELLS)}
    # DVC starts stages by the account's shell, which may be /usr/sbin/nologin.
    return kept | _QUIET | {"SHELL": "/bin/sh"}


def isolated_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables for a command in our own checkout, with its own registry and settings."""
    kept = {k: v for k, v in environment(variables).items() if not k.startswith(_ELSEWHERE)}
    return kept | dict.fromkeys(_SETTINGS, _NO_SETTINGS)


def try_run(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run DVC in a folder and capture its output; the caller checks the exit code."""
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=dict(settings) if settings is not None else environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def run(folder: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> str:
    """DVC's output in a folder.

    Raises:
        DataUnavailable: it failed: its exit code, its reason and the command to repeat.
    """
    done = try_run(folder, *arguments, settings=settings)
    if done.returncode:
        raise DataUnavailable(
            f"`dvc {' '.join(arguments)}` in {folder.absolute()} ended with {done.returncode}, 0 "
            f"was wanted: {reason(done)}; run it there by hand, mend what it names, then run the "
            "same again"
        )
    return done.stdout


def reason(done: "subprocess.CompletedProcess[str]") -> str:
    """Why DVC failed, on one line: its output from the first error on, else all of it."""
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    kept = [line for line in said if not line.startswith(_PROGRESS)]
    first = next((place for place, line in enumerate(kept) if line.startswith("ERROR")), 0)
    return " ".join(kept[first : first + 12]) or f"exit code {done.returncode}"


def configure(folder: Path, sections: Mapping[str, Mapping[str, str]]) -> None:
    """Write a checkout's own settings; `dvc config` fails on a path that is not ASCII."""
    lines = []
    for name, values in sections.items():
        lines.append(f"['{name}']" if '"' in name else f"[{name}]")
        lines += [f"    {key} = {_quote(value)}" for key, value in values.items()]
    write_text(folder / ".dvc/config.local", "\n".join(lines) + "\n")


def main() -> int:
    """Run DVC here with this process's arguments, as its own command does, without its advice.

    To add files with git and to push data are steps that `make` has words for. Errors stay.
    """
    from dvc import cli
    from dvc.ui import ui

    write = ui.write

    def write_without_advice(*words: object, **options: object) -> None:
        if not any(str(word).startswith(_ADVICE) for word in words):
            write(*words, **options)

    ui.write = write_without_advice
    logging.getLogger("dvc.repo.scm_context").setLevel(logging.WARNING)
    return int(cli.main())


def _quote(value: str) -> str:
    """Quote a value for DVC's configs, which have quotes but no escapes."""
    mark = "'" if '"' in value else '"'
    if mark in value or "\n" in value:
        raise DataUnavailable(
            f"a setting of DVC holds both kinds of quotes or a line end: {value!r}; change it, "
            "see `dvc config --list`"
        )
    return f"{mark}{value}{mark}"


def list_settings(folder: Path) -> dict[str, str]:
    """All DVC settings that apply in a folder, from every level."""
    lines = run(folder, "config", "--list").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def cache(folder: Path) -> Path:
    """DVC's cache folder for a checkout."""
    return (folder / run(folder, "cache", "dir").strip()).absolute()


if __name__ == "__main__":
    sys.exit(main())
