"""A complete MLOps pipeline: a stage is a module or a package, in the order in which data flows.

ingest      the published files -> one immutable snapshot per month, and a manifest
validate    snapshots -> accepted snapshots and quarantined rows, or DataRejected
features    accepted snapshots -> one row per event, as known when it is predicted
train       features -> a challenger, its baselines, a run with its lineage
tune        settings drawn at random, on folds in time -> a proposal, compared on later days
evaluate    challenger against baselines and champion -> a Verdict: the gate
register    a passed Verdict -> a version in the registry, and its alias
reproduce   a registered version -> rebuilt from its record alone, compared, proven
serve       the champion and the store -> what is answered, online as time passes and in a batch
rollout     a challenger and live traffic -> shadow, canary, blue-green: promoted, or taken back
monitor     the live champion on new days -> three layers watched, alerts, which drift it is
retrain     newer data and labels -> when to train; windows moved, guards, gate, shadow, canary

Stages never import each other, `retrain` apart: they meet in `records` (ledger and logs), the
model `registry`, `models`, `features` and `shared`. Only a use case knows the domain: a folder, or
a `table.yaml` that `tabular` reads and `adopt` writes; `usecase` says which this checkout serves.
DVC runs ingest .. evaluate, from files to files; the other stages ask the registry, which lives
outside the DVC pipeline, and are plain commands. The users and faults of the replayed year
are in simulation/, which nothing here imports.
"""
