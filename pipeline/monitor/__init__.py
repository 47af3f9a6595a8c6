"""What the live champion meets, compared with what it was trained on.

`drift` measures inputs and predictions: what can be seen before any label arrives. `outcome` says
what the answers were worth, as `labels` arrive; `proxy` and `maturity` are what stands in for them.
"""

from pipeline.monitor.drift import run

__all__ = ["run"]
