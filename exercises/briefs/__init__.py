"""Briefs: whole take-homes, checked from outside: files, the checkout's own command, and HTTP.

Each folder holds a brief (brief.md), its checks, and what this repository adds to pass them.
"""
