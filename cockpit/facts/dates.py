"""Days, months and spans of days as people write them; UTC, as all instants of the page."""

from datetime import date


def day(at: date) -> str:
    """A day: 3 July 2013."""
    return f"{at.day} {at:%B %Y}"


def month(name: str) -> str:
    """A month of data, or its beginning up to a day: 2013-07 is July 2013."""
    first = date.fromisoformat(f"{name}-01" if len(name) == len("2013-07") else name)
    return f"{first:%B %Y}" if len(name) == len("2013-07") else f"{first:%B %Y} to the {first.day}"


def span(first: date, last: date | None) -> str:
    """The days from one to another, or since one: 26 June to 4 July 2013."""
    if last is None:
        return f"since {day(first)}"
    if (first.year, first.month, first.day) == (last.year, last.month, last.day):
        return day(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {day(last)}"
    short = f"{first.day} {first:%B}" if first.year == last.year else day(first)
    return f"{short} to {day(last)}"
