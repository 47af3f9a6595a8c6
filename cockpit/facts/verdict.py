"""The gate's verdict on a challenger: its checks, the ones with an interval apart."""

from pathlib import Path

from cockpit.facts.registry import Version
from cockpit.reading import Fact, Missing, read_json
from pipeline.shared.contracts import Estimate

_WHAT = "the gate's verdict"


class Check(Fact):
    """One check: the value and its limit, and for a difference of losses the estimate."""

    kind: str
    name: str
    passed: bool
    blocking: bool
    found: float
    limit: float
    detail: str
    estimate: Estimate | None = None


class Verdict(Fact):
    """A verdict: whom it judged, on which window, and every check."""

    challenger: str
    champion: str | None
    kind: str
    window: str
    rows: int
    days: int
    passed: bool
    checks: list[Check]

    @property
    def headline(self) -> Check | None:
        """The difference against the champion, or else against the strongest baseline."""
        of = [check for check in self.checks if check.estimate and check.kind == "champion"]
        of += [check for check in self.checks if check.estimate and check.kind == "baseline"]
        return max(of, key=lambda check: (check.kind == "champion", check.found), default=None)

    @property
    def counted(self) -> str:
        """How many checks can block, and how many are only reported."""
        blocking = sum(check.blocking for check in self.checks)
        return f"{blocking} checks (and {len(self.checks) - blocking} reported)"

    @property
    def failures(self) -> list[Check]:
        """The blocking checks that failed."""
        return [check for check in self.checks if check.blocking and not check.passed]


def read(folder: Path) -> Verdict | Missing:
    """Read the newest verdict of a project's folder."""
    path = folder / "data" / "evaluate" / "verdict.json"
    return read_json(Verdict, path, _WHAT, "make evaluate")


def of_version(version: Version) -> Verdict | Missing:
    """Read the verdict by which a version was registered, from its run's artifacts."""
    if version.artifacts is None:
        return Missing(_WHAT, "the artifacts are on a server", "make ui TOOL=mlflow")
    path = version.artifacts / "verdict" / "verdict.json"
    return read_json(Verdict, path, _WHAT, f"make lineage VERSION={version.number}")
