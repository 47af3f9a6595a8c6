"""The live champion on days that it has not seen: what it meets, what it answers, what came of it.

`drift` and `windows` measure inputs and predictions before any label arrives, `quality` asks first
whether they are sound, `diagnose` tells which drift it is. `served` is what was answered.
"""

from pipeline.monitor.diagnose import diagnose
from pipeline.monitor.drift import run

__all__ = ["diagnose", "run"]
