"""The verdict on a tree: each check with its points, and for a failed one what was seen and why."""

from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True)
class Found:
    """How one check ended; `expected`, `seen` and `why` say more of a failed one."""

    name: str
    weight: int
    passed: bool
    hidden: bool = False
    expected: str = ""
    seen: str = ""
    why: str = ""

    @property
    def words(self) -> str:
        """Its name as a sentence."""
        return self.name.removeprefix("test_").replace("_", " ")


@dataclass(frozen=True)
class Verdict:
    """The checks of an exercise on one tree; `tried` says what it did that is not allowed."""

    slug: str
    checks: list[Found]
    tried: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        """The weights of the passed checks."""
        return sum(one.weight for one in self.checks if one.passed)

    @property
    def most(self) -> int:
        """The weights of all checks."""
        return sum(one.weight for one in self.checks)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and all(one.passed for one in self.checks)

    def failed(self) -> list[Found]:
        """The checks that failed, in order."""
        return [one for one in self.checks if not one.passed]


def show(verdict: Verdict, console: Console) -> None:
    """Print a verdict: passed checks on a line each, failed ones with what was seen and why."""
    before = ("", "")
    for one in verdict.checks:
        mark = "[green]  ok [/]" if one.passed else "[red]  NO [/]"
        console.print(f"{mark} {one.weight:>2}  {escape(one.words)}", highlight=False)
        if not one.passed and (one.seen, one.why) == before:
            console.print("         for the same reason")
        elif not one.passed:
            before = (one.seen, one.why)
            for name, text in (("expected", one.expected), ("seen", one.seen), ("why", one.why)):
                if text:
                    console.print(f"         {name:<9} {escape(text)}", highlight=False)
    for what in verdict.tried:
        console.print(f"  [yellow]tried[/]    {escape(what)}", highlight=False)
    ending = "passed" if verdict.passed else "not yet"
    style = "bold green" if verdict.passed else "bold"
    line = f"{verdict.slug}: {verdict.points} of {verdict.most} points, {ending}"
    console.print(f"[{style}]{escape(line)}[/]", highlight=False)
