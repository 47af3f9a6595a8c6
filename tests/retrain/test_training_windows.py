import json
import re
from collections.abc import Callable

import pytest
import yaml

from pipeline import __main__ as door
from pipeline.retrain import training_windows as retrain
from pipeline.shared.config.evaluate import EvaluateConfig
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.monitor import MonitorConfig
from pipeline.shared.config.retrain import RetrainConfig
from pipeline.shared.config.sections import Window
from pipeline.shared.config.train import TrainConfig
from pipeline.shared.errors import ConfigError, StorageFailed, WrongMonth
from tests.rules.tree import ROOT

pytestmark = pytest.mark.answer("retraining")

STAGES = ["ingest", "train", "evaluate", "monitor"]


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A copy of the configs as they are committed, but in April, as the working folder."""
    folder = tmp_path / "configs"
    folder.mkdir()
    for path in (ROOT / "configs").glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    april = retrain.moved_windows(RetrainConfig.model_validate(_asked()), "2013-04")
    for stage in STAGES:
        path = folder / f"{stage}.yaml"
        path.write_text(retrain.edit(path.read_text(), april[stage]))
    monkeypatch.chdir(tmp_path)
    return folder


def _asked(**changes):
    known = yaml.safe_load((ROOT / "configs/retrain.yaml").read_text())
    return known | {"first_training_day": "2013-01-08", "holdout_days": 14} | changes


def _texts(configs):
    return {path.name: path.read_text() for path in configs.glob("*.yaml")}


def _values(configs):
    return {name: yaml.safe_load(text) for name, text in _texts(configs).items()}


def _decisions():
    return [json.loads(line) for line in retrain.DECISIONS.read_text().splitlines()]


def test_the_next_month_arrives_and_its_newest_days_stay_out_of_what_is_judged(configs):
    said = retrain.run()
    assert load(IngestConfig).as_of == "2013-05"
    assert load(TrainConfig).window == Window(first="2013-01-08", last="2013-05-17")
    assert load(TrainConfig).refit_until == "2013-05-31"
    assert load(EvaluateConfig).window == Window(first="2013-05-18", last="2013-05-31")
    assert load(MonitorConfig).window == Window(first="2013-05-01", last="2013-05-31")
    assert said.startswith(
        "2013-04 -> 2013-05: learn from 2013-01-08..2013-05-17, judge on 2013-05-18..2013-05-31, "
        "fit again until 2013-05-31"
    )


def test_a_day_arrives_and_then_the_rest_of_its_month(configs):
    retrain.run("2013-06-16")
    assert load(IngestConfig).as_of == "2013-06-16"
    assert load(TrainConfig).whole == Window(first="2013-01-08", last="2013-06-16")
    assert load(EvaluateConfig).window == Window(first="2013-06-03", last="2013-06-16")
    assert load(MonitorConfig).window == Window(first="2013-06-01", last="2013-06-16")
    with pytest.raises(WrongMonth, match=r"2013-06-16 is not after 2013-06-16"):
        retrain.run("2013-06-16")
    retrain.run()
    assert load(IngestConfig).as_of == "2013-06"


def test_a_sliding_window_forgets_and_never_learns_from_the_first_week():
    config = RetrainConfig.model_validate(_asked(window_days=90))
    learned = retrain.moved_windows(config, "2013-06-30")["train"]
    assert learned["window.first"] == "2013-04-02"
    assert retrain.moved_windows(config, "2013-03")["train"]["window.first"] == "2013-01-08"


def test_windows_that_are_there_already_are_not_moved_again(configs):
    retrain.move("2013-06-16", "asked")
    before = _texts(configs)
    assert retrain.move("2013-06-16", "asked")["ingest"] == {"as_of": "2013-06-16"}
    assert _texts(configs) == before
    assert len(_decisions()) == 1


def test_a_named_month_arrives_with_all_before_it(configs):
    retrain.run("2013-09")
    assert load(IngestConfig).as_of == "2013-09"
    assert load(TrainConfig).window.last == "2013-09-16"
    assert load(EvaluateConfig).window == Window(first="2013-09-17", last="2013-09-30")


def test_the_calendar_can_be_walked_to_the_end_of_the_year_and_no_further(
    configs, record_property: Callable[[str, object], None]
):
    for _ in range(8):
        retrain.run()
    assert load(IngestConfig).as_of == "2013-12"
    assert load(EvaluateConfig).window.last == "2013-12-31"
    before = _texts(configs)
    with pytest.raises(WrongMonth, match=r"2014-01 is after 2013-12"):
        retrain.run()
    assert _texts(configs) == before
    assert [decision["month"] for decision in _decisions()][-2:] == ["2013-11", "2013-12"]
    record_property("months that arrived, each decision written down", len(_decisions()))


def test_nothing_but_the_values_changes_in_a_config(configs):
    before = _texts(configs)
    retrain.run("2013-05")
    for name, text in _texts(configs).items():
        changed = [
            (old, new)
            for old, new in zip(before[name].splitlines(), text.splitlines(), strict=True)
            if old != new
        ]
        stage = name.removesuffix(".yaml")
        assert len(changed) == (stage in STAGES) + (stage == "train"), name
        for old, new in changed:
            assert re.sub(r"2013[\d-]+", "", old) == re.sub(r"2013[\d-]+", "", new)


def test_a_config_that_is_written_in_another_style_is_edited_too():
    text = "# why\nwindow:\n  last: '2013-02-28'  # until here\n  first: '2013-02-01'\nlast: 1\n"
    to = {"window.first": "2013-03-01", "window.last": "2013-03-31"}
    assert retrain.edit(text, to) == text.replace("02-28", "03-31").replace("02-01", "03-01")
    assert retrain.edit("{a: 1, b: 2} # c", {"a": "100", "b": "x"}) == "{a: 100, b: x} # c"


@pytest.mark.parametrize("month", ["2013-04", "2013-01", "2012-12"])
def test_a_month_that_has_arrived_is_refused_with_both_months(configs, month):
    with pytest.raises(WrongMonth, match=rf"{month} is not after 2013-04"):
        retrain.run(month)


@pytest.mark.parametrize("month", ["2013-13", "2013-5", "May", "", "2013-05; rm", "2013-06-31"])
def test_what_is_no_month_is_refused(configs, month):
    before = _texts(configs)
    with pytest.raises(WrongMonth, match="neither a month such as 2013-05 nor a day such as"):
        retrain.run(month)
    assert _texts(configs) == before
    assert not retrain.DECISIONS.exists()


def test_the_command_answers_a_wrong_month_with_2(configs, capsys):
    assert door.main(["retrain", "--as-of", "2014-01"]) == 2
    assert "2014-01 is after 2013-12" in capsys.readouterr().err
    assert door.main(["retrain", "--as-of", "2013-06"]) == 0


def test_a_decision_says_what_moved_from_where_to_where_and_why(configs):
    retrain.run()
    retrain.run("2013-08")
    first, second = _decisions()
    assert (first["month"], first["why"]) == ("2013-05", "scheduled")
    assert (second["month"], second["why"]) == ("2013-08", "asked")
    assert first["moved"] == {
        "ingest.as_of": ["2013-04", "2013-05"],
        "train.window.last": ["2013-04-16", "2013-05-17"],
        "train.refit_until": ["2013-04-30", "2013-05-31"],
        "evaluate.window.first": ["2013-04-17", "2013-05-18"],
        "evaluate.window.last": ["2013-04-30", "2013-05-31"],
        "monitor.window.first": ["2013-04-01", "2013-05-01"],
        "monitor.window.last": ["2013-04-30", "2013-05-31"],
    }
    assert second["moved"]["ingest.as_of"] == ["2013-05", "2013-08"]


@pytest.mark.parametrize(
    ("held_out", "learned_until", "judged_from"),
    [(14, "2013-06-16", "2013-06-17"), (30, "2013-05-31", "2013-06-01")],
)
def test_as_many_days_stay_out_as_the_config_says(held_out, learned_until, judged_from):
    config = RetrainConfig.model_validate(_asked(holdout_days=held_out))
    moves = retrain.moved_windows(config, "2013-06")
    assert moves["train"]["window.last"] == learned_until
    assert moves["evaluate"] == {"window.first": judged_from, "window.last": "2013-06-30"}


@pytest.mark.parametrize(
    ("learned", "judged_from"),
    [
        ("2013-06-29", "2013-06-30"),
        ("2013-06-23", "2013-06-24"),
        ("2013-06-16", "2013-06-17"),
        ("2013-06-15", "2013-06-17"),
        ("2013-06-30", "2013-06-17"),  # nothing is new: the gate says so
    ],
)
def test_no_day_is_judged_on_that_the_champion_learned_from(learned, judged_from):
    moves = retrain.moved_windows(RetrainConfig.model_validate(_asked()), "2013-06", learned)
    assert moves["evaluate"] == {"window.first": judged_from, "window.last": "2013-06-30"}
    last = f"2013-06-{int(judged_from[-2:]) - 1:02}"
    assert (moves["train"]["window.last"], moves["train"]["refit_until"]) == (last, "2013-06-30")


def test_a_calendar_that_leaves_no_day_to_learn_from_is_refused(configs):
    (configs / "retrain.yaml").write_text(yaml.safe_dump(_asked(first_training_day="2013-05-20")))
    before = _texts(configs)
    with pytest.raises(ConfigError, match="ends the training on 2013-05-17, before its first day"):
        retrain.run()
    assert _texts(configs) == before


@pytest.mark.parametrize("stage", [*STAGES, "retrain"])
def test_a_config_that_is_wrong_already_stops_the_move_before_anything_is_written(configs, stage):
    with (configs / f"{stage}.yaml").open("a") as stream:
        stream.write("mispelt: 1\n")
    before = _texts(configs)
    with pytest.raises(ConfigError, match="mispelt"):
        retrain.run()
    assert _texts(configs) == before
    assert not retrain.DECISIONS.exists()


def test_every_new_config_is_checked_before_the_first_is_written(configs, monkeypatch):
    whole, before = retrain.edit, _texts(configs)
    monkeypatch.setattr(
        retrain, "edit", lambda text, to: whole(text, to).replace("as_of: 2013-05", "as_of: May")
    )
    with pytest.raises(ValueError, match="as_of"):
        retrain.run()
    assert _texts(configs) == before
    assert not retrain.DECISIONS.exists()


@pytest.mark.parametrize("written", range(5))
def test_a_move_that_was_cut_short_is_finished_by_the_same_command(configs, monkeypatch, written):
    """Three windows, the decision, then as_of: wherever it stops, again gives the same configs."""
    left = iter(range(written))
    whole = retrain.write_text

    def cut(path, text):
        if next(left, None) is None:
            raise StorageFailed(f"cannot write {path}")
        whole(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(retrain, "write_text", cut)
        with pytest.raises(StorageFailed):
            retrain.run()
    assert load(IngestConfig).as_of == "2013-04"
    retrain.run()
    assert load(IngestConfig).as_of == "2013-05"
    assert load(TrainConfig).window.last == "2013-05-17"
    assert load(EvaluateConfig).window.last == load(TrainConfig).refit_until == "2013-05-31"
    assert _decisions()[-1]["month"] == "2013-05"


def test_a_move_whose_data_never_came_is_undone_and_once(configs):
    path = configs / "train.yaml"
    path.write_text(retrain.edit(path.read_text(), {"refit_until": "null"}))
    before = _values(configs)
    retrain.run("2013-05-12")
    retrain.undo("2013-05-12")
    assert _values(configs) == before
    retrain.undo("2013-05-12")
    assert _values(configs) == before
    assert [told["why"] for told in _decisions()] == ["asked", "put back"]


def test_only_the_last_move_is_undone(configs):
    retrain.run("2013-05")
    before = _texts(configs)
    retrain.undo("2013-06")
    assert _texts(configs) == before


def test_where_nothing_moved_nothing_is_undone(configs):
    before = _texts(configs)
    retrain.undo("2013-05")
    assert _texts(configs) == before


def test_an_undone_move_is_made_again(configs):
    retrain.run("2013-05")
    moved = _texts(configs)
    retrain.undo("2013-05")
    retrain.run("2013-05")
    assert _texts(configs) == moved
