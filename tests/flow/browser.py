"""A real Chromium without a window, told what to do over a pipe: no port, no driver, no package."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_SILENT = {"Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
"""Keys that write nothing, with their codes."""
FLAGS = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def program() -> str:
    """Chromium or its sibling, or nothing where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), "")


class Tab:
    """One tab: it goes to pages, runs JavaScript, presses keys, and keeps what went wrong."""

    def __init__(self, told: int, heard: int) -> None:
        self.faults: list[str] = []
        self._told, self._heard = os.fdopen(told, "wb", 0), os.fdopen(heard, "rb")
        self._count, self._session, self._loaded = 0, "", False
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """End the whole browser."""
        self._session = ""
        self.ask("Browser.close")
        self._told.close()
        self._heard.close()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._told.write(json.dumps(message).encode() + b"\0")
        while (found := self._hear()).get("id") != self._count:
            pass
        if "error" in found:
            raise RuntimeError(f"{method}: {found['error']['message']}")
        return found.get("result", {})

    def go(self, url: str) -> None:
        """Open a page, and wait until it has loaded."""
        self._loaded = False
        elsewhere = "loaderId" in self.ask("Page.navigate", url=url)  # not only another heading
        while elsewhere and not self._loaded:
            self._hear()

    def await_load(self, expression: str) -> None:
        """Run what leads to another page, and wait until that has loaded."""
        self._loaded = False
        self.run(expression)
        while not self._loaded:
            self._hear()

    def reload(self) -> None:
        """Open the same page again."""
        self.go(self.run("location.href"))

    def run(self, expression: str) -> Any:
        """What an expression of JavaScript is worth on the page, once it is settled."""
        done = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(f"{expression[:80]}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, wherever the focus is."""
        text = {"Enter": "\r", **dict.fromkeys(_SILENT, "")}.get(key, key)
        code = _SILENT.get(key) or (13 if key == "Enter" else ord(key.upper()))
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if kind == "keyDown" and text else {}
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra
            )

    def look(self, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Be as wide as a screen or a phone, and light or dark."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def _hear(self) -> dict[str, Any]:
        """The next message; an event of the page is taken note of."""
        heard = bytearray()
        while (byte := self._heard.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            heard += byte
        found: dict[str, Any] = json.loads(heard)
        self._note(found.get("method", ""), found.get("params", {}))
        return found

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.faults.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.faults.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.faults.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("file:", "data:", "about:")):
                self.faults.append(f"asked for {url}")


@contextmanager
def opened(profile: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, which ends with it."""
    theirs_in, told = os.pipe()
    heard, theirs_out = os.pipe()
    # Chromium reads from 3 and writes to 4.
    start = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [program(), *FLAGS, *root, f"--user-data-dir={profile}", "about:blank"]
    # It leaves its socket among the temporary files, in a folder of a name that must be short.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as short,
        subprocess.Popen(
            ["bash", "-c", start, *command],
            pass_fds=(theirs_in, theirs_out),
            env=os.environ | {"TMPDIR": short},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            tab = Tab(told, heard)
            try:
                yield tab
            finally:
                tab.close()
        finally:
            process.terminate()
