"""The alerts as Prometheus reads them, in full and shortened to be watched; and what they read.

A rule that names what nobody shows is valid, never fires, and looks well: `unread` finds it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.monitor.operations.alerts import Alert, configured

if TYPE_CHECKING:
    from pipeline.shared.prometheus import Sample

RULES = Path("configs/monitor/alerts.yml")


def rules(found: Iterable[Alert], seconds: int = 15) -> str:
    """The rules as Prometheus reads them, one group for each area, evaluated every few seconds."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for alert in found:
        groups.setdefault(alert.area, []).append(alert.rule())
    told = [
        {"name": name, "interval": f"{seconds}s", "rules": rules} for name, rules in groups.items()
    ]
    return yaml.dump(
        {"groups": told}, Dumper=_Readable, sort_keys=False, width=98, allow_unicode=True
    )


class _Readable(yaml.SafeDumper):
    """Several lines stay several lines."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Readable.add_representer(str, _block)


def generated() -> dict[Path, str]:
    """configs/monitor/alerts.yml, as it should read."""
    why = "pipeline/monitor/operations/alerts.py"
    head = f"# Made by `make fill` from configs/monitor.yaml; why is in {why}.\n"
    return {RULES: head + rules(configured())}


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = r"(?<!\d)(\d+)([smhd])"


def shortened(found: Iterable[Alert], factor: int) -> list[Alert]:
    """The same rules with every window and every `for` divided, to be watched as they work.

    No limit changes: a share of requests is the same share, of fewer requests.
    """

    def less(number: str, unit: str) -> str:
        seconds, left = divmod(int(number) * _UNITS[unit], factor)
        if left:
            raise ValueError(f"{number}{unit} is no whole number of seconds, divided by {factor}")
        return f"{seconds}s"

    return [
        replace(
            alert,
            expr=re.sub(rf"\[{_DURATION}\]", lambda m: f"[{less(m[1], m[2])}]", alert.expr),
            lasting=re.sub(_DURATION, lambda m: less(m[1], m[2]), alert.lasting),
        )
        for alert in found
    ]


# What a rule reads.


@dataclass(frozen=True)
class Selector:
    """A metric that an expression reads, and what it asks of its labels: name, operator, value."""

    metric: str
    labels: tuple[tuple[str, str, str], ...] = ()

    def selects(self, sample: "Sample") -> bool:
        """Whether a number would be read by it."""
        return sample.name == self.metric and all(
            _fits(sample.labels.get(name, ""), operator, value)
            for name, operator, value in self.labels
        )


def _fits(found: str, operator: str, value: str) -> bool:
    equal = bool(re.fullmatch(value, found)) if "~" in operator else found == value
    return equal != operator.startswith("!")


_WORDS = set(
    "abs absent and by bool group_left hour humanize ignoring increase histogram_quantile max "
    "min on or rate sum time unless without".split()
)
"""What a rule of ours may say beside names of metrics."""
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{([^{}]*)\})?")
_LABEL = re.compile(r'(?<!\w)(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def selectors(expr: str) -> set[Selector]:
    """Every metric that an expression reads, with its labels."""
    bare = re.sub(r"\b(?:by|on|without|ignoring|group_left)\s*\([^()]*\)", " ", expr)
    bare = re.sub(rf"\[{_DURATION}\]|(?<![\w\".])\d[\d.]*(?:e[+-]?\d+)?\b", " ", bare)
    return {
        Selector(name, tuple(sorted(_LABEL.findall(labels))))
        for name, labels in _SELECTOR.findall(bare)
        if name not in _WORDS
    }


def unread(expr: str, samples: "Iterable[Sample]") -> set[Selector]:
    """What an expression reads and nobody shows: such a rule never fires, and looks well."""
    known = list(samples)
    return {s for s in selectors(expr) if not any(s.selects(sample) for sample in known)}
