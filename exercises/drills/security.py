"""Faults of malice and of haste: a model file that runs code, a password in a config."""

import hashlib
import json
import os
import pickle
import re
import secrets
from pathlib import Path

from exercises.drill import Drill, Outcome, replace_once

_LEFT_BEHIND = "the-payload-ran"
_PASSWORD = secrets.token_hex(8)  # another one in every run: none is committed


class _Payload:
    """What a pickle makes of its maker's wish: loading it runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {_LEFT_BEHIND}",)


def _pickle_for_model(folder: Path) -> list[str]:
    """A pickle takes the place of every model, and the record of the training names its digest."""
    content = pickle.dumps(_Payload())
    digest = hashlib.sha256(content).hexdigest()
    train = folder / "data/train"
    train.mkdir(parents=True, exist_ok=True)
    (train / "model.onnx").write_bytes(content)
    training = {
        "digest": digest,
        "candidate": digest,
        "candidate_window": "2013-01-08..2013-03-31",
        "baselines": {},
        "window": "2013-01-08..2013-03-31",
        "rows": 74_390,
        "positives": 20_000,
        "features": ["precip"],
        "feature_service": "flight_delay",
        "parity": {"model": 0.0},
        **dict.fromkeys(["recipe", "predictions_hash", "data_hash", "config_hash"], digest),
        "seed": 0,
        "threads": 1,
    }
    (train / "training.json").write_text(json.dumps(training), encoding="utf-8")
    return ["evaluate"]


def _named_and_not_run(folder: Path, outcome: Outcome) -> str:
    told = re.search(r"ArtifactTampered: (.*? but a pickle, which runs code[^;]*)", outcome.words)
    if outcome.code != 1 or not told or list(folder.rglob(_LEFT_BEHIND)):
        return ""
    return f"{told[1]}; its command did not run"


def _password_in_config(folder: Path) -> list[str]:
    """The quick way to another registry: its address, with the password in it."""
    replace_once(
        folder / "configs/register.yaml",
        "tracking_url: sqlite:///state/mlflow.db",
        "tracking_url: " + "://".join(["postgresql", f"mlops:{_PASSWORD}@db.example.org/mlflow"]),
    )
    return ["register"]


def _refused_and_not_repeated(_: Path, outcome: Outcome) -> str:
    told = re.search(r"ConfigError: (configs/register\.yaml holds [^,]* at \w+)", outcome.words)
    if outcome.code != 2 or not told or _PASSWORD in outcome.words:
        return ""
    return f"{told[1]}; the password is not repeated"


DRILLS = [
    Drill(
        slug="pickle",
        stage="evaluate",
        fault="a pickle with a command in it is put in the model's place, under a matching digest",
        guard="the look at a file's bytes before it is loaded (registry.model_scan.refusal)",
        inject=_pickle_for_model,
        caught=_named_and_not_run,
    ),
    Drill(
        slug="secret",
        stage="rules",
        fault="somebody writes the registry's password into configs/register.yaml",
        guard="the search for secrets in every config that is read (shared.config.loading)",
        inject=_password_in_config,
        caught=_refused_and_not_repeated,
    ),
]
