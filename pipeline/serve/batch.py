"""Tomorrow's whole schedule scored ahead, and what it costs to know only what is known then.

A nightly batch knows everything up to a day before each departure, the online path everything up to
two hours. Both score the same flights here, by the same model or by the one trained for the day.
"""


def batch(month: str | None = None) -> str:
    """Score a month."""
    raise NotImplementedError
