"""The verdict as a page that people read: one row a check, with its two numbers."""

import html

from pipeline.shared.contracts import Check, Verdict

_STYLE = (
    "body{font:15px system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:left;"
    "border-bottom:1px solid #ddd}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".no{color:#b00020;font-weight:600}.yes{color:#1b6e3c}.note{color:#777}"
)


def page(verdict: Verdict) -> str:
    """The verdict as one HTML file that needs nothing else."""
    answer = ("yes", "passed") if verdict.passed else ("no", "refused")
    against = f"champion {verdict.champion[:12]}" if verdict.champion else "no champion yet"
    rows = "\n".join(map(_row, verdict.checks))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Verdict</title>'
        f"<style>{_STYLE}</style><h1>Verdict: <span class={answer[0]}>{answer[1]}</span></h1>"
        f"<p>Challenger {verdict.challenger[:12]} against the baselines and {against}, on "
        f"{verdict.rows:,} flights of {verdict.days} days ({verdict.window}). Differences are of "
        "log loss, negative is better, with an interval over whole days.</p>"
        "<table><tr><th>check<th>found<th>limit<th>answer<th>detail</tr>"
        f"\n{rows}</table></html>\n"
    )


def _row(check: Check) -> str:
    kind, word = ("yes", "pass") if check.passed else ("no", "fail")
    if not check.blocking:
        kind, word = "note", "report"
    return (
        f"<tr><td>{html.escape(check.name)}<td class=n>{check.found:.4g}<td class=n>"
        f"{check.limit:.4g}<td class={kind}>{word}<td>{html.escape(check.detail)}</tr>"
    )
