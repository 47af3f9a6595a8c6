"""Data validation: monthly snapshots are accepted, with some rows quarantined, or refused.

`data_gate` is the stage: all months are judged before one is refused, so that the message is
complete. `rules` are Great Expectations' expectations; `flight_consistency` and
`weather_consistency` measure relations between columns; `judge` applies the rules, `report`
writes the results.
"""
