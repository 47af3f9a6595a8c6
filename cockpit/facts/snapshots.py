"""The data gate's report: which months were accepted, and which rule refused one."""

from pathlib import Path

from cockpit.reading import Fact, Missing, read_config, read_json
from pipeline.shared.config.ingest import IngestConfig

_WHAT = "the data gate's report"
_MOMENTS = {"mean-shift": "mean", "spread": "standard deviation"}
"""Rules on one number of a column, which is in the column's unit."""
_UNITS = {
    "distance": " miles",
    "air_time": " minutes",
    "arr_delay": " minutes",
    "dep_delay": " minutes",
}


class Rule(Fact):
    """A rule on a month: what it found, and what it does when it fails."""

    rule: str
    columns: list[str]
    action: str
    passed: bool
    observed: float | str
    unexpected: int
    limit: dict[str, float | str | list[str] | None]

    @property
    def title(self) -> str:
        """The rule with the columns that it is about."""
        return f"{self.rule} of {', '.join(self.columns)}" if self.columns else self.rule

    @property
    def statement(self) -> str:
        """The value found and the limit, with the column's unit, in words."""
        if self.rule not in _MOMENTS:
            return f"{self.title}: {_format(self.observed)}{self._allowed}"
        column = ", ".join(self.columns)
        unit = _UNITS.get(column, "")
        found = f"{_format(self.observed)}{unit}{self._allowed}"
        return f"the {_MOMENTS[self.rule]} of {column} is {found}"

    @property
    def _allowed(self) -> str:
        """The limits in words; none where the rule is yes or no."""
        limits = {name: value for name, value in self.limit.items() if value is not None}
        low, high = limits.pop("min_value", None), limits.pop("max_value", None)
        high = limits.pop("threshold", high)
        words = [f"{name.strip('_').replace('_', ' ')} {value}" for name, value in limits.items()]
        if low is not None and high is not None:
            words.append(f"{_format(low)} to {_format(high)}")
        elif high is not None or low is not None:
            words.append(f"at least {_format(low)}" if high is None else f"at most {_format(high)}")
        return f", allowed {', '.join(words)}" if words else ""


class Snapshot(Fact):
    """A month of a table: the gate's word on it, and its rules."""

    table: str
    month: str
    rows: int
    quarantined: int
    verdict: str
    rules: list[Rule]

    @property
    def failures(self) -> list[Rule]:
        """The rules that refused the month, the cause before what follows from it."""
        return [rule for rule in self.rules if not rule.passed and rule.action == "refuse"]


class Report(Fact):
    """The report on every month that has arrived."""

    verdict: str
    snapshots: list[Snapshot]

    @property
    def refused(self) -> list[Snapshot]:
        """The months that were refused."""
        return [one for one in self.snapshots if one.failures]


def _format(value: object) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def read(folder: Path) -> Report | Missing:
    """Read the data gate's report of a project's folder."""
    path = folder / "data" / "validate" / "report.json"
    return read_json(Report, path, _WHAT, "make validate")


def arrived(folder: Path) -> str | Missing:
    """The month, or its beginning up to a day, whose data have arrived by the config."""
    config = read_config(folder, IngestConfig)
    return config if isinstance(config, Missing) else config.as_of
