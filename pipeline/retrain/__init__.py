"""The model is kept up: when to train anew, on what, and what has to be true before it goes live.

`loop` lets time pass, day by day; `watch` sees what is known then, `policy` decides whether to
train and `guards` refuse rows that nothing may be learned from. An `attempt` is trained, judged,
shadowed and rolled out; `calendar` moves its windows. `answers` says who answered which flight,
`online` asks a sample over HTTP, and the `journal` keeps what was seen, decided and done. A `world`
is a checkout in which all this may happen, and the `story` two months of it. `repair` finds what of
the state is broken and rebuilds it.
"""
