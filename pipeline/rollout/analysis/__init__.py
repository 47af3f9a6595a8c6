"""Decisions from evidence: pure, and nothing is done about them here."""
