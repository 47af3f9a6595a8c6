"""Serving: the champion predicts online from the feature store, and in a nightly batch.

`server` runs the `app`; a request passes `connection` limits, `middleware`, `admission` (load
shedding), `compression`, the `schema` of the use case or `open_inference` tensors, and the
`handler`, which calls the `predictor`. `metrics` are counted for Prometheus. `batch` scores a
`schedule` ahead, `materialize` brings the online store up to date, `skew` compares served features
with those that training reads, `kserve` is the same predictor for a cluster.
"""
