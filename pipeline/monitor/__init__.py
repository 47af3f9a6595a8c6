"""The live champion on days after its training: service, inputs and predictions, performance.

Three layers, a folder each: `operations` (is the service up, fast and fed), `inputs` (what was
served, before any label), `performance` (what the predictions were worth, as labels arrive).
`report` covers all three for a month, `diagnose` says which drift it is and what to do; both read
the `predictions` of the `monitored_model`. `explain` takes one prediction apart, from the
`raw_events` behind its features to its label.
"""
