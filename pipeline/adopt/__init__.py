"""Somebody's table, and perhaps their model, taken over as a use case: `make adopt FROM=folder`.

`table_file` reads the one table, `choices` what its owner has said, `source_code` what a script or
a notebook says without running it, `pickled` what a model is, in a child. `guess` decides the rest
and names each guess; `configs` derives limits and windows, `adopt` writes all of it at the end.
"""
