"""The point-in-time join by several engines, each in a process of its own, on the same files.

The task: for each view, each request's last row that was available at its instant, written to
Parquet. Derived features are left out: they are computed row by row, whatever joined the rows.
"""
