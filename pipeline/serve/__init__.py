"""The champion answers: online from the feature store, and in a batch.

`server` runs the `app`; a request passes `connection` limits, `middleware`, `admission` (load
shedding), `compression`, the `schema` of flights or `open_inference` tensors, and the `handler`,
which asks the `predictor`. `metrics` are counted for Prometheus. `batch` scores a `schedule`
ahead, `materialize` brings the online store up to date, `skew` compares what was served with what
training reads, `kserve` is the same predictor for a cluster.
"""
