"""Ours with everything in memory at once."""

from benchmarks.joins.embedded import at_once as join

__all__ = ["join"]
