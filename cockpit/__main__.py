"""The command line: `python -m cockpit [--port N] [--static 1] [--tool NAME] [--demo]`."""

import argparse
import contextlib
import signal
import sys
from pathlib import Path

from pipeline.__main__ import Parser, run_command
from pipeline.shared.errors import EnvironmentUnfit, PipelineError, UsageError

PORT = 8765


def main(arguments: list[str] | None = None) -> int:
    """Open the cockpit; 0 done, 1 refused, 2 wrong usage."""
    from cockpit.places import TOOLS

    parser = Parser(prog="python -m cockpit", description=__doc__)
    parser.add_argument("--port", default="", metavar="PORT")
    parser.add_argument("--static", default="", metavar="1", help="write one HTML file instead")
    parser.add_argument("--tool", default="", metavar="NAME", choices=["", *TOOLS])
    parser.add_argument("--demo", action="store_true", help="the guided tour")
    given = parser.parse_args(arguments)
    if given.port and not (given.port.isascii() and given.port.isdigit()):
        parser.error(f"{given.port!r} is no port, which is a number from 1 to 65535")
    given.named, given.port = bool(given.port), int(given.port or PORT)
    if not 0 < given.port < 65_536:
        parser.error(f"{given.port} is no port, which is a number from 1 to 65535")
    if given.static and given.tool:
        parser.error("--static writes the page, --tool opens a window: give one of them")
    try:
        return _open(given)
    except (PipelineError, UsageError) as refusal:
        sys.stderr.write(f"ui: {type(refusal).__name__}: {refusal}\n")
        return refusal.exit_code
    except KeyboardInterrupt:
        return 0


def _open(given: argparse.Namespace) -> int:
    root = Path.cwd()
    if given.static:
        from cockpit.static_page import write

        _say(write(root))
        return 0
    from cockpit.tools.own_windows import PARTS

    if given.tool in PARTS:
        return _open_window(root, given.tool, _port_of_window(given))
    from cockpit.web import serve

    path = f"/tools/{given.tool}" if given.tool else "/?tour=1" if given.demo else "/"
    address = f"http://127.0.0.1:{given.port}{path}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: every window is closed
    serve(root, given.port, lambda: _say(f"cockpit: {address}  (Ctrl-C ends it)"))
    return 0


def _port_of_window(given: argparse.Namespace) -> int:
    """The port of a tool's window: the named one, or else a free one where a cockpit runs."""
    from cockpit.ports import free_port, listen

    if not given.named:
        with contextlib.suppress(EnvironmentUnfit):
            listen(given.port).close()
            return int(given.port)
        return free_port()
    return int(given.port)


def _open_window(root: Path, tool: str, port: int) -> int:
    """Open a tool's own window until Ctrl-C."""
    from cockpit.facts import project
    from cockpit.tools.own_windows import open_windows

    ends = {signal.SIGINT, signal.SIGTERM}
    newest = project.newest(root)
    folders = project.projects(root)
    ordered = sorted(folders.values(), key=lambda one: one != folders[newest])
    with open_windows() as windows:
        address, name = windows.open_first(tool, ordered, port)
        _say(f"{tool}: {address} shows {name}  (Ctrl-C ends it)")
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)
    return 0


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_command(main))
