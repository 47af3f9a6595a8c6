"""Retraining: when to retrain the champion, on which data, and which checks come first.

`loop` replays day by day: `signals` gathers what is known, `policy` decides whether to retrain,
`data_guards` refuses rows that no model may learn from. An `attempt` trains, evaluates, shadows
and rolls out; `training_windows` moves the training and evaluation days.
`replayed_predictions` computes which release predicted what, `refresh_gain` whether refreshes paid
off. The `journal` records signals, decisions and steps; `decisions` replays the decisions from it.
`airflow` and `kubeflow` run the same commands. `repair` rebuilds broken state: it looks for it in
files (`repair_findings`), hash chains (`repair_chains`) and stores (`repair_records`).
"""
