"""The page as one HTML file, to send or to open without a server."""

from pathlib import Path

from cockpit import views
from cockpit.facts import project as facts
from cockpit.views import View
from pipeline.shared.files import write_text

ASSETS = Path(__file__).parent / "assets"
FILE = Path("state/cockpit.html")


def write(root: Path) -> str:
    """Write the page of the folder in which something happened last; returns where."""
    word = facts.newest(root)
    folder, name = facts.projects(root)[word]
    css, js = ((ASSETS / f"cockpit.{end}").read_text(encoding="utf-8") for end in ("css", "js"))
    view = View(root, word, {word: name}, static=True, css=css, js=js)
    write_text(root / FILE, views.page(facts.read(folder, name), view))
    return f"{name}, as one file -> {FILE}"
