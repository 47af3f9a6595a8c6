"""What the group of each row comes to, where the group is large enough to say something."""

from typing import Literal

import pandas as pd


def group_value(
    values: pd.Series, keys: list[pd.Series], how: Literal["mean", "median"], least: int
) -> pd.Series:
    """The mean or median of each row's group, NaN where fewer than `least` have a value."""
    group = values.groupby(keys)
    return pd.Series(group.transform(how).where(group.transform("count") >= least))
