"""Code as the book shows it: the first lines of a symbol, coloured when the book is built."""

from dataclasses import dataclass
from functools import cache

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from docs import symbols

LINES = 25
"""How many lines of a symbol are shown."""
_SPARE = 4  # a rest as short as this is shown rather than cut


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a symbol's code: where it stands, the lines as HTML, how many are left."""

    symbol: str
    place: str
    doc: str
    html: str
    left: int


@cache
def excerpt(symbol: str) -> Excerpt:
    """The first lines of a symbol such as "pipeline.shared.paired_difference:difference"."""
    lines = symbols.source(symbol)
    shown = LINES if len(lines) > LINES + _SPARE else len(lines)
    place, _, doc = symbols.place(symbol).partition("  ")
    html = coloured("\n".join(lines[:shown]), "python")
    return Excerpt(symbol, place, doc, html, len(lines) - shown)


def coloured(code: str, language: str) -> str:
    """Code as HTML whose colours the stylesheet gives; as it is where no lexer knows the language.

    It can be focused, because who has only a keyboard must be able to scroll it.
    """
    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False)
    except ClassNotFound:  # a drawing, say: its text is readable as well
        lexer = get_lexer_by_name("text", stripnl=False)
    body = str(highlight(code, lexer, HtmlFormatter(nowrap=True)))
    return f'<pre class="code" tabindex="0"><code>{body}</code></pre>'
