"""Scales of a picture: values and instants onto its coordinates."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True)
class Scale:
    """A linear map of low..high onto start..end, cut off at both ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of a value."""
        span = self.high - self.low or 1.0
        part = min(max((value - self.low) / span, 0.0), 1.0)
        return round(self.start + part * (self.end - self.start), 1)


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class TimeScale:
    """A map of instants onto an axis."""

    first: datetime
    last: datetime
    start: float
    end: float

    def __call__(self, instant: datetime) -> float:
        """The coordinate of an instant."""
        scale = Scale(self.first.timestamp(), self.last.timestamp(), self.start, self.end)
        return scale(instant.timestamp())

    def ticks(self, room: float = 70) -> list[Tick]:
        """Ticks at midnights (UTC): of days, weeks or months, as many as have room."""
        days = max((self.last - self.first) / timedelta(days=1), 1)
        fit = max((self.end - self.start) / room, 1)
        step = next((n for n in (1, 2, 7, 14) if days / n <= fit), 31)
        found, at = (
            [],
            self.first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0),
        )
        while (at := _after(at, step)) <= self.last:
            found.append(Tick(self(at), f"{at.day} {_MONTHS[at.month - 1]}"))
        return found


def _after(at: datetime, step: int) -> datetime:
    """The next midnight on which a tick may stand: any day, a Monday, or the first of a month."""
    at += timedelta(days=1)
    while (step >= 7 and step < 31 and at.weekday() != 0) or (step == 31 and at.day != 1):
        at += timedelta(days=1)
    return at if step in (1, 7, 31) else at + timedelta(days=step // 2)


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round values within low..high, about `count` of them."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def line(points: list[tuple[float, float]]) -> str:
    """The points as an SVG path of straight lines."""
    return " ".join(f"{'M' if n == 0 else 'L'}{x:g} {y:g}" for n, (x, y) in enumerate(points))


def area(upper: list[tuple[float, float]], lower: list[tuple[float, float]]) -> str:
    """The area between two lines as an SVG path."""
    return f"{line(upper)} {line(lower[::-1]).replace('M', 'L', 1)} Z" if upper else ""
