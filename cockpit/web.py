"""The local server: one page, read-only, on this machine only."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cockpit import views
from cockpit.beside import decide_again, explanation
from cockpit.facts import project as facts
from cockpit.views import View
from pipeline.shared.errors import EnvironmentUnfit
from pipeline.shared.loopback import HOST

ASSETS = Path(__file__).parent / "assets"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_MAX_REQUEST = 80
"""Characters of a request id that are looked up; a flight's name has fewer than thirty."""


def application(root: Path) -> Any:
    """The application for the project at `root`.

    It answers only requests that name this machine: a page elsewhere could otherwise read it by a
    name that it makes point here.
    """
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    _add_pages(app, root)
    return app


def _add_pages(app: Any, root: Path) -> None:
    from starlette.responses import PlainTextResponse, Response

    def respond(content: str, kind: str = "text/html; charset=utf-8") -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    def shown(of: str, request: str, draw: Callable[..., str]) -> Response:
        folders = facts.projects(root)
        word = of if of in folders else facts.newest(root)
        folder, name = folders[word]
        signature = facts.signature(folder)
        names = {key: title for key, (_, title) in folders.items()}
        view = View(root, word, names, request.strip()[:_MAX_REQUEST], signature)
        return respond(draw(facts.read(folder, name), view))

    @app.get("/")
    def page(of: str = "", request: str = "") -> Response:
        return shown(of, request, views.page)

    @app.get("/live")
    def live(of: str = "", request: str = "") -> Response:
        return shown(of, request, views.live)

    @app.get("/signature")
    def signature(of: str = "") -> Response:
        folders = facts.projects(root)
        folder, _ = folders.get(of) or folders["here"]
        return PlainTextResponse(facts.signature(folder), headers=HEADERS)

    @app.get("/decide-again")
    def again(rollout: str, of: str = "") -> Response:
        folders = facts.projects(root)
        folder, _ = folders.get(of) or folders["here"]
        return PlainTextResponse(decide_again(folder, rollout), headers=HEADERS)

    @app.get("/explanation")
    def explain(request: str, of: str = "") -> Response:
        folders = facts.projects(root)
        folder, _ = folders.get(of) or folders["here"]
        return respond(explanation(folder, request.strip()[:_MAX_REQUEST]))

    @app.get("/assets/{name}")
    def asset(name: str) -> Response:
        path = ASSETS / Path(name).name
        if path.suffix not in _TYPES or not path.is_file():
            return PlainTextResponse("no such file", 404, headers=HEADERS)
        return respond(path.read_text(encoding="utf-8"), _TYPES[path.suffix])


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


def serve(root: Path, port: int) -> None:
    """Serve until Ctrl-C."""
    import uvicorn

    taken = listen(port)
    config = uvicorn.Config(
        application(root), log_level="warning", access_log=False, lifespan="off", ws="none"
    )
    uvicorn.Server(config).run(sockets=[taken])
