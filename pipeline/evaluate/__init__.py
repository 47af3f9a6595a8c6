"""The gate: challenger against baselines and champion, overall and by slice, and its behaviour.

`compare` holds the statistics, `slices` the groups that may veto, `behaviour` the known cases,
`page` the verdict as people read it, `stage` reads, judges, writes.
"""
