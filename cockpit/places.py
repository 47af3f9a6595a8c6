"""The places of the page in their order, and the tools that have windows of their own."""

TITLES = {
    "now": "Who serves",
    "time": "Time",
    "pipeline": "Pipeline",
    "rollout": "Rollouts",
    "performance": "Drift and performance",
    "data": "Data gate",
    "gate": "Gate",
    "prediction": "One prediction",
    "versions": "Versions",
}
"""The parts of the page that are evidence, in their order."""
NAV = {
    "now": "Now",
    "time": "Time",
    "pipeline": "Pipeline",
    "rollout": "Rollouts",
    "performance": "Performance",
    "data": "Data",
    "gate": "Gate",
    "prediction": "Prediction",
    "versions": "Versions",
    "questions": "Questions",
    "tools": "Tools",
}
TOOLS = {
    "mlflow": "experiments, runs, figures and the model registry: MLflow itself",
    "dvc": "the graph, metrics, parameters, plots and experiments, as DVC tells them",
    "evidently": "the drift of every month that was monitored: Evidently itself",
    "great-expectations": "what the data gate expected and found, month by month",
    "prometheus": "signals and alerts: a Prometheus with the project's own rules",
    "dashboard": "the Grafana dashboard, drawn from its file",
}
DRAWN = {"dvc": "DVC", "great-expectations": "Data validation", "dashboard": "Dashboard"}
"""The tools' windows that are pages of the cockpit, with their titles."""
