"""What the live champion meets, compared with what it was trained on.

`drift` measures inputs and predictions: what can be seen before any label arrives.
`explain` takes one prediction apart: `sources` are the raw events, `story` is how it is told.
"""

from pipeline.monitor.drift import run
from pipeline.monitor.explain import explain

__all__ = ["explain", "run"]
