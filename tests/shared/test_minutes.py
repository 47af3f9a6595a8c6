"""Minutes as durations, where some are missing."""

import numpy as np
import pandas as pd

from pipeline.shared.minutes import durations


def test_a_missing_number_of_minutes_is_no_duration_and_the_others_are_exact():
    found = durations(pd.Series([-7.0, np.nan, 0.0, 1439.0], index=[4, 2, 9, 1]))
    assert found.isna().tolist() == [False, True, False, False]
    assert (found.dropna() // pd.Timedelta("1min")).to_dict() == {4: -7, 9: 0, 1: 1439}
    assert found.dtype == "timedelta64[us]"
