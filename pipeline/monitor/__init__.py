"""The live champion on days that it has not seen: what it meets, what it answers, what came of it.

Three layers. Operations: `slo` is what the service should keep to, `alerts` who is told when it does
not, `rules` those as Prometheus reads them, `dashboard` the same as pictures; `live` lets one fire.
Inputs and predictions, before any label: `tripwires` asks whether what was `served` is sound,
`drift` how far it lies from training. Outcomes: `outcome` says what the answers were worth, as
`labels` arrive; `proxy` and `maturity` are what stands in for them. `month` is the report on all
three, `signals` what Prometheus is told of it, and `diagnose` says which drift it is.
"""

from pipeline.monitor.diagnose import diagnose
from pipeline.monitor.exporter import exporter
from pipeline.monitor.live import monitor_live
from pipeline.monitor.month import run

__all__ = ["diagnose", "exporter", "monitor_live", "run"]
