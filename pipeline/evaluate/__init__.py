"""The gate: a challenger against baselines and champion, overall and by slice, and its behaviour.

`gate` reads, judges and writes the verdict; `behaviour` tests the model on known cases; `refresh`
has the rules for a champion retrained on newer days; `verdict_report` renders the verdict.
"""
