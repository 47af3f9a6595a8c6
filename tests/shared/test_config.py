import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.shared.config import (
    EvaluateConfig,
    FeaturesConfig,
    IngestConfig,
    MonitorConfig,
    RegisterConfig,
    StageConfig,
    TrainConfig,
    ValidateConfig,
    load,
)
from pipeline.shared.errors import ConfigError
from tests.shared.project import configure

ROOT = Path(__file__).parents[2]
SECTIONS = StageConfig.__subclasses__()


@pytest.fixture(autouse=True)
def configs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(ROOT / "configs", tmp_path / "configs"))


def refused(section):
    with pytest.raises(ConfigError) as caught:
        load(section)
    return str(caught.value)


def test_a_mistyped_key_is_refused_with_both_names(configs):
    path = configs / "train.yaml"
    path.write_text(path.read_text().replace("max_leaf_nodes", "max_leaf_nodse"))
    told = refused(TrainConfig)
    assert told.startswith("configs/train.yaml has 2 wrong key(s) or value(s)")
    assert "boosting.max_leaf_nodes: Field required" in told
    assert "boosting.max_leaf_nodse: Extra inputs are not permitted, got 15" in told


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (TrainConfig, "boosting"),
        (TrainConfig, "window"),
        (EvaluateConfig, "window"),
        (EvaluateConfig, "bootstrap"),
        (EvaluateConfig, "slices"),
        (EvaluateConfig, "behaviour"),
        (MonitorConfig, "window"),
        (ValidateConfig, "max_hours_to_month_end"),
    ],
)
def test_an_unknown_key_inside_a_section_is_refused_by_its_whole_name(section, key):
    configure(section.stage, **{f"{key}.extra": 1})
    assert f"\n  {key}.extra: Extra inputs are not permitted" in refused(section)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_value_of_a_wrong_type_is_refused_by_name(section):
    values = yaml.safe_load(Path(f"configs/{section.stage}.yaml").read_text())
    (Path("configs") / f"{section.stage}.yaml").write_text(
        yaml.safe_dump({key: {"not": "this"} for key in values})
    )
    told = refused(section)
    assert [key for key in values if f"\n  {key}" not in told] == []


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (IngestConfig, "as_of", "2013-13"),
        (IngestConfig, "files", {"flights.csv.zip": "abc"}),
        (FeaturesConfig, "horizon_minutes", -5),
        (FeaturesConfig, "shrink_flights", {"system": 0}),
        (TrainConfig, "seed", -1),
        (TrainConfig, "seed", 1.5),
        (TrainConfig, "threads", 0),
        (TrainConfig, "parity_tolerance", 0.1),
        (TrainConfig, "logistic_c", NAN),
        (TrainConfig, "min_rows", 0),
        (TrainConfig, "monotone", "perhaps"),
        (TrainConfig, "boosting.learning_rate", 0),
        (TrainConfig, "boosting.l2_regularization", INFINITE),
        (TrainConfig, "window.first", "2013-02-30"),
        (TrainConfig, "window.last", "2013-04-31"),
        (TrainConfig, "window.last", "2014-01-01"),
        (TrainConfig, "window.last", "soon"),
        (EvaluateConfig, "max_data_age_days", INFINITE),
        (EvaluateConfig, "bootstrap.confidence", 1),
        (EvaluateConfig, "bootstrap.draws", 199),
        (EvaluateConfig, "slices.storm_share", 1.1),
        (EvaluateConfig, "slices.veto_point", INFINITE),
        (EvaluateConfig, "slices.veto_point", -0.1),
        (EvaluateConfig, "slices.hour_bands", [5, 9]),
        (EvaluateConfig, "slices.hour_bands", [0, 13, 9]),
        (EvaluateConfig, "slices.hour_bands", [0, 9, 24]),
        (EvaluateConfig, "slices.hour_bands", []),
        (EvaluateConfig, "behaviour.tolerance", INFINITE),
        (EvaluateConfig, "behaviour.calm_morning_max", 2),
        (RegisterConfig, "model_name", "flight delay"),
        (RegisterConfig, "experiment", ""),
        (MonitorConfig, "prediction_warn", 0),
        (MonitorConfig, "html", "some"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(section, key, value):
    configure(section.stage, **{key: value})
    told = refused(section)
    assert "has 1 wrong" in told
    assert f"\n  {key}" in told


@pytest.mark.parametrize("group", ["prediction", "tripwire"])
def test_an_alert_below_its_warning_is_refused_with_both_numbers(group):
    configure("monitor", **{f"{group}_warn": 0.3})
    assert f"{group}_warn 0.3 is above {group}_alert 0.2" in refused(MonitorConfig)
    configure("monitor", **{f"{group}_alert": 0.3})
    assert getattr(load(MonitorConfig), f"{group}_alert") == 0.3


@pytest.mark.parametrize("section", [TrainConfig, EvaluateConfig, MonitorConfig])
def test_a_window_that_ends_before_it_begins_is_refused_with_both_days(section):
    configure(section.stage, window={"first": "2013-05-02", "last": "2013-05-01"})
    assert "first 2013-05-02 is after last 2013-05-01" in refused(section)
    configure(section.stage, window={"first": "2013-05-01", "last": "2013-05-01"})
    assert load(section).window.first == "2013-05-01"


@pytest.mark.parametrize("text", ["", "- a list", "just words", "seed: [1", "\t"])
def test_what_is_no_table_of_keys_is_refused_by_its_path(configs, text):
    (configs / "train.yaml").write_text(text)
    assert refused(TrainConfig).startswith("configs/train.yaml ")


def test_a_missing_file_says_how_to_get_it_back(configs):
    (configs / "train.yaml").unlink()
    assert "is missing; restore it with `git checkout configs/train.yaml`" in refused(TrainConfig)


def test_a_section_inside_a_config_cannot_be_changed_either():
    with pytest.raises(ValueError, match="frozen"):
        load(TrainConfig).boosting.max_iter = 5
