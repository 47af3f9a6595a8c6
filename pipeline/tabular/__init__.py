"""Use cases that are declared: a table, with or without event time, and `table.yaml` about it.

`declaration` reads the YAML, `published` the table's versions or months, `rules` judges them,
`usecase` states the contract for the stages, `words` names the rows. A use case is then a folder
with `table.yaml`, `configs.yaml` and the table itself; `make adopt` writes one.
"""
