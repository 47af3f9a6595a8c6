"""The page of the workbench at a terminal: all exercises, and one at a time with its verdict.

While an exercise is open, its files are watched: each save gives a verdict. What is typed ends with
Enter, so that any terminal will do.
"""

import os
import select
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import IO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exercises.workbench import catalogue, commands, progress, worktree
from exercises.workbench.catalogue import TOPICS, Exercise
from exercises.workbench.handout import editable
from pipeline.shared.errors import PipelineError, UsageError

_PAUSE_SECONDS = 0.3
_END = "\0"
_KEYS = "Enter check · h hint · s solution · r reset · n next · b brief · l list · q quit"


@dataclass
class Page:
    """A session at a terminal: where it prints, where it reads, and which day it is."""

    console: Console
    today: date
    keys: IO[str] = field(default_factory=lambda: sys.stdin)
    _typed: bytes = b""
    _ended: bool = False

    def run(self) -> None:
        """Show the list, and the exercises that are chosen, until the person has enough."""
        shown = catalogue.exercises()
        while True:
            self._list(shown)
            self.console.print("number to open · words to search · due · Enter for all · q quit")
            typed = self._line(None)
            if typed in ("q", _END):
                return
            chosen, shown = self._choose(typed or "", shown)
            while chosen is not None:
                chosen = self._open(chosen)
                if chosen == "quit":
                    return
                assert not isinstance(chosen, str)

    def _choose(
        self, typed: str, shown: list[Exercise]
    ) -> tuple["Exercise | str | None", list[Exercise]]:
        """The exercise that was chosen, or the list that was asked for."""
        every = catalogue.exercises()
        if typed.isdecimal() and 1 <= int(typed) <= len(every):
            return every[int(typed) - 1], shown
        if typed in {one.slug for one in every}:
            return catalogue.exercise(typed), shown
        if typed == "due":
            known = progress.load().exercises
            state = {s: progress.state_of(entry, self.today) for s, entry in known.items()}
            return None, [one for one in every if state.get(one.slug) == "due"]
        found = search(typed, every)
        if not found:
            self.console.print(f"nothing of {typed!r} among {len(every)} exercises: all of them")
        return None, found or every

    def _list(self, shown: list[Exercise]) -> None:
        every, known = catalogue.exercises(), progress.load().exercises
        states = {one.slug: progress.state_of(known.get(one.slug), self.today) for one in every}
        done = sum(state in ("passed", "due") for state in states.values())
        table = Table(title=f"{done} of {len(every)} passed", box=None, padding=(0, 1))
        for column in ("", "topic", "exercise", "kind", "minutes", "state"):
            table.add_column(column)
        for one in shown:
            number, state = str(every.index(one) + 1), states[one.slug]
            style = {"passed": "green", "due": "yellow"}.get(state, "")
            row = (number, TOPICS[one.topic], one.title, one.kind, str(one.minutes), state)
            table.add_row(*row, style=style)
        self.console.print(table)

    def _open(self, exercise: "Exercise | str") -> "Exercise | str | None":
        """One exercise until it is left: the next one, "quit", or None for the list."""
        assert isinstance(exercise, Exercise)
        slug = exercise.slug
        if not self._do(lambda: commands.begin(slug, self.console, self.today)):
            return None
        self.console.print(_KEYS)
        saved = _saved(exercise)
        while True:
            typed = self._line(_PAUSE_SECONDS)
            if typed is None:
                if (now := _saved(exercise)) != saved:
                    saved = now
                    self._check(slug)
                continue
            if typed in ("l", "q", _END):
                return None if typed == "l" else "quit"
            if typed == "n":
                return catalogue.next_of_reader(exercise)
            self._act(typed.lower(), exercise)
            saved = _saved(exercise)

    def _line(self, seconds: float | None) -> str | None:
        """A line that was typed, None if none was within so long; _END where nobody types any more.

        It is read without a buffer: what waits in one would not wake `select`.
        """
        while b"\n" not in self._typed and not self._ended:
            ready, _, _ = select.select([self.keys], [], [], seconds)
            if not ready:
                return None
            more = os.read(self.keys.fileno(), 4096)
            self._typed, self._ended = self._typed + more, not more
        if not self._typed:
            return _END
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _act(self, typed: str, exercise: Exercise) -> None:
        slug, console = exercise.slug, self.console
        actions: dict[str, Callable[[], object]] = {
            "": lambda: self._check(slug),
            "h": lambda: commands.hint(slug, console),
            "s": lambda: commands.solution(slug, console, yes=True),
            "r": lambda: commands.reset(slug, console, self.today),
            "b": lambda: commands.brief(exercise, console),
        }
        self._do(actions.get(typed, lambda: console.print(_KEYS)))

    def _check(self, slug: str) -> None:
        if self._do(lambda: commands.submit(slug, self.console, self.today)):
            self.console.print(_KEYS)

    def _do(self, action: Callable[[], object]) -> bool:
        """Carry out an action; a refusal is shown, and the page goes on."""
        try:
            action()
        except (PipelineError, UsageError) as refusal:
            self.console.print(escape(f"{type(refusal).__name__}: {refusal}"), style="yellow")
            return False
        return True


def search(words: str, among: list[Exercise]) -> list[Exercise]:
    """The exercises that have all of some words in their topic, name, title or kind."""
    wanted = words.lower().split()
    return [
        one
        for one in among
        if all(
            word in f"{one.topic} {TOPICS[one.topic]} {one.slug} {one.title} {one.kind}".lower()
            for word in wanted
        )
    ]


def _saved(exercise: Exercise) -> list[tuple[str, int]]:
    """When the files of an exercise were written last."""
    folder = worktree.path_of(exercise)
    paths = [folder / name for name in editable(exercise)]
    return [(str(path), path.stat().st_mtime_ns) for path in paths if path.is_file()]


def learn(console: Console, today: date) -> None:
    """Open the page at this terminal."""
    Page(console, today).run()
