"""The local server: one page, read-only, on this machine only."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from cockpit import places, views
from cockpit.beside import decide_again, explanation
from cockpit.facts import project as facts
from cockpit.facts.project import Project
from cockpit.ports import listen
from cockpit.static_page import ASSETS
from cockpit.tools.own_windows import PARTS, Windows, open_windows
from cockpit.views import View
from pipeline.shared.errors import ArtifactMissing, PipelineError, UsageError
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
"""Characters of a request id that are looked up; a case's name has fewer than thirty."""
_ONLY_OWN = "only the cockpit's own page may ask"


def application(root: Path, windows: Windows | None = None) -> Starlette:
    """The application for the project at `root`; without `windows` no program can be opened.

    It answers only requests that name this machine: a page elsewhere could otherwise read it by a
    name that it makes point here.
    """
    pages = Pages(root, windows)
    routes = [
        Route("/", pages.page),
        Route("/live", pages.live),
        Route("/signature", pages.signature),
        Route("/decide-again", pages.decide_again),
        Route("/explanation", pages.explanation),
        Route("/tools/{name}", pages.tool),
        Route("/assets/{name}", pages.asset),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    handlers = {PipelineError: _refusal, UsageError: _refusal}
    return Starlette(routes=routes, middleware=[hosts], exception_handlers=handlers)


@dataclass(frozen=True)
class Pages:
    """The responses of the server; `of` in an address is the word of a folder."""

    root: Path
    windows: Windows | None = None

    def page(self, asked: Request) -> Response:
        """The whole page."""
        return self._draw(asked, views.page)

    def live(self, asked: Request) -> Response:
        """The part of the page that changes."""
        return self._draw(asked, views.live)

    def signature(self, asked: Request) -> Response:
        """A text that changes when the page does."""
        return _plain(facts.signature(self._folder(asked)[1]))

    def decide_again(self, asked: Request) -> Response:
        """A rollout, decided again from its evidence."""
        if _is_foreign(asked):
            return _plain(_ONLY_OWN, 403)
        rollout = asked.query_params.get("rollout", "")
        return _plain(decide_again(self._folder(asked)[1], rollout))

    def explanation(self, asked: Request) -> Response:
        """A prediction, explained."""
        if _is_foreign(asked):
            return _plain(_ONLY_OWN, 403)
        return _html(explanation(self._folder(asked)[1], _request_id(asked)))

    def tool(self, asked: Request) -> Response:
        """A tool's window: a page of its results, or the way to its own program."""
        if _is_foreign(asked):
            return _plain(_ONLY_OWN, 403)
        name = asked.path_params["name"]
        word, folder, title = self._folder(asked)
        if name in places.DRAWN:
            return _html(views.tool(name, folder, title, word))
        if name not in PARTS or self.windows is None:
            return _plain(f"no such window: {name[:40]}; one of {', '.join(places.TOOLS)}", 404)
        return RedirectResponse(self.windows.open(name, folder), 303, headers=HEADERS)

    def asset(self, asked: Request) -> Response:
        """The stylesheet or the script."""
        path = ASSETS / Path(asked.path_params["name"]).name
        if path.suffix not in _TYPES or not path.is_file():
            return _plain("no such file", 404)
        return Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers=HEADERS)

    def _draw(self, asked: Request, draw: Callable[[Project, View], str]) -> Response:
        word, folder, name = self._folder(asked)
        signature = facts.signature(folder)  # first: what changes meanwhile is drawn once more
        names = {key: title for key, (_, title) in facts.projects(self.root).items()}
        view = View(self.root, word, names, _request_id(asked), signature)
        return _html(draw(facts.read(folder, name), view))

    def _folder(self, asked: Request) -> tuple[str, Path, str]:
        """The word, folder and name that are asked for, or those of the newest folder.

        Raises:
            ArtifactMissing: the project was moved or removed while the cockpit shows it.
        """
        if not self.root.is_dir():
            raise ArtifactMissing(
                f"{self.root} is not there any more: the project was moved or removed; end this "
                "cockpit, and `make ui` opens another in the project's new place"
            )
        folders = facts.projects(self.root)
        word = asked.query_params.get("of", "")
        word = word if word in folders else facts.newest(self.root)
        return (word, *folders[word])


def _request_id(asked: Request) -> str:
    return asked.query_params.get("request", "").strip()[:_MAX_REQUEST]


def _html(text: str) -> Response:
    return Response(text, media_type=_HTML, headers=HEADERS)


def _plain(words: str, status: int = 200) -> Response:
    return PlainTextResponse(words, status, headers=HEADERS)


def _refusal(_: Request, error: Exception) -> Response:
    """A refusal on purpose, as a page: anything else is a bug, and ends as one."""
    return _plain(f"{type(error).__name__}: {error}", 409)


def _is_foreign(asked: Request) -> bool:
    """Whether another site's page makes a browser ask: it may start no process here."""
    return asked.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


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
