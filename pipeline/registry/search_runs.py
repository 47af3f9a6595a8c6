"""Experiment tracking of a search: one parent run, and a nested run for each of its trials.

They are in an experiment of their own, so that trials do not stand among the trainings. MLflow's
page of parallel coordinates draws them: every trial has the same parameters and metrics.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.registry import locations, run_description, runs
from pipeline.registry.client import connect, experiment_id
from pipeline.shared import lineage
from pipeline.shared.config.register import RegisterConfig

_JUDGED_ON = "judged_on"
"""The tag of a search whose best trial was judged on a hold-out; its value is the hold-out."""


def experiment(config: RegisterConfig) -> RegisterConfig:
    """The same store with the experiment of searches in the place of that of trainings."""
    return config.model_copy(update={"experiment": f"{config.experiment}-tuning"})


def _experiment_id(client: Any, own: RegisterConfig) -> str:
    return experiment_id(client, own, run_description.SEARCHES)


class SearchRun:
    """The parent run of a search that goes on."""

    def __init__(self, config: RegisterConfig, run_id: str) -> None:
        """A run that was begun in the experiment of searches."""
        self.config, self.run_id = config, run_id

    def add_values(self, values: Mapping[str, Any]) -> None:
        """Record what the search was asked for: its budget, its folds, its space."""
        self._log(connect(self.config), self.run_id, values, {})

    def add_trial(self, name: str, values: Mapping[str, Any], metrics: Mapping[str, float]) -> str:
        """Record a trial that has ended as a nested run; its id."""
        client = connect(self.config)
        tags = {"mlflow.runName": name, "mlflow.parentRunId": self.run_id}
        run = client.create_run(_experiment_id(client, self.config), tags=tags)
        self._log(client, run.info.run_id, values, metrics)
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def conclude(
        self, metrics: Mapping[str, float], note: str, folder: Path, judged_on: str | None
    ) -> None:
        """Record the result: best trial, comparison, files, and the hold-out if it was used."""
        client = connect(self.config)
        self._log(client, self.run_id, {}, metrics)
        client.set_tag(self.run_id, "mlflow.note.content", note)
        if judged_on is not None:
            client.set_tag(self.run_id, _JUDGED_ON, judged_on)
        runs.log_folder(self.config, self.run_id, folder, "search")

    @staticmethod
    def _log(
        client: Any, run_id: str, values: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> None:
        for name, value in values.items():
            client.log_param(run_id, name, value)
        for name, number in metrics.items():
            client.log_metric(run_id, name, number)


@contextmanager
def search_run(config: RegisterConfig, name: str) -> Iterator[SearchRun]:
    """A parent run with its lineage; finished at the end of the block, failed after an error."""
    own = experiment(config)
    client = connect(own)
    locations.require_written_here(config)
    about = {"mlflow.runName": name, **lineage.collect()}
    run_id = str(client.create_run(_experiment_id(client, own), tags=about).info.run_id)
    ended = "FAILED"
    try:
        yield SearchRun(own, run_id)
        ended = "FINISHED"
    finally:
        client.set_terminated(run_id, ended)


def looks(config: RegisterConfig, holdout: str) -> int:
    """The number of searches of this registry that were judged on a hold-out."""
    own = experiment(config)
    client = connect(own)
    searches = client.get_experiment_by_name(own.experiment)
    if searches is None:
        return 0
    found = client.search_runs(
        [searches.experiment_id], f"tags.{_JUDGED_ON} = '{holdout}'", max_results=1_000
    )
    return len(found)
