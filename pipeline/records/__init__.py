"""Records that one stage writes and another reads: rollout ledger, request log, arrived data."""
