"""The gate: challenger against baselines and champion, overall and by slice, and its behaviour.

`compare` holds the statistics, `slices` the groups that may veto, `behaviour` the known cases,
`verdict_report` the verdict as people read it, `stage` reads, judges, writes.
"""

from pipeline.evaluate.stage import run

__all__ = ["run"]
