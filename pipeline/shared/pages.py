"""Pages for people: the door to Jinja; a template lies in `templates` beside the code that uses it.

Nothing that a page names can become markup: values are escaped in HTML, and stay one cell of a
table in Markdown.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_PIPELINE = Path(__file__).parents[1]
_ROOTS = [_PIPELINE, _PIPELINE.parent]


def render(template: str, **values: Any) -> str:
    """The page of a template, which is named by its path below pipeline/, or from the top."""
    return _environment(Path(template).suffix).get_template(template).render(values)


@cache
def _environment(suffix: str) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_ROOTS),
        autoescape=suffix == ".html",
        finalize=_cell if suffix == ".md" else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = format
    return environment


def _cell(value: Any) -> str:
    """A value on one line without a bar: either would end a cell of a Markdown table."""
    return " ".join(str(value).replace("|", "/").split())
