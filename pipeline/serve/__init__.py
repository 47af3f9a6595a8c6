"""What a model is served with, online as time passes and in a batch, and whether it is the same.

`replay` lives a day again through the online store; `skew` holds what was served against what
training would have read; `batch` scores a whole schedule ahead; `stage` has their commands.

`server` answers over HTTP: `loaded` is the release, `request` what may be asked, `predictor` what
answers, `protocol` how tensors travel and `packing` how bodies do, `app` the routes over a `desk`,
each within an `envelope`; `callers` says which header is believed, `connection` what one may cost,
`gate` who is refused past capacity; `log` is what was answered, `retention` how long that is kept,
`metrics` what was counted, `kserve` the same predictor for a cluster.
"""
