"""A passed verdict, and nothing else, becomes a version in the registry, and its alias.

`stage` refuses, registers and promotes; `card` says what the model is for, and what it is not.
"""
