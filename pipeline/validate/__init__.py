"""Data validation: monthly snapshots are accepted, with some rows quarantined, or refused.

`data_gate` is the stage: all months are judged before one is refused, so that the message is
complete. `judge` applies the rules: its own on columns and types, then those of the use case;
`validation_report` writes the results.
"""
