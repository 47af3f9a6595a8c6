"""The gate: a challenger against baselines and champion, overall and by slice, and its behaviour.

`gate` reads, judges and writes the verdict; `behaviour` tests the model on known cases; `refresh`
says what a retrained champion has to show instead of a change; `verdict_report` renders all.
"""
