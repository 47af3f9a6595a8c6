"""Features, defined once for training and for serving: that shared import is the answer to skew.

`definitions` names them; `windows` turns raw events into rows of views, each with the instant at
which it became known; `on_demand` computes the features that depend on the request. Two joins use
them: `point_in_time` for training, and Feast's offline and online stores in `online_store`, which
`feast_repository` describes and `feast_client` opens. `build` is the stage and writes the
`feature_table`.
"""
