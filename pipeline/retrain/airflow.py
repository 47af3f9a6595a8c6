"""Retraining as an Airflow DAG: it runs the project's own commands in order and decides nothing.

Airflow has an environment of its own and parses this file there, so it imports nothing of the
project. Each task runs a command with the project's packages. A gate that refuses exits with 1,
which fails its task and stops the run. A refusal is not retried: the result would be the same.

The DAG is scheduled monthly and triggered by the asset event that new data have arrived.
For a deployment: AIRFLOW__CORE__DAGS_FOLDER at this folder, PIPELINE_PROJECT at the checkout, and
one worker with that checkout, or PIPELINE_TRACKING_URL and a DVC remote that all of them reach.
"""

import os
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, Param
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.trigger import CronTriggerTimetable

_PROJECT = Path(os.environ.get("PIPELINE_PROJECT", Path(__file__).resolve().parents[2]))
_STEPS: dict[str, str] = yaml.safe_load((_PROJECT / "configs/retrain/steps.yaml").read_text())
ARRIVED = Asset("month-arrived")
"""The event that a data source emits when a month has arrived."""
LOCKED = {"register"}
"""Steps that may find the registry locked by another process: these are retried."""

with DAG(
    dag_id="retrain",
    description="Retrain on what has arrived, gate, register, shadow, canary",
    # 04:17 UTC on the second: the month's last labels have come by 10:00 of the first.
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("17 4 2 * *", timezone="UTC"), assets=[ARRIVED]
    ),
    start_date=datetime(2013, 4, 1),
    catchup=False,
    max_active_runs=1,  # two would move the same configs
    params={
        "as_of": Param("", type="string", pattern=r"^(\d{4}-\d\d(-\d\d)?)?$"),
        "until": Param("canary", type="string", enum=list(_STEPS)),
    },
) as dag:
    before = None
    for place, (step, words) in enumerate(_STEPS.items()):
        # A form's input reaches the command through the environment, never as a part of it.
        wanted = f'case " {" ".join(list(_STEPS)[place:])} " in *" $UNTIL "*) ;; *) exit 99 ;; esac'
        task = BashOperator(
            task_id=step,
            bash_command=f"{wanted}; cd {shlex.quote(str(_PROJECT))} && {words} ",
            env={"AS_OF": "{{ params.as_of }}", "UNTIL": "{{ params.until }}"},
            append_env=True,
            retries=2 if step in LOCKED else 0,
            retry_delay=timedelta(seconds=30),
        )
        if before is not None:
            before >> task
        before = task
