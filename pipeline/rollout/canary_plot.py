"""The plot of a canary: its weight, and the distance to each alarm at every interim analysis."""

from pathlib import Path

from pipeline.features.windows import instant
from pipeline.rollout.analysis.decision import Decision
from pipeline.shared import plots


def plot(path: Path, title: str, decisions: list[tuple[int, dict[str, int], Decision]]) -> None:
    """Plot the interim analyses of a canary into a PNG file."""
    figure = plots.blank(9, 6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    at = [instant(minute).to_pydatetime() for minute, _, _ in decisions]
    above.step(at, [shares.get("challenger", 0) / 100 for _, shares, _ in decisions], where="post")
    above.set(ylabel="challenger, % of traffic", title=f"{title}: {decisions[-1][2].outcome}")
    for metric in decisions[-1][2].metrics:
        if metric.alpha:
            values = [decision.metric(metric.name).p for _, _, decision in decisions]
            near = [(1.0 if p is None else max(p, 1e-12)) / metric.alpha for p in values]
            below.plot(at, near, marker=".", label=metric.name)
    below.axhline(1, color="black", linestyle="--", linewidth=1)
    below.set(yscale="log", ylabel="anytime p / its limit (below 1: alarm)")
    below.legend(ncols=4, fontsize="small")
    below.tick_params(axis="x", rotation=20)
    plots.save(figure, path)
