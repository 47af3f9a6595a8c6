"""A challenger takes over: by shadow, by canary or by blue-green; and can always be taken back.

The commands are `shadow`, `canary`, `bluegreen`, `rollback` and `who_served`. What `analysis`
decides from the evidence, the `controller` does with the `traffic`; `state` is one rollout, whose
transitions go through the ledger before anything changes.
"""
