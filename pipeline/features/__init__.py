"""What a feature means, once, for training and for serving: that import is the answer to skew.

`definitions` names them; `transform` turns raw events into rows of views that carry the instant at
which each became known; `on_demand` says at the request what only then can be said. Two joins meet
in it: `join`, for training, and that of `store`, which is Feast's offline and online, told by
`repository`. `rows` reads the feature table that `stage` writes.
"""
