"""A challenger takes over: in the shadow, by a canary, or at once; and can always be taken back.

`canary` and `shadow` decide and do nothing; `controller` acts; `envoy`, by its `routes` and its
`listener`, and `keeper` serve; every transition goes through the ledger, with its evidence.
"""
