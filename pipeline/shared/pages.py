"""Pages from templates, the only module that imports Jinja; a template lies beside its code.

Values cannot become markup: they are escaped in HTML, and stay one cell of a table in Markdown.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_PIPELINE = Path(__file__).parents[1]
_ROOTS = [_PIPELINE, _PIPELINE.parent]


def render(template: str, **values: Any) -> str:
    """Render a template, named by its path below pipeline/ or below the repository."""
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
