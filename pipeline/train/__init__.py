"""Features become a challenger, the baselines that it must beat, and a run with its lineage.

`models` fits, `export` stores what was fitted in a form that cannot run code and proves it equal,
`figures` draws, `stage` reads, calls, writes.
"""
