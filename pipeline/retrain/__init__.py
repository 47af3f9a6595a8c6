"""The champion is kept up to date: when to retrain, on what, and what must hold first.

`loop` passes day by day; `signals` are what is known then, `policy` decides whether to retrain
and `data_guards` refuse rows that no model may learn from. An `attempt` trains, judges, shadows
and rolls out; `windows` move its days. `served` says which release answered which flight,
`refresh_gain` whether refreshes paid, and the `journal` keeps signals, decisions and steps;
`decisions` are decided again from it. `airflow` and `kubeflow` run the same commands. `repair`
finds broken state and rebuilds it: of files (`findings`), hash chains (`chains`) and stores
(`records`).
"""
