"""The live champion on days that it has not seen: what it meets, what it answers, what came of it.

`served` is what was answered. Before any label arrives, `tripwires` asks whether it is sound, and
`drift` how far inputs and predictions lie from training. `outcome` says what the answers were
worth, as `labels` arrive; `proxy` and `maturity` are what stands in for them. `diagnose` tells
which drift it is.
"""

from pipeline.monitor.diagnose import diagnose
from pipeline.monitor.month import run

__all__ = ["diagnose", "run"]
