"""How a challenger gets traffic: in the shadow, then as a canary, judged on evidence at each step.

`canary` and `shadow` decide and do nothing else, so that a recorded decision can be made again;
`statistics` is what they rest on, `decision` what they answer with.
"""
