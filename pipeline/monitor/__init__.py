"""The live champion on days that it has not seen: what it meets, what it answers, what came of it.

Three layers, a folder each: `operations` (is the service up, fast and fed), `inputs` (what was
served, before any label is there), `outcomes` (what the answers were worth, as labels arrive).
`month` reports on all three, `diagnose` says which drift it is and what to do, and both read what
was `served` by the `champion`. `explain` takes one prediction apart: `sources` are the raw events,
`story` is how it is told.
"""

from pipeline.monitor.diagnose import diagnose
from pipeline.monitor.explain import explain
from pipeline.monitor.operations.exporter import exporter
from pipeline.monitor.report import run
from simulation.alert_demo.demo import monitor_live

__all__ = ["diagnose", "explain", "exporter", "monitor_live", "run"]
