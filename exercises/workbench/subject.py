"""The process that runs a solution: it computes what it is asked, and never learns what is right.

Run by path with the standard library and `wire` beside it. Requests come as pickles from the
judging process, which is trusted; replies are JSON. Both use descriptors of their own, so that
nothing that a solution prints is taken for a reply.
"""

import contextlib
import ctypes
import fcntl
import importlib
import importlib.util
import json
import linecache
import os
import pickle
import resource
import select
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEAD = struct.Struct(">I")
"""Each message begins with its length."""
_DENIED = {
    **dict.fromkeys(["socket.connect", "socket.bind", "socket.sendto"], "used the network"),
    "socket.getaddrinfo": "used the network",
    **dict.fromkeys(
        ["subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"],
        "started a process",
    ),
    **dict.fromkeys(["os.kill", "os.killpg"], "signalled a process"),
}
_CHANGES = {
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "shutil.rmtree", "sqlite3.connect"),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main() -> None:
    """Answer requests until there are no more."""
    folder = Path(sys.argv[1])
    settings = json.loads(sys.argv[2])
    requests, replies = _private_descriptors()
    wire = _load("wire", Path(__file__).with_name("wire.py"))
    tried: list[str] = []
    threading.Thread(target=_end_with_the_judge, args=(requests.fileno(),), daemon=True).start()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    limit(settings["limits"])
    if settings["guard"]:
        _guard(folder, settings, tried)
    while (head := requests.read(HEAD.size)) and len(head) == HEAD.size:
        request = requests.read(HEAD.unpack(head)[0])
        reply = _reply(request, folder, wire) | {"tried": sorted(set(tried))}
        content = json.dumps(reply).encode()
        replies.write(HEAD.pack(len(content)) + content)
        replies.flush()


def _private_descriptors() -> tuple[Any, Any]:
    """The pipes to the judging process, moved away from standard input and output."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, replies


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _reply(request: bytes, folder: Path, wire: Any) -> dict[str, Any]:
    """What a request comes to: its value, or what was raised and where in the solution."""
    try:
        return {"value": wire.encode(_run(pickle.loads(request)))}
    except BaseException as error:  # a solution may raise anything, SystemExit too
        return {"raised": _describe(error, folder)}


def _run(request: dict[str, Any]) -> Any:
    if "scenario" in request:
        names: dict[str, Any] = {"__name__": "scenario"}
        exec(compile(request["scenario"], "<scenario>", "exec"), names)  # from the judging process
        return names[request["name"]](*request["args"], **request["kwargs"])
    found: Any = importlib.import_module(request["module"])
    for part in request["name"].split("."):
        found = getattr(found, part)
    return found(*request["args"], **request["kwargs"])


def _describe(error: BaseException, folder: Path) -> dict[str, Any]:
    """An exception's class, those above it, its words, and the last line of the solution in it."""
    kinds = [one.__name__ for one in type(error).__mro__]
    place = _place(error, folder)
    return {"kinds": kinds, "words": str(error)[:2000], **place}


def _place(error: BaseException, folder: Path) -> dict[str, Any]:
    if isinstance(error, SyntaxError) and error.filename:
        name, line, text = error.filename, error.lineno or 0, error.text or ""
        return {"file": _inside(name, folder), "line": line, "text": text.strip()}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(folder):
            text = linecache.getline(frame.filename, frame.lineno or 0)
            file = _inside(frame.filename, folder)
            return {"file": file, "line": frame.lineno or 0, "text": text.strip()}
    return {"file": "", "line": 0, "text": ""}


def _inside(name: str, folder: Path) -> str:
    path = Path(name)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _end_with_the_judge(requests: int) -> None:
    """End the process when nobody is left to ask: a judge that was killed ends nothing itself."""
    waiting = select.poll()
    waiting.register(requests, 0)  # a hang-up is told whatever is asked for
    waiting.poll()
    os._exit(1)


def limit(limits: dict[str, int]) -> None:
    """Set this process's limits, which no child of it can raise."""
    for name, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower one is in force, or none is known
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def _guard(folder: Path, settings: dict[str, Any], tried: list[str]) -> None:
    """Let the system refuse files outside, and say by an audit hook what was tried."""
    readable = [*settings["readable"], str(folder)]
    scratch = os.path.realpath(settings["scratch"])
    restrict_files(readable, [scratch, os.devnull])
    hidden = [os.path.realpath(one) for one in settings["hidden"]]
    allowed = [os.path.realpath(one) for one in readable]

    def is_hidden(path: str) -> bool:
        inside = any(_below(path, one) for one in hidden)
        return inside and not any(_below(path, one) for one in (*allowed, scratch))

    def hook(event: str, args: tuple[Any, ...]) -> None:
        reason = _DENIED.get(event) or _touches(event, args, scratch, is_hidden, str(folder))
        if reason:
            tried.append(reason)
            raise PermissionError(f"the solution {reason}, which a grade does not allow")

    sys.addaudithook(hook)


def _touches(
    event: str,
    args: tuple[Any, ...],
    scratch: str,
    is_hidden: Callable[[str], bool],
    folder: str,
) -> str:
    """What an event does to a file that a solution may not touch; "" if it does nothing."""
    is_about_files = event in ("open", "os.listdir") or event in _CHANGES
    if not is_about_files or not isinstance(args[0], str | bytes | os.PathLike):
        return ""
    path = _path_of(event, args)
    if event == "open":
        flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
        if flags & _WRITING and not _below(path, scratch) and path != os.devnull:
            return f"wrote {_shown(path, folder)}"
        if is_hidden(path):
            return f"read {_shown(path, folder)}"
    if event in _CHANGES and not _below(path, scratch):
        return f"changed {_shown(path, folder)}"
    if event == "os.listdir" and is_hidden(path):
        return f"listed {_shown(path, folder)}"
    return ""


def _path_of(event: str, args: tuple[Any, ...]) -> str:
    """The path that an event is about; where a folder is emptied, it is relative to that one."""
    path = os.fsdecode(args[0])
    if event in ("os.remove", "os.rmdir") and args[1] >= 0:
        if hasattr(fcntl, "F_GETPATH"):  # macOS
            folder = os.fsdecode(fcntl.fcntl(args[1], fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        else:
            folder = str(Path(f"/proc/self/fd/{args[1]}").readlink())
        path = str(Path(folder) / path)
    return os.path.realpath(path)


def _below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(parent.rstrip("/") + "/")


def _shown(path: str, folder: str) -> str:
    """A path as a report may say it: the same on every machine."""
    return os.path.relpath(path, folder) if _below(path, folder) else f"…/{Path(path).name}"


_CREATE, _ADD, _RESTRICT = 444, 445, 446
_READ = 0b1101
"""Landlock's rights to execute, to read a file and to list a folder."""
_OF_A_FILE = 0b111
_RIGHTS = {1: 13, 2: 14}
"""How many rights on files its versions know; from the third on 15, truncation included."""


def landlock_version() -> int:
    """The version of Landlock that the system has; 0 without."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, 0, 1)))


def restrict_files(readable: list[str], writable: list[str]) -> bool:
    """Let this process and its children reach no other files, by Linux's Landlock.

    Returns whether the system can; where it cannot, only the audit hook stands in the way.
    """
    if not (version := landlock_version()):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    every = (1 << _RIGHTS.get(version, 15)) - 1
    rights = struct.pack("Q", every)
    rules = libc.syscall(_CREATE, rights, len(rights), 0)
    for paths, allowed in ((readable, _READ), (writable, every)):
        for path in filter(os.path.exists, paths):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            right = allowed if Path(path).is_dir() else allowed & _OF_A_FILE
            libc.syscall(_ADD, rules, 1, struct.pack("=Qi", right, descriptor), 0)
            os.close(descriptor)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges, without which Landlock asks for root
    done = bool(libc.syscall(_RESTRICT, rules, 0) == 0)
    os.close(rules)
    return done


if __name__ == "__main__":
    main()
