"""The local server: one page, read-only, on this machine only."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cockpit import views
from cockpit.beside import decide_again, explanation
from cockpit.facts import project as facts
from cockpit.static_page import ASSETS
from cockpit.tools.own_windows import PARTS, Windows, open_windows
from cockpit.views import View
from pipeline.shared.errors import EnvironmentUnfit, PipelineError, UsageError
from pipeline.shared.loopback import HOST

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HTML = "text/html; charset=utf-8"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_MAX_REQUEST = 80
"""Characters of a request id that are looked up; a flight's name has fewer than thirty."""
_ONLY_OWN = "only the cockpit's own page may ask"


def application(root: Path, windows: Windows | None = None) -> FastAPI:
    """The application for the project at `root`; without `windows` no program can be opened.

    It answers only requests that name this machine: a page elsewhere could otherwise read it by a
    name that it makes point here.
    """
    app, pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), Pages(root, windows)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.get("/")(pages.page)
    app.get("/live")(pages.live)
    app.get("/signature")(pages.signature)
    app.get("/decide-again")(pages.decide_again)
    app.get("/explanation")(pages.explanation)
    app.get("/tools/{name}")(pages.tool)
    app.get("/assets/{name}")(pages.asset)
    return app


@dataclass(frozen=True)
class Pages:
    """The responses of the server; `of` is the word of a folder, by default the newest."""

    root: Path
    windows: Windows | None = None

    def page(self, of: str = "", request: str = "") -> Response:
        """The whole page."""
        return self._draw(of, request, views.page)

    def live(self, of: str = "", request: str = "") -> Response:
        """The part of the page that changes."""
        return self._draw(of, request, views.live)

    def signature(self, of: str = "") -> Response:
        """A text that changes when the page does."""
        return _plain(facts.signature(self._folder(of)))

    def decide_again(self, asked: Request, rollout: str, of: str = "") -> Response:
        """A rollout, decided again from its evidence."""
        if _is_foreign(asked):
            return _plain(_ONLY_OWN, 403)
        return _plain(decide_again(self._folder(of), rollout))

    def explanation(self, asked: Request, request: str, of: str = "") -> Response:
        """A prediction, explained."""
        if _is_foreign(asked):
            return _plain(_ONLY_OWN, 403)
        words = explanation(self._folder(of), request.strip()[:_MAX_REQUEST])
        return Response(words, media_type=_HTML, headers=HEADERS)

    def tool(self, asked: Request, name: str, of: str = "") -> Response:
        """A tool's window: a page of its results, or the way to its own program."""
        if _is_foreign(asked):
            return _plain(_ONLY_OWN, 403)
        folders = facts.projects(self.root)
        word = of if of in folders else facts.newest(self.root)
        folder, title = folders[word]
        if name in views.DRAWN:
            html = views.tool(name, folder, title, word)
            return Response(html, media_type=_HTML, headers=HEADERS)
        if name not in PARTS or self.windows is None:
            return _plain(f"no such window: {name[:40]}; one of {', '.join(views.TOOLS)}", 404)
        try:
            return RedirectResponse(self.windows.open(name, folder), 303, headers=HEADERS)
        except (PipelineError, UsageError) as refusal:
            return _plain(f"{type(refusal).__name__}: {refusal}", 409)

    def asset(self, name: str) -> Response:
        """The stylesheet or the script."""
        path = ASSETS / Path(name).name
        if path.suffix not in _TYPES or not path.is_file():
            return _plain("no such file", 404)
        return Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers=HEADERS)

    def _draw(self, of: str, request: str, draw: Callable[..., str]) -> Response:
        folders = facts.projects(self.root)
        word = of if of in folders else facts.newest(self.root)
        folder, name = folders[word]
        signature = facts.signature(folder)  # first: what changes meanwhile is drawn once more
        names = {key: title for key, (_, title) in folders.items()}
        view = View(self.root, word, names, request.strip()[:_MAX_REQUEST], signature)
        html = draw(facts.read(folder, name), view)
        return Response(html, media_type=_HTML, headers=HEADERS)

    def _folder(self, word: str) -> Path:
        folders = facts.projects(self.root)
        return (folders.get(word) or folders["here"])[0]


def _plain(words: str, status: int = 200) -> Response:
    return PlainTextResponse(words, status, headers=HEADERS)


def _is_foreign(asked: Request) -> bool:
    """Whether another site's page makes a browser ask: it may start no process here."""
    return asked.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def listen(port: int) -> socket.socket:
    """Take a port of this machine.

    Raises:
        EnvironmentUnfit: another program has it, such as a cockpit that runs already.
    """
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except OSError as error:
        taken.close()
        raise EnvironmentUnfit(
            f"port {port} of {HOST} is in use ({error.strerror}): open http://{HOST}:{port}/ if a "
            f"cockpit runs there already, or `make ui PORT={port + 1}`"
        ) from error
    return taken


def serve(root: Path, port: int, ready: Callable[[], Any] = lambda: None) -> None:
    """Serve until Ctrl-C; `ready` is called once the port is taken."""
    import uvicorn

    taken = listen(port)
    with open_windows() as windows:
        ready()
        app = application(root, windows)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", ws="none"
        )
        uvicorn.Server(config).run(sockets=[taken])
