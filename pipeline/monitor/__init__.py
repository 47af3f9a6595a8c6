"""The live champion on days that it has not seen: what it meets, what it answers, what came of it.

Three layers, a folder each: `operations` (is the service up, fast and fed), `inputs` (what was
served, before any label is there), `outcomes` (what the answers were worth, as labels arrive).
`month` reports on all three, `diagnose` says which drift it is and what to do, and both read what
was `served` by the `champion`. `explain` takes one prediction apart: `sources` are the raw events,
`story` is how it is told.
"""
