"""The command line: `python -m cockpit [--port N] [--static 1] [--tool NAME] [--demo]`."""

import argparse
import sys
from pathlib import Path

from pipeline.__main__ import run_command
from pipeline.shared.errors import PipelineError, UsageError

PORT = 8765


def main(arguments: list[str] | None = None) -> int:
    """Open the cockpit; 0 done, 1 refused, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m cockpit", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, metavar="PORT")
    parser.add_argument("--static", default="", metavar="1", help="write one HTML file instead")
    parser.add_argument("--tool", default="", metavar="NAME", help="a tool's own window: mlflow")
    parser.add_argument("--demo", action="store_true", help="the guided tour")
    given = parser.parse_args(arguments)
    if not 0 < given.port < 65_536:
        parser.error(f"{given.port} is no port, which is a number from 1 to 65535")
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

        sys.stdout.write(f"{write(root)}\n")
        return 0
    from cockpit.web import serve

    path = "/?tour=1" if given.demo else "/"

    def say() -> None:
        sys.stdout.write(f"cockpit: http://127.0.0.1:{given.port}{path}  (Ctrl-C ends it)\n")
        sys.stdout.flush()

    serve(root, given.port, say)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
