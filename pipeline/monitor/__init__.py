"""The live champion on days after its training: service, inputs and predictions, performance.

Three layers, a folder each: `operations` (is the service up, fast and fed), `inputs` (inputs and
predictions, before any label), `performance` (model performance, as labels arrive). `report` covers
all three for a month, `diagnose` tells which drift it is and what to do; both read the
`predictions` of the `monitored_model`. `explain` traces one prediction from the `raw_events`
behind its features to its label.
"""
