"""A registered version is rebuilt from its record alone, compared, and so proven or not.

`environment` holds the packages against the lock, `compare` the outputs against the recorded ones,
`page` shows where a version comes from, `stage` rebuilds and answers.
"""

from pipeline.reproduce.lineage_report import lineage
from pipeline.reproduce.stage import run

__all__ = ["lineage", "run"]
