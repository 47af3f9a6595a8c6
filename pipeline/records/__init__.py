"""What stages write down for each other: the rollout ledger, the request log, what has arrived."""
