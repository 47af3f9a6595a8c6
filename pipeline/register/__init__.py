"""Registration: a model with a passed verdict becomes a version in the model registry.

`register` refuses, registers and promotes; the `model_card` states the intended use and limits of
a model; `registry_rebuild` restores a lost registry from its releases.
"""
