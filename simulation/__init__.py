"""The simulated year: its users, its traffic, its faults and its story; nothing here is deployed.

`year` is the source of traffic for rollouts, made of `traffic` that `users` send; `feed` lives a
day again for the online store, and a `served_day` is held against training. `faults` can be put
into a challenger's server. The closed loop asks an `online_sample`; a `sandbox` is a checkout in
which it may run, and the `story` two months of it. `alert_demo` shows alerts as they happen.
`commands` are what `python -m simulation` adds to the commands of the pipeline.
"""
