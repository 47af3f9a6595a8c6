"""The calendar moves on: another month has arrived, and the windows of the configs follow it.

The newest months stay out of training, so that the gate and the monitor look at days that the
challenger has not seen. Only a schedule or a person asks for it yet: WHEN to retrain (drift, a
falling metric, a cooldown) is not decided here.
"""

import re
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from pipeline.shared.config import (
    CONFIGS,
    EvaluateConfig,
    IngestConfig,
    MonitorConfig,
    RetrainConfig,
    StageConfig,
    TrainConfig,
    load,
)
from pipeline.shared.contracts import RETRAIN, Record
from pipeline.shared.errors import ConfigError, WrongMonth
from pipeline.shared.files import write_text

DECISIONS = RETRAIN / "decisions.jsonl"
LAST_MONTH = "2013-12"
SECTIONS: list[type[StageConfig]] = [TrainConfig, EvaluateConfig, MonitorConfig, IngestConfig]
"""What moves, in the order in which it is written: the calendar's own month comes last."""

Moves = dict[str, dict[str, str]]
"""New values of keys, by stage: {"ingest": {"as_of": "2013-05"}}; a dot leads into a section."""


class Decision(Record):
    """One move of the calendar: a month by name or the next one, and what moved from where to."""

    month: str
    why: Literal["asked", "scheduled"]
    moved: dict[str, tuple[str, str]]


def month_after(arrived: str, asked: str | None) -> str:
    """The month that arrives: the one after the last, or the one that was asked for.

    Raises:
        WrongMonth: it is none, it has arrived already, or the replayed year does not have it.
    """
    month = str(pd.Period(arrived, freq="M") + 1) if asked is None else asked
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise WrongMonth(f"{month!r} is no month as 2013-05 is; run `make retrain AS_OF=2013-05`")
    if month <= arrived:
        raise WrongMonth(
            f"{month} is not after {arrived}, the last month that arrived: time does not run "
            "backwards; bring older configs back with `git checkout <commit> -- configs`"
        )
    if month > LAST_MONTH:
        raise WrongMonth(
            f"{month} is after {LAST_MONTH}, the last month of the replayed year; see `as_of: "
            f"{arrived}` in {CONFIGS}/ingest.yaml"
        )
    return month


def windows(config: RetrainConfig, as_of: str) -> Moves:
    """Every key that follows the calendar, when `as_of` is the last month that arrived.

    Raises:
        ConfigError: no day would be left to learn from.
    """
    newest = pd.Period(as_of, freq="M")
    held_out = newest - config.held_out_months + 1
    last = str((held_out - 1).end_time.date())
    if last < config.first_training_day:
        raise ConfigError(
            f"{as_of} with {config.held_out_months} month(s) held out ends the training on {last}, "
            f"before its first day {config.first_training_day}: correct {CONFIGS}/retrain.yaml"
        )
    judged = {
        "window.first": str(held_out.start_time.date()),
        "window.last": str(newest.end_time.date()),
    }
    learned = {"window.first": config.first_training_day, "window.last": last}
    return {"ingest": {"as_of": as_of}, "train": learned, "evaluate": judged, "monitor": judged}


def edited(text: str, changes: dict[str, str]) -> str:
    """A config's text with other values of some keys; everything else stays as it is written."""
    places = [(_scalar(yaml.compose(text), key.split(".")), to) for key, to in changes.items()]
    for node, to in sorted(places, key=lambda place: -place[0].start_mark.index):
        quote = node.style or ""
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
    config = load(RetrainConfig)
    before = {section.stage: load(section) for section in SECTIONS}
    arrived = _value(before["ingest"], "as_of")
    month = month_after(arrived, as_of)
    moves = windows(config, month)
    # Everything is made and checked before anything is written. A kill in between leaves as_of as
    # it was, so that the same command again ends in the same configs.
    *moved, (calendar, moved_on) = [_checked(section, moves) for section in SECTIONS]
    for path, text in moved:
        write_text(path, text)
    _record(_decision(before, moves, "scheduled" if as_of is None else "asked"))
    write_text(calendar, moved_on)
    train, judged = moves["train"], moves["evaluate"]
    return (
        f"{arrived} -> {month}: learn from {train['window.first']}..{train['window.last']}, judge "
        f"and watch {judged['window.first']}..{judged['window.last']} -> {CONFIGS}/, {DECISIONS}"
    )


def _checked(section: type[StageConfig], moves: Moves) -> tuple[Path, str]:
    """A config's new text, which is one that its stage would load."""
    path = CONFIGS / f"{section.stage}.yaml"
    text = edited(path.read_text(encoding="utf-8"), moves[section.stage])
    section.model_validate(yaml.safe_load(text))
    return path, text


def _decision(
    before: dict[str, StageConfig], moves: Moves, why: Literal["asked", "scheduled"]
) -> Decision:
    moved = {
        f"{stage}.{key}": (old, to)
        for stage, changes in moves.items()
        for key, to in changes.items()
        if (old := _value(before[stage], key)) != to
    }
    return Decision(month=moves["ingest"]["as_of"], why=why, moved=moved)


def _record(decision: Decision) -> None:
    """Add a decision to those before it; a kill right after this leaves one more than was done."""
    told = DECISIONS.read_text(encoding="utf-8") if DECISIONS.is_file() else ""
    write_text(DECISIONS, f"{told}{decision.model_dump_json()}\n")
