"""Decide a rollout again, or explain a prediction: run by path, with the pipeline of its folder.

`cockpit/again.py decide 0003-canary` prints words, `cockpit/again.py explain ID` JSON. It writes
nothing; `make replay-decision` and `make explain` are the commands for people.
"""

import json
import sys

from pipeline.shared.errors import PipelineError, UsageError


def decide(rollout: str) -> str:
    """Repeat a rollout's decisions from the recorded evidence, and compare every number."""
    from pipeline.rollout.who_served import replay_decision

    return replay_decision(rollout)


def explain(request: str) -> str:
    """A prediction's features, with their age and source, and what each counts, as JSON."""
    from pipeline.monitor.explain import explanation
    from pipeline.monitor.explanation_report import cells, outline

    found = explanation(request)
    features = [
        one.model_dump(exclude={"behind"}) | {"cells": cells(one, 1)} for one in found.features
    ]
    told = {"outline": outline(found), "differs": found.differs, "features": features}
    return json.dumps(told)


def main(verb: str, name: str) -> int:
    """Run one of both; 0 done, 1 refused, 2 wrong usage."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        sys.stdout.write({"decide": decide, "explain": explain}[verb](name) + "\n")
    except (PipelineError, UsageError) as refusal:
        sys.stdout.write(f"{type(refusal).__name__}: {refusal}\n")
        return refusal.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
