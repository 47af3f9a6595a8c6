"""Make .venv and install requirements.lock into it: `make setup` runs this by a Python it found.

The machine is checked before anything is removed, and the stamp is written last: only where every
package that the lock pins for this machine is installed. Standard library only.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / ".ci")]  # an isolated Python adds neither

import machine  # noqa: E402
import registry  # noqa: E402

from pipeline.shared import git, requirements  # noqa: E402
from pipeline.shared.programs import installing  # noqa: E402

LOCK = Path("requirements.lock")
VENV = Path(".venv")
UV = VENV / "bin/uv"
PYTHON = VENV / "bin/python"
STAMP = VENV / "installed"
GIGABYTES = 2.4
COST = f"about {GIGABYTES} GB, minutes where packages are fetched first"
COMPANY = (
    "no package index was reached, or not all of one. In a company's network name what it has: "
    "UV_DEFAULT_INDEX=https://INDEX/simple for its package index, HTTPS_PROXY=http://PROXY:PORT, "
    "SSL_CERT_FILE=/path/to/ca.pem for its certificate (pip's PIP_INDEX_URL and pip.conf count, "
    "too); then run make setup again"
)
UNREACHED = re.compile(
    r"sending request|connect|dns|resolution|timed? ?out|certificate|\btls\b|\bssl\b|HTTP status"
    r"|failed to fetch|max retries|not found in the package registry|no matching distribution",
    re.IGNORECASE,
)
"""What pip and uv say where a registry does not answer, or lacks what every registry has."""
CHECK = """\
import sys
sys.path.insert(0, '.')
from pathlib import Path
from pipeline.reproduce.environment import differences, installed_versions, required_versions
wanted = required_versions(Path('requirements.lock').read_text(encoding='utf-8'))
print(len(wanted), *differences(wanted, installed_versions()), sep='\\n')
"""


class Refused(Exception):
    """Set-up cannot go on; its words are for the user."""


def run(*command: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and keep what it says."""
    environment = {**os.environ, **registry.settings(os.environ), **settings}
    words = list(map(str, command))
    return subprocess.run(words, check=False, capture_output=True, text=True, env=environment)


def must(why: str, *command: str | Path, **settings: str) -> str:
    """Run a command that has to do its work; what it printed.

    Raises:
        Refused: it ended otherwise; names a company's network where no registry was reached.
    """
    done = run(*command, **settings)
    if done.returncode == 0:
        return done.stdout
    said = (done.stderr + done.stdout).strip()
    advice = f": {COMPANY}" if UNREACHED.search(said) else ""
    raise Refused(f"{why}{advice}\n{said[-2000:]}")


def make_environment() -> None:
    """A virtual environment of this Python, where none is in use."""
    if VENV.is_symlink():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)  # not one that is removed here
    done = run(base, "-I", "-m", "venv", VENV)
    if done.returncode:
        raise Refused(
            f"{base} cannot make a virtual environment; `{installing(['python3'])}` "
            f"installs one that can\n{(done.stderr + done.stdout).strip()[-1000:]}"
        )
    with (VENV / "pyvenv.cfg").open("a", encoding="utf-8") as settings:
        settings.write("relocatable = true\n")  # uv's: programs find this Python from beside them


def install_uv() -> None:
    """The uv of the lock, which installs the rest."""
    options = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
    part = written("uv", requirements.only(LOCK.read_text(encoding="utf-8"), {"uv"}))
    pip = (PYTHON, "-I", "-m", "pip", "install", *options, "--requirement", part)
    must("pip cannot install uv", *pip)


def install() -> None:
    """The lock's packages; those that stand apart may fail, with a word."""
    whole = LOCK.read_text(encoding="utf-8")
    more = registry.options(os.environ)
    target = ("--quiet", "--python", PYTHON, "--require-hashes", "--compile-bytecode", *more)
    main = written("main", requirements.without(whole, requirements.OPTIONAL))
    must(f"uv cannot install {LOCK}", UV, "pip", "sync", *target, main)
    for name, missed in requirements.OPTIONAL.items():
        options = (*target, "--no-deps", "--only-binary", ":all:")
        part = written(name, requirements.only(whole, {name}))
        done = run(UV, "pip", "install", *options, "--requirement", part)
        if done.returncode:
            said = " ".join(done.stderr.split())[-300:]
            print(f"setup: no {name} here: {missed} (uv says: {said})", file=sys.stderr)


def written(name: str, text: str) -> Path:
    """A part of the lock as a file."""
    path = VENV / f"{name}.lock"
    path.write_text(text, encoding="utf-8")
    return path


def check() -> int:
    """How many packages the lock pins for this machine, all of them installed.

    Raises:
        Refused: some are not in .venv, whatever sent them elsewhere, or none is pinned.
    """
    count, *missing = must("the packages cannot be read", PYTHON, "-I", "-c", CHECK).splitlines()
    if missing or not int(count):
        raise Refused(
            f"{len(missing)} of {count} packages of {LOCK} are not in {VENV} after installing: "
            f"{'; '.join(missing[:3])}; a setting of pip or uv sends them elsewhere: see uv.toml "
            "and `.venv/bin/python -m pip config list`"
        )
    return int(count)


@contextmanager
def alone() -> Iterator[bool]:
    """Wait until no other set-up works on this environment; yields whether there was one."""
    path = VENV.resolve().parent / "state/setup.lock"  # a replay's .venv is its project's
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = path.open("a+")
    except OSError as error:
        raise Refused(
            f"{path} cannot be written ({error}): see where {path.parent} leads"
        ) from error
    with held as stream:
        others = False
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            others = True
            stream.seek(0)
            print(
                f"setup: process {stream.read() or '?'} is setting up {VENV.resolve()} ({path} is "
                "held): waiting for it",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:  # a drive whose file system has no locks
            pass
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield others


def is_done() -> bool:
    """Whether the environment is stamped for this lock, and its Python runs."""
    try:
        stamped = STAMP.stat().st_mtime >= LOCK.stat().st_mtime
        return stamped and run(PYTHON, "-I", "-c", "import uv").returncode == 0
    except OSError:
        return False


def is_own() -> bool:
    """Whether the environment's own Python runs this, and finds its packages.

    It finds none of another Python's: a system's upgrade changes what `python3` is.
    """
    own = Path(sys.prefix).resolve() == VENV.resolve()
    return own and os.access(UV, os.X_OK) and find_spec("uv") is not None


def set_up() -> None:
    """Bring the environment to what the lock says, and stamp it.

    Raises:
        Refused: it cannot be done here.
    """
    STAMP.unlink(missing_ok=True)
    in_use = is_own()
    if not in_use:
        make_environment()
    os.environ.update(registry.environment(PYTHON))
    if not in_use:
        install_uv()
    print(f"setup: installing {LOCK} into {VENV}: {COST}", file=sys.stderr, flush=True)
    install()
    check()
    STAMP.touch()


def main() -> int:
    """0 where everything is installed and stamped, else 2."""
    os.chdir(ROOT)
    try:
        if reason := machine.unfit(machine.here()):
            raise Refused(reason)
        if reason := git.unreadable_reason(
            ROOT
        ):  # what is installed first would only be in the way
            raise Refused(reason)
        with alone() as waited:
            if not (waited and is_done()):
                set_up()
    except Refused as refusal:
        print(f"setup: {refusal}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
