import os
import shutil
import tracemalloc
from pathlib import Path

import pytest
import yaml

from pipeline.flights.limits import FlightLimits
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.register import RegisterConfig
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.errors import ConfigError
from pipeline.usecase.every_config import ALL_SECTIONS as EVERY
from pipeline.usecase.every_config import load_all
from tests.rules.tree import ROOT
from tests.shared.project import configure

SECTIONS = list(EVERY)


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
        (FlightLimits, "max_hours_to_month_end"),
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
        (TrainConfig, "window.last", "2013-02-30"),
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


# Secrets, and files that were made to harm.

HUNTER = "hunter" + "2"
URL = "://".join(["postgresql", f"bob:{HUNTER}@db.example.org/mlflow"])
about_security = pytest.mark.answer("model-security")


@about_security
@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("tracking_url", URL, "a URL with a password"),
        (
            "artifacts_url",
            "s3://bucket/path?" + f"secret={HUNTER}",
            "a URL with a secret in its query",
        ),
        ("model_name", "AKIA" + "ABCDEFGH12345678", "the id of an AWS key"),
        ("password", HUNTER, "a key for a secret"),
        ("experiment", {"deep": [{"api_key": HUNTER}]}, "a key for a secret"),
        ("experiment", "-----BEGIN " + "PRIVATE KEY-----\nhunter2", "a private key"),
    ],
)
def test_a_secret_in_a_config_is_refused_by_file_and_key_and_not_repeated(key, value, kind):
    configure("register", **{key: value})
    told = refused(RegisterConfig)
    assert told.startswith(f"configs/register.yaml holds {kind} at {key}")
    assert "PIPELINE_TRACKING_URL, PIPELINE_ARTIFACTS_URL" in told
    assert HUNTER not in told
    assert "AKIA" not in told


@about_security
@pytest.mark.parametrize("section", SECTIONS)
def test_every_config_is_looked_through(section):
    configure(section.stage, client_secret=HUNTER)
    assert "holds a key for a secret at client_secret" in refused(section)


@about_security
@pytest.mark.parametrize(
    "added",
    [f"# was {URL}", f"seed: {URL}\nseed: 0", f"logistic_c: [1.0, {URL}"],
    ids=["a comment", "a key that comes twice", "no YAML"],
)
def test_a_secret_that_no_value_shows_is_refused_too_and_not_repeated(configs, added):
    path = configs / "train.yaml"
    kept = path.read_text().replace("seed: 0\n", "").replace("logistic_c: 1.0\n", "")
    path.write_text(f"{kept}seed: 0\nlogistic_c: 1.0\n{added}\n")
    told = refused(TrainConfig)
    assert "holds a URL with a password at line " in told or "is not YAML" in told
    assert HUNTER not in told


@about_security
def test_an_address_with_a_password_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("PIPELINE_TRACKING_URL", URL)
    monkeypatch.setenv("PIPELINE_ARTIFACTS_URL", "s3://bucket/path")
    config = load(RegisterConfig)
    assert (config.tracking_url.get_secret_value(), str(config.artifacts_url)) == (
        URL,
        "s3://bucket/path",
    )
    shown = [repr(config), f"{config.tracking_url}", config.model_dump_json(), repr(vars(config))]
    assert [HUNTER in one for one in shown] == [False] * 4


@about_security
def test_a_variable_that_is_empty_or_not_set_replaces_nothing(monkeypatch):
    plain = load(RegisterConfig)
    monkeypatch.setenv("PIPELINE_TRACKING_URL", "")
    assert load(RegisterConfig) == plain
    assert str(plain.tracking_url) == "sqlite:///state/mlflow.db"


@about_security
def test_a_variable_does_not_excuse_the_secret_in_the_file(monkeypatch):
    configure("register", tracking_url=URL)
    monkeypatch.setenv("PIPELINE_TRACKING_URL", "sqlite:///state/mlflow.db")
    assert "holds a URL with a password at tracking_url" in refused(RegisterConfig)


@about_security
@pytest.mark.parametrize("password", [HUNTER, f"a {HUNTER}", f"a@{HUNTER}", f"a/{HUNTER}"])
def test_an_address_that_mlflow_does_not_know_is_refused_without_its_password(
    monkeypatch, password
):
    monkeypatch.setenv("PIPELINE_TRACKING_URL", "://".join(["gopher", f"bob:{password}@example"]))
    told = refused(RegisterConfig)
    assert "\n  tracking_url: String should match pattern" in told
    assert "got 'gopher://***@example'" in told
    assert HUNTER not in told


@pytest.mark.parametrize(
    "url",
    ["sqlite:///a.db", "postgresql://h/d", "mysql+pymysql://h/d", "https://h", "http://h:5000"],
)
def test_the_addresses_that_mlflow_knows_are_let_through(url):
    configure("register", tracking_url=url)
    assert load(RegisterConfig).tracking_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("state/artifacts", Path("state/artifacts")),
        ("/srv/100%/a b", Path("/srv/100%/a b")),
        ("file:///srv/a%20b", Path("/srv/a b")),
        ("s3://bucket/path", None),
        ("https://example.org/path", None),
    ],
)
def test_artifacts_lie_in_a_folder_or_elsewhere(url, folder):
    configure("register", artifacts_url=url)
    assert load(RegisterConfig).artifacts == folder


LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@about_security
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LAUGHS, r"an alias, which no config needs in line 2, column 10;"),
        (MERGED, r"an alias, which no config needs in line 3, column 8;"),
        ("a: &a [*a]", r"an alias, which no config needs in line 1, column 8;"),
        ("[" * 60_000, "RecursionError;"),
        ("seed: 2013-13-45", "ValueError;"),
        ("seed: " + "9" * 5_000, "ValueError;"),
        ("seed: !!float hunter2", "ValueError;"),
        ("seed: !!bool hunter2", "KeyError;"),
        ("? 0x" + "f" * 9_000 + "\n: 1", "ValueError;"),
        ("seed: !!timestamp hunter2", "AttributeError;"),
        ("seed: !!python/object/apply:os.system [touch exploded]", "could not determine a constr"),
        ("seed: \x07", "ReaderError;"),
        (b"seed: \xff", "UnicodeDecodeError;"),
    ],
)
def test_yaml_that_was_made_to_harm_is_refused(configs, text, told):
    path = configs / "train.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(TrainConfig)
    assert said.startswith(f"configs/train.yaml is not YAML: {told}")
    assert HUNTER not in said
    assert len(said) < 300
    assert not Path("exploded").exists()


@about_security
@pytest.mark.parametrize("text", [LAUGHS, MERGED])
def test_yaml_that_names_a_billion_values_takes_no_memory(configs, text):
    (configs / "train.yaml").write_text(text)
    tracemalloc.start()
    refused(TrainConfig)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@about_security
def test_a_config_that_is_larger_than_people_write_is_refused_with_both_sizes(configs):
    path = configs / "train.yaml"
    os.truncate(path, 10**12)  # a hole, which takes no room on the disk
    told = "configs/train.yaml is no config: it has 1,000,000,000,000 bytes, at most 64,000 are"
    assert refused(TrainConfig).startswith(told)


@pytest.mark.parametrize("number", ["0x" + "f" * 9_000, "1:" * 9_000 + "1"])
def test_a_number_that_python_does_not_write_is_refused(configs, number):
    path = configs / "train.yaml"
    path.write_text(path.read_text().replace("seed: 0", f"sead: {number}"))
    assert "\n  sead: Extra inputs are not permitted, got " in refused(TrainConfig)


def test_a_long_value_is_told_by_its_beginning():
    configure("train", seed=["x" * 1_000] * 40)
    assert len(refused(TrainConfig)) < 300


@about_security
@pytest.mark.parametrize(
    "name",
    [
        *("", "..", "../../etc/passwd", "a/b", "a\\b", "a.b", "a b", "A", "9a", "-a"),
        *("a'b", "a' OR '1'='1", 'a"b', "a;--", "a`b", "a%b", "a\n", "a\nb", "a\r", "a\x00", "é"),
    ],
)
@pytest.mark.parametrize("key", ["model_name", "experiment"])
def test_a_name_that_could_lead_elsewhere_or_end_a_query_is_refused(key, name):
    configure("register", **{key: name})
    assert f"\n  {key}: String should match pattern" in refused(RegisterConfig)


def test_all_are_read_before_a_graph_removes_anything(configs):
    load_all()
    path = configs / "rollout.yaml"
    path.write_text(path.read_text().replace("max_days:", "max_day:", 1))
    with pytest.raises(ConfigError, match=r"configs/rollout\.yaml has 2 wrong"):
        load_all()
