"""The model is kept up: when to train anew, on what, and what has to be true before it goes live.

`calendar` moves the month and every window with it, `policy` decides whether to train and `guards`
refuse rows that nothing may be learned from; both decide and do nothing.
"""

from pipeline.retrain.calendar import run

__all__ = ["run"]
