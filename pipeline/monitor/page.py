"""What was found, as HTML pages that need nothing else, and their pictures."""

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.monitor.inputs.drift import PAGE as DRIFT_PAGE
from pipeline.monitor.inputs.tripwires import DOCS
from pipeline.shared import figures
from pipeline.shared.contracts import MONITOR

if TYPE_CHECKING:
    from pipeline.monitor.diagnose import Finding
    from pipeline.monitor.month import Month

PICTURE = MONITOR / "month.png"

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
        f'<img src="diagnosis-{finding.month}.png" alt="Each part with its interval">\n'
        if finding.decompositions
        else "",
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
        return "Not asked, or too few days have labels yet."
    return (
        f"{gain}, nats of log loss against the champion, on {gain.rows:,} flights of {gain.first} "
        f"to {gain.last}; negative is better. It learned from every label known before them."
    )


def _by_hand(answers: int) -> list[str]:
    told = "came past the proxy, or through it without a caller's key: somebody tried the server"
    return [f"{answers:,} answer(s) are left out: their requests {told}."] if answers else []


def month(found: "Month") -> str:
    """A month in three layers: what was served, what it was served with, what came of it."""
    return document(
        f"{found.name}: {len(found.alerts)} alert(s)",
        paragraphs(
            f"Champion version {found.champion.answerer.version} ({found.champion.digest[:12]}), "
            f"trained on {found.drift.reference}. As known at {found.at:%Y-%m-%d %H:%M}Z: "
            f"{found.rows:,} flights, {found.logged:,} of them asked for online, the others "
            "scored in a batch from the same rows.",
            *_by_hand(found.by_hand),
        )
        + "<h2>Alerts</h2>\n"
        + _alerts(found)
        + "<h2>1. Operations</h2>\n"
        + paragraphs(
            "Latency, errors and saturation are of the wall clock: make monitor-live shows them "
            "on a real Prometheus, configs/monitor/ holds alerts and dashboard."
        )
        + "<h2>2. Inputs and predictions, before labels</h2>\n"
        + _inputs(found)
        + "<h2>3. Outcomes</h2>\n"
        + _outcomes(found)
        + "<h2>More</h2>\n"
        + _links(found),
    )


def _alerts(found: "Month") -> str:
    if not found.alerts:
        return paragraphs("None fires.")
    head = ["area", "alert", "severity", "what it means", "why it fires"]
    rows = [(a.area, a.name, a.severity, a.summary, a.reason) for a in found.alerts]
    return table(head, rows)


def _inputs(found: "Month") -> str:
    failed = [c for c in found.checks if not c.passed]
    kept = [c for c in found.checks if c.limit != 0 or not c.passed]
    asked = table(
        ["check", "found", "limit", "passed", "detail"],
        [(c.name, c.found, c.limit, c.passed, c.detail) for c in kept],
    )
    looks = ["PSI, trailing, to " + day for day in found.drift.look_days]
    moved = table(
        ["column", "group", "PSI of the month", *looks, "status"],
        [(c.column, c.group, c.psi, *c.looks, c.status) for c in found.drift.columns],
    )
    skew = "none" if not found.skew else ", ".join(f"{k} {v:,}" for k, v in found.skew.items())
    return (
        paragraphs(
            f"{len(found.checks)} checks, {len(failed)} failed; logged features that differ from "
            f"what was known: {skew}; mean risk {found.drift.mean_risk_reference:.3f} in training, "
            f"{found.drift.mean_risk:.3f} now."
        )
        + asked
        + moved
    )


def _outcomes(found: "Month") -> str:
    outcome, rule = found.outcome, found.outcome.alert
    feed = outcome.feed
    told = "; ".join(rule.reasons) or "within its limits"
    summary = paragraphs(
        f"The rule over {rule.first} to {rule.last}: {rule.status}, {told}.",
        f"{outcome.flights:,} flights, {outcome.overall.coverage:.1%} of the final ones labelled; "
        f"{feed.events:,} events of the feed, {feed.duplicates:,} told nothing new, "
        f"{feed.corrected:,} corrected, {feed.conflicts:,} contradict themselves; labels and "
        f"departure flags agree in {outcome.agreement_checked - len(outcome.agreement or [])} of "
        f"{outcome.agreement_checked} carrier-weeks.",
    )
    intervals = table(
        ["figure", "point", "low", "high"],
        [(name, i.point, i.low, i.high) for name, i in outcome.intervals.items()],
    )
    slices = table(
        ["slice", "flights", "late share", "mean risk", "log loss", "ROC AUC", "noticed"],
        [
            (
                name,
                f.flights,
                *(_number(x) for x in (f.mean_outcome, f.mean_risk, f.log_loss)),
                _number(f.roc_auc),
                "yes" if s.noticed else "",
            )
            for name, s in outcome.slices.items()
            for f in [s.figures]
        ],
    )
    summary += paragraphs(
        "A refit on what was known two weeks before: "
        + (
            f"{found.gain} nats, negative is better."
            if found.gain
            else "too few days have labels yet."
        )
    )
    return (
        summary + f'<img src="{PICTURE.name}" alt="Outcome and risk by day">' + intervals + slices
    )


def _number(value: float | None) -> str | float:
    return "none" if value is None else value


def _links(found: "Month") -> str:
    places = [
        ("Evidently: every column", DRIFT_PAGE.relative_to(MONITOR).as_posix()),
        (
            "Great Expectations: the served rows",
            f"{DOCS.relative_to(MONITOR).as_posix()}/index.html",
        ),
        (f"make diagnose MONTH={found.name}", f"diagnosis-{found.name}.html"),
        *(
            (f"{name} as JSON", f"{name}.json")
            for name in ("drift", "tripwires", "outcome", "gain", "alerts")
        ),
    ]
    there = [(told, to) for told, to in places if (MONITOR / to).is_file()]
    return (
        "<ul>"
        + "".join(f'<li><a href="{html.escape(to)}">{html.escape(told)}</a>' for told, to in there)
        + "</ul>\n"
    )


def drawn_parts(finding: "Finding") -> None:
    """Draw the parts of a change and the refit's gain, each with its interval, into a PNG file."""
    bars = [
        (f"{name}, {part.inputs}", of)
        for part in finding.decompositions
        for name, of in (("relation", part.concept), ("inputs", part.covariate))
    ]
    told: list[tuple[str, Any]] = [*bars]
    if finding.gain is not None:
        told.append(("a refit, last days", finding.gain))
    figure = figures.blank(9, 0.6 * len(told) + 1)
    axes = figure.subplots()
    for place, (_, part) in enumerate(told):
        axes.plot([part.low, part.high], [place, place], color="tab:blue", linewidth=3)
        axes.plot(part.point, place, marker="o", color="black")
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(told)), [name for name, _ in told])
    axes.invert_yaxis()
    axes.set(xlabel="change of the log loss, nats", title=f"{finding.month}: {finding.cause}")
    figures.save(figure, MONITOR / f"diagnosis-{finding.month}.png")


def drawn(found: "Month") -> None:
    """Draw the month day by day: outcome beside risk, and the loss beside what was expected."""
    days = [day for day in found.outcome.days if day.figures.log_loss is not None]
    dates = [day.date[5:] for day in days]
    figure = figures.blank(10, 5.5)
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(dates, [d.figures.mean_outcome for d in days], marker=".", label="late share")
    above.plot(dates, [d.figures.mean_risk for d in days], marker=".", label="mean risk")
    below.plot(dates, [d.figures.log_loss for d in days], marker=".", label="log loss")
    expected = [d.figures.expected_log_loss for d in days]
    below.plot(dates, expected, marker=".", label="expected of itself")
    for axes in (above, below):
        axes.legend()
    below.tick_params(axis="x", rotation=60)
    figures.save(figure, PICTURE)
