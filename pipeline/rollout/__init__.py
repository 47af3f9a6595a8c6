"""A challenger takes over: in the shadow, by a canary, or at once; and can always be taken back.

`canary` and `shadow` decide and do nothing; `controller` acts; `envoy`, by its `routes` and its
`listener`, and `keeper` serve; every transition goes through the ledger, with its evidence.
"""

from pipeline.rollout.bluegreen import bluegreen
from pipeline.rollout.canary import canary
from pipeline.rollout.rollback import rollback
from pipeline.rollout.shadow import shadow
from pipeline.rollout.who_served import replay_decision, run, who_served

__all__ = ["bluegreen", "canary", "replay_decision", "rollback", "run", "shadow", "who_served"]
