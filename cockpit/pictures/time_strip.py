"""The time strip: who served, rollouts, checks, data and alerts on one axis, the loss beneath."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cockpit.facts.checks import Day, Loop
from cockpit.facts.project import Project, arrival
from cockpit.facts.releases import Releases
from cockpit.facts.rollout_words import WENT_BADLY, WENT_WELL, why
from cockpit.facts.rollouts import Rollout
from cockpit.pictures.scale import Scale, Tick, TimeScale, area, line, nice_ticks
from cockpit.reading import Missing, read_config
from pipeline.records.rollout_ledger import WHOLE
from pipeline.shared.config.monitor import MonitorConfig

WIDTH, LEFT, RIGHT = 1120, 128, 14
SERVES, ROLLOUTS, CHECKS, DATA = 34, 78, 112, 142
"""The lanes' middles; beneath them lies the loss."""
LOSS_TOP, LOSS_END, HEIGHT = 176, 290, 318
_HALF = 14
COLOURS = 6
"""Versions have a colour each, which come again after so many."""
_LABELLED = ("retrain", "block", "escalate")
_LABEL_WIDTH, _LABELS_TURN, _LETTER = 64, 1040, 6.2
"""The room for a check's label, where it stands to the left of its mark, and a letter's room."""


@dataclass(frozen=True)
class Bar:
    """A span of time: place and size, its kind for the style, its words, and where it leads."""

    x: float
    width: float
    y: float
    height: float
    kind: str
    words: str
    link: str
    label: str = ""


@dataclass(frozen=True)
class Mark:
    """An instant: its place, its kind for the style and shape, its words, where it leads.

    `label` stands beside it, if there is room.
    """

    x: float
    y: float
    kind: str
    words: str
    link: str
    label: str = ""


@dataclass(frozen=True)
class Loss:
    """The excess log loss by day: the line, its interval, and the limit of the alert."""

    line: str
    band: str
    points: list[Mark]
    limit: Tick | None
    zero: float
    ticks: list[Tick]


@dataclass(frozen=True)
class TimeStrip:
    """The whole picture."""

    ticks: list[Tick]
    serves: list[Bar]
    shares: list[Tick]
    rollouts: list[Bar]
    marks: list[Mark]
    loss: Loss | None
    now: float
    height: int


def time_strip(project: Project) -> TimeStrip | None:
    """Draw a project's time; None before anything was released."""
    ledger, loop = project.releases, project.loop
    if isinstance(ledger, Missing) or project.now is None:
        return None
    first, last = ledger.entries[0].move.at, project.now
    if last - first < timedelta(days=5):
        first, last = first - timedelta(days=1), last + timedelta(days=4)
    scale = TimeScale(first, last, LEFT, WIDTH - RIGHT)
    loss = None if isinstance(loop, Missing) else _loss(project, loop, scale)
    return TimeStrip(
        ticks=scale.ticks(),
        serves=_serves(ledger, scale, project.now),
        shares=_shares(project.rollouts, scale),
        rollouts=[_rollout(one, scale, project.now) for one in project.rollouts],
        marks=[*_checks(loop, scale), *_registered(ledger, scale), *_data(project, scale)],
        loss=loss,
        now=scale(project.now),
        height=HEIGHT if loss else LOSS_TOP + 14,
    )


def colour(version: str) -> int:
    """A version's colour, by its number."""
    return (int(version) - 1) % COLOURS + 1 if version.isdigit() else COLOURS


def _serves(ledger: Releases, scale: TimeScale, now: datetime) -> list[Bar]:
    """A bar for each share: the champion's from below, the challenger's above it."""
    found: list[Bar] = []
    for one in ledger.services:
        x, end = scale(one.since), scale(one.until or now)
        base = float(SERVES + _HALF)
        for side, share in one.shares:
            high = round(2 * _HALF * share / WHOLE, 1)
            base -= high
            width = max(end - x, 1.5)
            kind = f"v{colour(side.version)}{' fault' if side.fault else ''}"
            words = f"{side.label}: {share / 100:g}% from {one.since:%Y-%m-%d %H:%M}Z"
            label = f"version {side.version}" if share == WHOLE and width > 70 else ""
            found.append(Bar(x, width, base, high, kind, words, f"#entry-{one.entry}", label))
    return found


def _shares(rollouts: list[Rollout], scale: TimeScale) -> list[Tick]:
    """The challenger's shares in each canary, above its slices, where there is room."""
    found: list[Tick] = []
    end = 0.0
    for rollout in sorted(rollouts, key=lambda one: one.entries[0].move.at):
        moves = [entry.move for entry in rollout.entries if entry.move.event in ("canary", "step")]
        got = dict.fromkeys(move.shares.get("challenger", 0) / 100 for move in moves)
        x = scale(rollout.entries[0].move.at)
        if rollout.kind == "canary" and got and x > end:
            label = f"canary: {', '.join(f'{share:g}' for share in got)}%"
            found.append(Tick(x, label))
            end = x + _LETTER * len(label)
    return found


def _rollout(rollout: Rollout, scale: TimeScale, now: datetime) -> Bar:
    begun, ended = rollout.entries[0].move, rollout.entries[-1].move
    x, end = scale(begun.at), scale(now if rollout.open else ended.at)
    kind = "good" if ended.event in WENT_WELL else "bad" if ended.event in WENT_BADLY else "open"
    words = f"{rollout.name}: {ended.event}; {why(rollout.reasons)}".rstrip("; ")
    width = max(end - x, 5)
    link = f"#entry-{rollout.entries[-1].number}"
    return Bar(x, width, ROLLOUTS - 7, 14, kind, words, link, rollout.kind if width > 52 else "")


def _checks(loop: Loop | Missing, scale: TimeScale) -> list[Mark]:
    if isinstance(loop, Missing):
        return []
    places = [LEFT, *(scale(one.at) for one in loop.checks), WIDTH + _LABEL_WIDTH]
    return [
        Mark(
            x,
            CHECKS,
            one.action,
            f"check of {one.at:%Y-%m-%d}: {one.action}; {'; '.join(one.reasons)}",
            f"#check-{one.at:%Y-%m-%d}",
            one.action if one.action in _LABELLED and _has_room(before, x, after) else "",
        )
        for one, before, x, after in zip(loop.checks, places, places[1:], places[2:], strict=False)
    ]


def _has_room(before: float, x: float, after: float) -> bool:
    """Whether a label beside a mark at `x` ends before the next mark on its side."""
    return (x - before if x >= _LABELS_TURN else after - x) >= _LABEL_WIDTH


def _registered(ledger: Releases, scale: TimeScale) -> list[Mark]:
    return [
        Mark(
            scale(entry.move.at),
            ROLLOUTS,
            "registered" if entry.move.event == "registered" else "hand",
            f"{entry.move.event}: {entry.move.champion.label}, by {entry.move.by}",
            f"#entry-{entry.number}",
        )
        for entry in ledger.entries
        if entry.move.event in ("registered", "promoted by hand")
    ]


def _data(project: Project, scale: TimeScale) -> list[Mark]:
    """The arrival of each month of events within the strip."""
    if isinstance(project.snapshots, Missing):
        return []
    found = []
    for one in project.snapshots.snapshots:
        at = arrival(one.month)
        if one.table != project.case.name and not one.failures:
            continue
        if scale.first <= at <= scale.last:
            state = "refused" if one.failures else "accepted"
            words = f"{one.table} of {one.month}: {state}, {one.rows:,} rows"
            if one.failures:
                words += f"; {one.failures[0].title} found {one.failures[0].observed}"
            found.append(Mark(scale(at), DATA, f"data-{state}", words, "#data"))
    return found


def _loss(project: Project, loop: Loop, scale: TimeScale) -> Loss | None:
    days = [day for day in loop.days if day.excess is not None]
    if len(days) < 2:
        return None
    config = read_config(project.folder, MonitorConfig)
    limit = None if isinstance(config, Missing) else config.outcome.max_excess_loss
    # Of few days the interval is endless: it is cut off, rather than flatten all that follows.
    wide = [
        value for day in days if day.status != "not known" for value in day.excess_interval or ()
    ]
    ends = [*wide, *(day.excess or 0.0 for day in days)]
    low, high = min([*ends, 0.0]), max([*ends, 1.5 * (limit or 0.0)])
    y = Scale(low, high, LOSS_END, LOSS_TOP)
    banded = [day for day in days if day.excess_interval]
    upper = [(scale(d.at), y((d.excess_interval or (0, 0))[1])) for d in banded]
    lower = [(scale(d.at), y((d.excess_interval or (0, 0))[0])) for d in banded]
    return Loss(
        line=line([(scale(day.at), y(day.excess or 0.0)) for day in days]),
        band=area(upper, lower),
        points=[_point(day, scale, y) for day in days],
        limit=None if limit is None else Tick(y(limit), f"limit {limit:g}"),
        zero=y(0.0),
        ticks=[Tick(y(value), f"{value:+.2f}") for value in nice_ticks(low, high, 3)],
    )


def _point(day: Day, scale: TimeScale, y: Scale) -> Mark:
    words = f"{day.day}: excess log loss {day.excess:+.4f} nats"
    if day.excess_interval:
        words += " [{:+.4f}, {:+.4f}]".format(*day.excess_interval)
    words += f"; {day.status}; version {' and '.join(day.versions)}"
    return Mark(scale(day.at), y(day.excess or 0.0), day.status.replace(" ", "-"), words, "")
