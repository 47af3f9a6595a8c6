"""Group statistics as a value per row, where the group is large enough."""

from typing import Literal

import pandas as pd


def group_value(
    values: pd.Series, keys: list[pd.Series], how: Literal["mean", "median"], least: int
) -> pd.Series:
    """The mean or median of each row's group; NaN where fewer than `least` rows have a value."""
    group = values.groupby(keys)
    return pd.Series(group.transform(how).where(group.transform("count") >= least))
