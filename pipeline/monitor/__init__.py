"""What the live champion meets, compared with what it was trained on; and who is told of what.

`drift` measures inputs and predictions: what can be seen before any label arrives. `signals` is
what the job knows, and `exporter` shows it to Prometheus. `slo` is what the service should keep to,
`alerts` who is told when it does not, `rules` those as Prometheus reads them, `dashboard` the same
numbers as pictures. `live` lets an alert happen: a `scene` in a `setting` of `children`, with a
`sink` for what people are told.
"""

from pipeline.monitor.drift import run
from pipeline.monitor.exporter import exporter
from pipeline.monitor.live import monitor_live

__all__ = ["exporter", "monitor_live", "run"]
