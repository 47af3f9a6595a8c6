"""Staged rollout of a challenger: shadow, canary or blue-green, and rollback from any state.

The commands are `shadow`, `canary`, `bluegreen`, `rollback` and `who_served`. `analysis` decides
from the evidence, `controller` applies the decision to the `traffic`; `state` is one rollout, whose
transitions are written to the ledger before anything changes.
"""
