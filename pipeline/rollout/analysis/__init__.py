"""Decisions from evidence: pure functions without side effects."""
