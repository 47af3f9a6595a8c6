"""What the live champion meets, compared with what it was trained on.

`drift` measures inputs and predictions: what can be seen before any label arrives.
"""

from pipeline.monitor.drift import run

__all__ = ["run"]
