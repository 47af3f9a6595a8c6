"""Tuning: random settings on folds in time, the best against the present on later days."""
