"""What an expression of PromQL reads: a rule on what nobody exports is valid and never fires."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.shared.prometheus import Sample

_WORDS = set(
    "abs absent and by bool group_left hour humanize ignoring increase histogram_quantile max "
    "min on or rate sum time unless without".split()
)
"""What our expressions say beside names of metrics."""
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{([^{}]*)\})?")
_LABEL = re.compile(r'(?<!\w)(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True)
class Selector:
    """A metric that an expression reads, and what it asks of its labels: name, operator, value."""

    metric: str
    labels: tuple[tuple[str, str, str], ...] = ()

    def selects(self, sample: Sample) -> bool:
        """Whether it reads a number."""
        return sample.name == self.metric and all(
            _fits(sample.labels.get(name, ""), operator, value)
            for name, operator, value in self.labels
        )


def _fits(label: str, operator: str, value: str) -> bool:
    equal = bool(re.fullmatch(value, label)) if "~" in operator else label == value
    return equal != operator.startswith("!")


def selectors(expr: str) -> set[Selector]:
    """Every metric that an expression reads, with its labels."""
    bare = re.sub(r"\b(?:by|on|without|ignoring|group_left)\s*\([^()]*\)", " ", expr)
    bare = re.sub(r"\[\d+[smhd]\]|(?<![\w\".])\d[\d.]*(?:e[+-]?\d+)?\b", " ", bare)
    return {
        Selector(name, tuple(sorted(_LABEL.findall(labels))))
        for name, labels in _SELECTOR.findall(bare)
        if name not in _WORDS
    }


def metrics(expr: str) -> set[str]:
    """The names of the metrics that an expression reads."""
    return {selector.metric for selector in selectors(expr)}


def unread(expr: str, samples: Iterable[Sample]) -> set[Selector]:
    """What an expression reads and nobody exports."""
    known = list(samples)
    return {s for s in selectors(expr) if not any(s.selects(sample) for sample in known)}


def limits(expr: str) -> list[list[float]]:
    """The factors of each number that something is compared with, in their order."""
    written = re.findall(r"[<>=]=? (-?[\d.]+(?: \* [\d.]+)*)", expr)
    return [[float(factor) for factor in one.split(" * ")] for one in written]


def minutes(expr: str) -> list[int]:
    """The windows of an expression, those of recorded shares included."""
    return [int(n) for n in re.findall(r"(?:\[|_rate)(\d+)m\b", expr)]
