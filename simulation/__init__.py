"""The simulated year: its users, its traffic, its faults and its story; nothing here is deployed.

`year` is the source of traffic for rollouts, made of `traffic` that `users` send; `feed` replays a
day into the online store, and a `served_day` is compared with training. `faults` can be injected
into a challenger's server. The closed loop sends an `online_sample`; a `sandbox` is a checkout for
its replay, and the `story` is two months of it. `alert_demo` shows alerts as they happen.
`commands` are those that `python -m simulation` adds to the pipeline's.
"""
