"""Calendar moves: when more days have arrived, the windows of the configs follow them.

The newest days are held out for the gate; the refit that goes live learns from them as well.
Whether to retrain is decided in `policy`.
"""

import re
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import ValidationError

from pipeline.shared import clock, yaml_files
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import CONFIGS, extended, load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.config.sections import StageConfig
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.contracts import RETRAIN, Record
from pipeline.shared.databases import REPAIR
from pipeline.shared.errors import ArtifactTampered, ConfigError, WrongMonth
from pipeline.shared.files import write_text
from pipeline.usecase.chosen import USECASE

DECISIONS = RETRAIN / "decisions.jsonl"
LAST_MONTH = USECASE.last_day[:7]
_SECTIONS: list[type[StageConfig]] = [TrainConfig, EvaluateConfig, MonitorConfig, IngestConfig]
"""The configs that move, in the order of writing: the calendar's own month comes last."""

_NOTHING = "null"
Moves = dict[str, dict[str, str]]
"""New values of keys, by stage: {"ingest": {"as_of": "2013-05"}}; a dot leads into a section."""


Why = Literal["asked", "scheduled", "put back"]


class CalendarMove(Record):
    """One move of the calendar: its month, its reason, and each key's old and new value."""

    month: str
    why: Why
    moved: dict[str, tuple[str, str]]


def _month_after(arrived: str, asked: str | None) -> str:
    """The month that arrives next, or the month or day given as `asked`.

    Raises:
        WrongMonth: it is not a date, has arrived already, or is not in the replayed year.
    """
    is_whole = clock.last_day(arrived) == clock.last_day(arrived[:7])
    month = str(pd.Period(arrived[:7], freq="M") + int(is_whole)) if asked is None else asked
    if not _is_date(month):
        raise WrongMonth(
            f"{month!r} is neither a month such as 2013-05 nor a day such as 2013-05-12; run "
            "`make retrain AS_OF=2013-05`"
        )
    if clock.last_day(month) <= clock.last_day(arrived):
        raise WrongMonth(
            f"{month} is not after {arrived}, the last that arrived: time does not run "
            "backwards; keep these configs with `git stash push configs`, then bring older ones "
            "back with `git checkout <commit> -- configs`"
        )
    if month[:7] > LAST_MONTH:
        raise WrongMonth(
            f"{month} is after {LAST_MONTH}, the last month of the replayed year; see `as_of: "
            f"{arrived}` in {CONFIGS}/ingest.yaml"
        )
    return month


def _require_published(month: str) -> None:
    """Refuse a month or day in whose month nothing is published any more.

    Raises:
        WrongMonth: the published events end before it.
    """
    events = USECASE.read_source(load(IngestConfig))[USECASE.events.name]
    newest = events[USECASE.events.instant].max().tz_convert(USECASE.zone)
    if month[:7] > f"{newest:%Y-%m}":
        raise WrongMonth(
            f"{month} is after {newest:%Y-%m-%d}, the last day of {len(events):,} published "
            f"{USECASE.noun}: put newer ones where `source` in {CONFIGS}/ingest.yaml says, then "
            "`make retrain`"
        )


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])(-\d\d)?", text):
        return False
    return not pd.isna(pd.to_datetime(text, errors="coerce"))


def moved_windows(config: RetrainConfig, as_of: str, learned: str | None = None) -> Moves:
    """The values of every key that follows the calendar, once data to `as_of` have arrived.

    `learned` is the last training day of the champion: no day up to it is in the held-out window.

    Raises:
        ConfigError: no training day would be left.
    """
    if USECASE.split:
        return _of_version(as_of, *USECASE.split)
    newest = pd.Timestamp(clock.last_day(as_of))
    held_out = newest - pd.Timedelta(days=config.holdout_days - 1)
    if learned is not None and pd.Timestamp(learned) < newest:
        held_out = max(held_out, pd.Timestamp(learned) + pd.Timedelta(days=1))
    first, last = _first(config, newest), held_out - pd.Timedelta(days=1)
    if last < first:
        raise ConfigError(
            f"{as_of} with {config.holdout_days} day(s) held out ends the training on "
            f"{last:%Y-%m-%d}, before its first day {first:%Y-%m-%d}: correct "
            f"{CONFIGS}/retrain.yaml"
        )
    day = "{:%Y-%m-%d}".format
    return {
        "ingest": {"as_of": as_of},
        "train": {"window.first": day(first), "window.last": day(last), "refit_until": day(newest)},
        "evaluate": {"window.first": day(held_out), "window.last": day(newest)},
        "monitor": {"window.first": f"{newest:%Y-%m}-01", "window.last": day(newest)},
    }


def _of_version(as_of: str, learned: int, held_out: int) -> Moves:
    """The windows in the newest version of a table: what is held out once is never learned from."""
    last = learned + held_out
    judged = {"window.first": f"{as_of[:7]}-{learned + 1:02}", "window.last": f"{as_of[:7]}-{last}"}
    trained = {"window.first": f"{as_of[:7]}-01", "window.last": f"{as_of[:7]}-{learned:02}"}
    return {
        "ingest": {"as_of": as_of[:7]},
        "train": {**trained, "refit_until": _NOTHING},
        "evaluate": judged,
        "monitor": judged,
    }


def _first(config: RetrainConfig, newest: pd.Timestamp) -> pd.Timestamp:
    """The first training day; never one of the days that only warm the features up."""
    begins = pd.Timestamp(config.first_training_day)
    if config.window_days is None:
        return begins
    return max(begins, newest - pd.Timedelta(days=config.window_days - 1))


def edit(text: str, changes: dict[str, str]) -> str:
    """Change the values of some keys in a config's text; everything else stays as written."""
    places = [(_scalar(yaml.compose(text), key.split(".")), to) for key, to in changes.items()]
    for node, to in sorted(places, key=lambda place: -place[0].start_mark.index):
        # YAML would parse a day without quotes as a date.
        quote = node.style or ('"' if isinstance(yaml_files.parse(to), date) else "")
        quote = "" if to == _NOTHING else quote
        start, end = node.start_mark.index, node.end_mark.index
        text = f"{text[:start]}{quote}{to}{quote}{text[end:]}"
    return text


def _scalar(node: Any, keys: list[str]) -> yaml.ScalarNode:
    for key in keys:
        node = next(value for name, value in node.value if name.value == key)
    assert isinstance(node, yaml.ScalarNode)
    return node


def _value(section: StageConfig, key: str) -> str:
    found: Any = section
    for part in key.split("."):
        found = getattr(found, part)
    return str(found)


def run(as_of: str | None = None) -> str:
    """Move the calendar to the next month, or to `as_of`, and every window with it."""
    arrived = load(IngestConfig).as_of
    month = _month_after(arrived, as_of)
    if USECASE.open_ended and not USECASE.split:
        _require_published(month)
    moves = move(month, "scheduled" if as_of is None else "asked")
    train, judged = moves["train"], moves["evaluate"]
    again = (
        "no refit"
        if train["refit_until"] == _NOTHING
        else f"fit again until {train['refit_until']}"
    )
    return (
        f"{arrived} -> {month}: learn from {train['window.first']}..{train['window.last']}, judge "
        f"on {judged['window.first']}..{judged['window.last']}, {again} "
        f"-> {CONFIGS}/, {DECISIONS}"
    )


def move(as_of: str, why: Why, learned: str | None = None) -> Moves:
    """Bring every window to `as_of`; nothing is written if they are there already.

    `learned` is the last training day of the champion.
    """
    moves = moved_windows(load(RetrainConfig), as_of, learned)
    _write(moves, why)
    return moves


def undo(as_of: str) -> None:
    """Undo the move to `as_of` if it was the last and its data never arrived."""
    lines = DECISIONS.read_text(encoding="utf-8").splitlines() if DECISIONS.is_file() else []
    last = _move(lines[-1]) if lines else None
    if last is None or last.month != as_of or last.why == "put back":
        return
    moves: Moves = {section.stage: {} for section in _SECTIONS}
    for name, (old, _) in last.moved.items():
        stage, _, key = name.partition(".")
        moves[stage][key] = _NOTHING if old == str(None) else old
    if moves["ingest"]:
        _write(moves, "put back")


def _move(line: str) -> CalendarMove:
    try:
        return CalendarMove.model_validate_json(line)
    except ValidationError as error:
        raise ArtifactTampered(f"{DECISIONS} ends in no move of the calendar; {REPAIR}") from error


def _write(moves: Moves, why: Why) -> None:
    before = {section.stage: load(section) for section in _SECTIONS}
    decision = _decision(before, moves, why)
    if not decision.moved:
        return
    # Everything is made and checked before anything is written. A kill in between leaves as_of as
    # it was, so that the same command again ends in the same configs.
    *moved, (calendar, moved_on) = [_new_text(section, moves) for section in _SECTIONS]
    for path, text in moved:
        write_text(path, text)
    _record(decision)
    write_text(calendar, moved_on)


def _new_text(section: type[StageConfig], moves: Moves) -> tuple[Path, str]:
    """A config's path and new text, validated as its stage would load it."""
    path = CONFIGS / f"{section.stage}.yaml"
    text = edit(path.read_text(encoding="utf-8"), moves[section.stage])
    extended(section).model_validate(yaml_files.parse(text))
    return path, text


def _decision(before: dict[str, StageConfig], moves: Moves, why: Why) -> CalendarMove:
    moved = {
        f"{stage}.{key}": (old, to)
        for stage, changes in moves.items()
        for key, to in changes.items()
        if (old := _value(before[stage], key)) != to
    }
    return CalendarMove(month=moves["ingest"]["as_of"], why=why, moved=moved)


def _record(decision: CalendarMove) -> None:
    """Append a decision; a kill right after it leaves one more than was carried out."""
    before = DECISIONS.read_text(encoding="utf-8") if DECISIONS.is_file() else ""
    write_text(DECISIONS, f"{before}{decision.model_dump_json()}\n")
