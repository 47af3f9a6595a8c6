"""Data validation: monthly snapshots are accepted, with some rows quarantined, or refused.

`data_gate` is the stage: all months are judged before one is refused, so that the message is
complete. `snapshot_schema` has the rules on columns and types, the use case all others; `judge`
applies them, `validation_report` writes the results.
"""
