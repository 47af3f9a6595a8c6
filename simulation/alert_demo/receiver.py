"""The receiver of Alertmanager's messages during `make monitor-live`: it records them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink:
    """A webhook on this machine; its address ends with a message's receiver."""

    def __init__(self, host: str, port: int):
        """It listens at once, and responds within its block."""
        self._notifications: list[tuple[str, str, str]] = []
        self._read = 0
        notifications = self._notifications

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver = self.path.strip("/")
                for alert in json.loads(body)["alerts"]:
                    notifications.append((receiver, alert["labels"]["alertname"], alert["status"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Write nothing: `new_notifications` reports the messages."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "Sink":
        """Start to respond."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop responding."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def is_notified(self, name: str, status: str) -> bool:
        """Whether some receiver was notified of an alert as "firing", or "resolved"."""
        return any((alert, how) == (name, status) for _, alert, how in self._notifications)

    def receiver(self, name: str) -> str:
        """The receiver that was notified of an alert."""
        return next(
            (receiver for receiver, alert, _ in self._notifications if alert == name), "nobody"
        )

    def new_notifications(self) -> list[str]:
        """The notifications since the last call, each once."""
        found = list(dict.fromkeys(self._notifications[self._read :]))
        known = set(self._notifications[: self._read])
        self._read = len(self._notifications)
        return [
            f"{who} is notified: {name} {how}"
            for who, name, how in found
            if (who, name, how) not in known
        ]
