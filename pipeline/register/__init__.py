"""A passed verdict, and nothing else, becomes a version in the model registry, with an alias.

`register` refuses, registers and promotes; the `model_card` says what a model is for and what
not; `registry_rebuild` restores a lost registry from its releases.
"""
