"""Snapshots become accepted snapshots and quarantined rows, or the months are refused.

`suites` holds the rules, `judge` is the door to Great Expectations that applies them, `report`
says what came of it. All months are judged before one is refused, so that a message is complete.
"""
