"""Data validation: monthly snapshots are accepted, with some rows quarantined, or refused.

`data_gate` is the stage: all months are judged before one is refused, so that a message is
complete. `rules` are Great Expectations' expectations; `flight_consistency` and
`weather_consistency` measure what no column shows alone; `judge` applies them, `report` says what
came of it.
"""
