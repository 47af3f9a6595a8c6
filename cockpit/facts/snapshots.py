"""The data gate's report: which months were accepted, and which rule refused one."""

from pathlib import Path

from cockpit.reading import Fact, Missing, read_config, read_json
from pipeline.shared.config.ingest import IngestConfig

_WHAT = "the data gate's report"


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


def read(folder: Path) -> Report | Missing:
    """Read the data gate's report of a project's folder."""
    path = folder / "data" / "validate" / "report.json"
    return read_json(Report, path, _WHAT, "make validate")


def arrived(folder: Path) -> str | Missing:
    """The month, or its beginning up to a day, whose data have arrived by the config."""
    config = read_config(folder, IngestConfig)
    return config if isinstance(config, Missing) else config.as_of
