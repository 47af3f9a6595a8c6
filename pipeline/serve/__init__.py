"""What a model is served with, online as time passes and in a batch, and whether it is the same.

`replay` lives a day again through the online store; `skew` holds what was served against what
training would have read; `batch` scores a whole schedule ahead; `stage` has the commands.
"""

from pipeline.serve.batch import batch
from pipeline.serve.stage import materialize, run, skew

__all__ = ["batch", "materialize", "run", "skew"]
