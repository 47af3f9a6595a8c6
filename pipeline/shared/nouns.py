"""The nouns of a use case, for messages, pages and keys: light, so that a page loads no tables."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The nouns of a use case.

    A prediction is of one of the `events`; `one` has its article. The word for an `event` is also
    the column and the key of its name in logs, labels and responses, unless `key` is another;
    `example` is such a name, `named_by` what it consists of, `longest` its greatest length.
    Labels are 1 for `positive` events and 0 for `negative` ones, at the earliest when it `matures`;
    they are held against the `proxy` flag, by week and `group`. `codes` are the identifiers that
    must not move the risk, `title` is what the server predicts, `naive` the naive baseline.
    """

    event: str
    events: str
    one: str
    title: str
    example: str
    positive: str = "positive"
    negative: str = "negative"
    named_by: str = "the parts of its key"
    proxy: str = "proxy"
    group: str = "group"
    codes: str = "identifiers"
    matures: str = "when it is due"
    longest: int = 64
    key: str = ""
    naive: str = "hour_rate"

    @property
    def name_key(self) -> str:
        """The column and the key of an event's name."""
        return self.key or self.event
