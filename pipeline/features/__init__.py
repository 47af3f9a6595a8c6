"""What a feature means, once, for training and for serving: that import is the answer to skew.

`definitions` names them, `transform` turns raw events into rows that carry the instant at which
each became known, `store` joins those rows to requests as of the instant of the prediction.
"""

from pipeline.features.store import run

__all__ = ["run"]
