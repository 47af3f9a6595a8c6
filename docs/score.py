"""The ML Test Score of this project (Breck et al., 2017), and how its points are earned.

docs/score.yaml names the 28 tests, what proves each, and what is claimed; `make score` runs the
proofs. A proof that did not run is worth nothing, and the final score is that of the worst section.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from docs.numbers import figure
from docs.pages import ROOT
from pipeline.__main__ import run_command
from pipeline.shared import yaml_files

SCORE = ROOT / "docs/score.yaml"
PAGE = ROOT / "docs/score.md"
FOUND = ROOT / "state/score.json"
HALF = 0.5
"""What a test is worth that is done and documented, and not repeated by a machine."""


@dataclass(frozen=True)
class Item:
    """One of the 28 tests: what is claimed for it, what proves it, and what that leaves out."""

    id: str
    name: str
    counts: float
    limit: str
    tests: list[str] = field(default_factory=list)
    flow: list[str] = field(default_factory=list)
    benchmark: str = ""

    def claimed(self, flow: bool) -> float:
        """The points claimed for a run: what only the flow proves is worth half without it."""
        return min(self.counts, HALF) if self.flow and not self.tests and not flow else self.counts

    def mapped(self, flow: bool) -> list[str]:
        """The proofs of a run."""
        return [*self.tests, *(self.flow if flow else [])]


@dataclass(frozen=True)
class Criterion:
    """A criterion of a rubric: our level out of how many, where to see it, what is missing."""

    name: str
    level: int
    of: int
    evidence: list[str]
    limit: str


@dataclass(frozen=True)
class Characteristic:
    """What marks a level of maturity, and whether it holds here."""

    name: str
    holds: Literal["yes", "partly", "no"]
    evidence: list[str]
    limit: str


@dataclass(frozen=True)
class Board:
    """All of docs/score.yaml; an unknown or a missing key in it is an error."""

    sections: dict[str, list[Item]]
    rubric: list[Criterion]
    maturity: dict[str, list[Characteristic]]

    @property
    def items(self) -> list[Item]:
        """The 28 tests in their order."""
        return [item for items in self.sections.values() for item in items]

    @property
    def level(self) -> str:
        """The highest level of maturity of which everything holds, and everything of those before.

        The first level is where everybody begins.
        """
        reached, *above = self.maturity
        for name in above:
            if any(mark.holds != "yes" for mark in self.maturity[name]):
                break
            reached = name
        return reached


def board(path: Path = SCORE) -> Board:
    """What is claimed, from docs/score.yaml."""
    told = yaml_files.parse(path.read_text(encoding="utf-8"))
    return Board(
        sections={name: [Item(**one) for one in many] for name, many in told["sections"].items()},
        rubric=[Criterion(**one) for one in told["rubric"]],
        maturity={
            name: [Characteristic(**one) for one in many] for name, many in told["maturity"].items()
        },
    )


class Outcomes:
    """A plugin for pytest: how often each test function passed, failed or was skipped."""

    def __init__(self) -> None:
        """Nothing has run yet."""
        self.of: dict[str, Counter[str]] = {}

    def _saw(self, name: str, outcome: str) -> None:
        self.of.setdefault(name.partition("[")[0], Counter())[outcome] += 1

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test passes by its call, and fails or is skipped by any of its phases."""
        if report.when == "call" or report.outcome != "passed":
            self._saw(report.nodeid, report.outcome)

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be read has failed with all its tests."""
        if report.failed:
            self._saw(report.nodeid, "failed")

    def under(self, proofs: list[str]) -> Counter[str]:
        """The outcomes of some proofs together, each a file or a function in one."""
        found: Counter[str] = Counter()
        for name, outcomes in self.of.items():
            if any(name == proof or name.startswith(f"{proof}::") for proof in proofs):
                found += outcomes
        return found


def points(item: Item, seen: Mapping[str, int], flow: bool) -> float:
    """What a test of the 28 has earned: its claim if a proof ran and none failed, else nothing.

    What only the flow proves keeps its half in a run without the flow, where nothing is run for it.
    """
    if not item.mapped(flow):
        return item.claimed(flow) if item.flow else 0.0
    return item.claimed(flow) if seen.get("passed") and not seen.get("failed") else 0.0


def section_scores(sections: dict[str, list[Item]], earned: dict[str, float]) -> dict[str, float]:
    """The sum of each section; the final score is the minimum of these."""
    return {name: sum(earned[item.id] for item in items) for name, items in sections.items()}


def proofs(items: list[Item], flow: bool) -> list[str]:
    """Every proof of a run once, a function not where its whole file is one already."""
    asked = sorted({proof for item in items for proof in item.mapped(flow)})
    return [one for one in asked if "::" not in one or one.partition("::")[0] not in asked]


def run(items: list[Item], flow: bool) -> Outcomes:
    """Run the proofs in one pytest."""
    import pytest

    seen = Outcomes()
    pytest.main(["-q", "-p", "no:cacheprovider", *proofs(items, flow)], plugins=[seen])
    return seen


def told(item: Item, seen: Mapping[str, int], flow: bool) -> str:
    """What became of a test's proofs, in a few words."""
    if not item.tests and not item.flow:
        return "no test"
    if not item.mapped(flow):
        return "only by the flow, which was not run: make score FLOW=1"
    if seen.get("skipped") and not seen.get("passed"):
        return f"skipped only: {seen['skipped']}"
    return ", ".join(f"{seen[how]} {how}" for how in ("passed", "failed", "skipped") if how in seen)


def shown(of: Board, earned: dict[str, float], notes: dict[str, str]) -> str:
    """The sections as a terminal shows them, each test with its points and a note, and the end."""
    sums = section_scores(of.sections, earned)
    lines = []
    for name, items in of.sections.items():
        lines += ["", f"{name}: {sums[name]:g} of {len(items)}"]
        lines += [f"  {i.id}  {earned[i.id]:>3g}  {i.name}  [{notes[i.id]}]" for i in items]
    worst = min(sums, key=lambda name: sums[name])
    return "\n".join([*lines, "", f"score: {sums[worst]:g}, the minimum ({worst})"])


def besides(of: Board) -> str:
    """The rubric and the levels of maturity as a terminal shows them: claims with evidence."""
    lines = ["", f"MLOps Zoomcamp project: {_total(of.rubric)}"]
    lines += [f"  {c.level} of {c.of}  {c.name}  [{', '.join(c.evidence)}]" for c in of.rubric]
    for name, marks in of.maturity.items():
        lines += ["", name]
        lines += [f"  {m.holds:<6}  {m.name}  [{', '.join(m.evidence)}]" for m in marks]
    return "\n".join([*lines, "", f"maturity reached: {of.level}"])


def _total(rubric: list[Criterion]) -> str:
    return f"{sum(c.level for c in rubric)} of {sum(c.of for c in rubric)}"


def page() -> str:
    """docs/score.md: what is claimed, by which proof, and what each leaves out."""
    of = board()
    claimed = {item.id: item.counts for item in of.items}
    sums = section_scores(of.sections, claimed)
    parts = [_HEAD.format(score=_minimum(of), level=of.level)]
    for name, items in of.sections.items():
        rows = [
            f"| {i.id} | {i.name} | {i.counts:g} | {_evidence_of(i)} | {i.limit} |" for i in items
        ]
        head = "| | test | points | proof | limit |\n|---|---|---|---|---|"
        parts.append("\n".join([f"## {name}: {sums[name]:g} of {len(items)}\n", head, *rows]))
    return "\n\n".join([*parts, *_rubric_of(of), *_maturity_of(of)]) + "\n"


def sentence() -> str:
    """What is claimed in one sentence, as the answer to a question of a page of the book."""
    of = board()
    level = of.level.partition(":")[0].lower()
    return (
        f"- *What do you score?* {_minimum(of):g} of 7 in the ML Test Score, which is the worst "
        f"section's, and the maturity\n  {level}, both claimed by ourselves, within a simulation: "
        "`docs/score.md`."
    )


def _minimum(of: Board) -> float:
    """The points of the worst section, as claimed."""
    return min(section_scores(of.sections, {item.id: item.counts for item in of.items}).values())


def _rubric_of(of: Board) -> list[str]:
    rows = [
        f"| {c.name} | {c.level} of {c.of} | {_links(c.evidence)} | {c.limit} |" for c in of.rubric
    ]
    head = "| criterion | level | evidence | limit |\n|---|---|---|---|"
    return ["\n".join([f"## MLOps Zoomcamp project: {_total(of.rubric)}\n", head, *rows])]


def _maturity_of(of: Board) -> list[str]:
    head = "| characteristic | holds | evidence | limit |\n|---|---|---|---|"
    return [
        "\n".join(
            [f"## {name}\n", head]
            + [f"| {m.name} | {m.holds} | {_links(m.evidence)} | {m.limit} |" for m in marks]
        )
        for name, marks in of.maturity.items()
    ]


def _evidence_of(item: Item) -> str:
    files = dict.fromkeys(proof.partition("::")[0] for proof in [*item.tests, *item.flow])
    found = [_links(list(files))] if files else []
    if item.benchmark:
        path, _, key = item.benchmark.partition(":")
        found.append(f"{_links([path])} {key}: {figure(item.benchmark)}")
    return "; ".join(found) or "none"


def _links(evidence: list[str]) -> str:
    """Files as links from the page, commands as code."""
    found = [
        f"`{one}`" if one.startswith("make ") else f"[{Path(one).name}](../{one})"
        for one in evidence
    ]
    return ", ".join(found) or "none"


_HEAD = """# Scores

Made from `docs/score.yaml` by `make fill`: the points that are claimed. `make score` runs the
proofs, prints what is earned and ends with 1 if that is less; `make score FLOW=1` runs those of the
flow too. `python -m docs.score --list` names every single test.

**ML Test Score: {score:g} of 7**, the minimum of four sections. After Breck et al., The ML Test
Score (2017): 1 for what is automated and repeated, .5 for what is done and documented, 0 for what
is absent. All of it holds within a simulation of a year on one machine; nothing here is in
production. **{level}** is the maturity reached."""


def main(arguments: list[str] | None = None) -> int:
    """Run the proofs and print what they earn; 1 if that is less than what is claimed."""
    parser = argparse.ArgumentParser(prog="python -m docs.score")
    parser.add_argument("--list", action="store_true", help="show what proves what, run nothing")
    parser.add_argument("--flow", action="store_true", help="run the proofs of the flow as well")
    chosen = parser.parse_args(arguments)
    of = board()
    if chosen.list:
        for item in of.items:
            print(f"{item.id}  {item.counts:g}  {item.name}")
            for proof in [*item.tests, *item.flow, *[item.benchmark][: bool(item.benchmark)]]:
                print(f"      {proof}")
        return 0
    return _scored(of, chosen.flow)


def _scored(of: Board, flow: bool) -> int:
    started = time.perf_counter()
    outcomes = run(of.items, flow)
    seen = {item.id: outcomes.under(item.mapped(flow)) for item in of.items}
    earned = {item.id: points(item, seen[item.id], flow) for item in of.items}
    notes = {item.id: told(item, seen[item.id], flow) for item in of.items}
    sums = section_scores(of.sections, earned)
    print(shown(of, earned, notes), besides(of), sep="\n")
    FOUND.parent.mkdir(exist_ok=True)
    found = {"score": min(sums.values()), "sections": sums, "points": earned, "proofs": notes}
    found |= {"flow": flow, "seconds": round(time.perf_counter() - started)}
    FOUND.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    lost = [item.id for item in of.items if earned[item.id] < item.claimed(flow)]
    if lost:
        print(f"LESS THAN CLAIMED: {', '.join(lost)}", file=sys.stderr)
    return min(len(lost), 1)


if __name__ == "__main__":
    sys.exit(run_command(main))
