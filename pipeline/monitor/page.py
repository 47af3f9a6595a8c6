"""What was found, as HTML pages that need nothing else, and their pictures."""

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.monitor.diagnose import Finding

_STYLE = (
    ":root{color-scheme:light dark}body{font:15px system-ui;max-width:62rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "td,th{padding:.3rem .6rem;text-align:left;border-bottom:1px solid #8886;vertical-align:top}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%;background:#fff}"
    ".no{color:#d0102a;font-weight:600}.yes{color:#1b8e4c}.note{opacity:.7}"
)


def document(title: str, body: str) -> str:
    """A whole page."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>\n{body}</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers stand to the right, text is escaped."""
    lines = ["<tr>" + "".join(f"<th>{html.escape(cell)}" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>\n"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return f"<td class={'yes' if value else 'no'}>{'yes' if value else 'no'}"
    if isinstance(value, int):
        return f"<td class=n>{value:,}"
    if isinstance(value, float):
        return f"<td class=n>{value:.4g}"
    return f"<td>{html.escape(str(value))}"


def paragraphs(*texts: str) -> str:
    """Text, a paragraph each."""
    return "".join(f"<p>{html.escape(text)}</p>\n" for text in texts)


def diagnosis(finding: "Finding") -> str:
    """A finding with the evidence of each step of the triage."""
    steps = [
        paragraphs(
            f"Champion {finding.champion[:12]}, trained on {finding.reference}; "
            f"{finding.rows:,} flights served, {finding.logged:,} of them online.",
            f"What to do: {finding.act}.",
        ),
        "<ul>" + "".join(f"<li>{html.escape(reason)}" for reason in finding.reasons) + "</ul>\n",
        "<h2>1. Is the data sound?</h2>\n",
        table(
            ["check", "found", "limit", "passed", "detail"],
            [(c.name, c.found, c.limit, c.passed, c.detail) for c in finding.quality],
        ),
        "<h2>2. Was it served as training reads it?</h2>\n",
        _skew(finding),
        "<h2>3. Other inputs, or another relation?</h2>\n",
        _parts(finding),
        "<h2>4. What a refit would have gained</h2>\n",
        paragraphs(_gain(finding)),
        "<h2>5. Season</h2>\n",
        paragraphs(
            "One year cannot tell a season from a change that stays: both are months unlike those "
            "of training. The second row above leaves out the inputs that follow the season, so "
            "its middle part holds the season as well."
        ),
    ]
    return document(f"{finding.month}: {finding.cause}, {finding.act}", "".join(steps))


def _skew(finding: "Finding") -> str:
    if not finding.skew:
        return paragraphs(f"{finding.logged:,} logged rows hold what was known, value by value.")
    rows = sorted(finding.skew.items(), key=lambda item: -item[1])
    return table(["feature", "rows that differ"], rows)


def _parts(finding: "Finding") -> str:
    if not finding.decompositions:
        return paragraphs("Not asked: a model can be blamed for neither of the above.")
    head = ["by", "change of loss", "other inputs", "another relation", "ROC AUC of the windows"]
    head += ["effective rows, training", "served", "claimed"]
    rows = [
        (
            part.inputs,
            str(part.change),
            str(part.covariate),
            str(part.concept),
            part.separation,
            part.effective_reference,
            part.effective_window,
            part.identifiable,
        )
        for part in finding.decompositions
    ]
    return table(head, rows)


def _gain(finding: "Finding") -> str:
    gain = finding.gain
    if gain is None:
        return "Not asked, or nothing labelled yet."
    return (
        f"{gain.loss} nats of log loss against the champion, on {gain.rows:,} flights of "
        f"{gain.days} days; negative is better. It learned from every label known before them."
    )
