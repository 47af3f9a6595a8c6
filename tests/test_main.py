import os
import subprocess
import sys

import pytest

from pipeline import __main__ as door
from pipeline.shared.errors import ConfigError, DataRejected
from tests.rules.tree import ROOT

pytestmark = pytest.mark.answer("ci-cd")


@pytest.fixture
def stages(monkeypatch):
    """Stages that answer as the test says; returns what was run, in order."""
    ran = []

    def put(**answers):
        for name, answer in answers.items():

            def run(name=name, answer=answer):
                ran.append(name)
                if isinstance(answer, BaseException):
                    raise answer
                return answer

            monkeypatch.setitem(sys.modules[__name__].__dict__, f"run_{name}", run)
            monkeypatch.setitem(door.STAGES, name, f"{__name__}:run_{name}")
        return ran

    return put


def test_a_stage_that_is_done_prints_its_closing_line_and_answers_0(stages, capsys):
    stages(train="74,658 flights -> data/train/model.onnx")
    assert door.main(["train"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("train ")
    assert " s  74,658 flights -> data/train/model.onnx\n" in out
    assert err == ""


@pytest.mark.parametrize(
    ("refusal", "code"), [(DataRejected("too few rows"), 1), (ConfigError("a typo"), 2)]
)
def test_a_refusal_prints_its_message_without_a_traceback(stages, capsys, refusal, code):
    stages(validate=refusal)
    assert door.main(["validate"]) == code
    out, err = capsys.readouterr()
    assert err == f"validate: {type(refusal).__name__}: {refusal}\n"
    assert out == ""


@pytest.mark.parametrize(
    ("command", "option", "bounds"),
    [
        ("reproduce", "--threads=0", "1 to 1024"),
        ("reproduce", "--threads=-3", "1 to 1024"),
        ("reproduce", "--threads=", "1 to 1024"),
        ("reproduce", "--threads=2.0", "1 to 1024"),
        ("serve-http", "--port=65536", "0 to 65535"),
        ("exporter", "--port=-1", "0 to 65535"),
        ("explain", "--row=-1", "0 to 1000000"),
        ("explain", "--row=1_0", "0 to 1000000"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_before_anything_runs(
    stages, capsys, command, option, bounds
):
    ran = stages(**{command: "never"})
    with pytest.raises(SystemExit) as ended:
        door.main([command, option])
    assert ended.value.code == 2
    value = option.partition("=")[2]
    assert f"{value!r} is no whole number from {bounds}" in capsys.readouterr().err
    assert ran == []


def test_every_option_that_is_a_number_has_bounds():
    """`int` alone takes 0 for "not given", and a negative row for one from the end."""
    kinds = [how.get("type") for options in door.OPTIONS.values() for how in options.values()]
    assert int not in kinds
    assert float not in kinds
    assert len([kind for kind in kinds if kind]) == 5


def test_a_stage_never_sees_the_repository_of_a_git_hook(stages, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/elsewhere/.git")
    monkeypatch.setenv("GIT_INDEX_FILE", "/elsewhere/.git/index")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/their/settings")
    stages(train="done")
    assert door.main(["train"]) == 0
    assert "GIT_CONFIG_GLOBAL" in os.environ
    assert {"GIT_DIR", "GIT_INDEX_FILE"} & set(os.environ) == set()


def test_a_full_disk_outside_our_own_writers_is_a_refusal_too(stages, capsys, tmp_path):
    stages(train=OSError(28, "No space left on device", str(tmp_path / "mlflow.db")))
    assert door.main(["train"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"train: StorageFailed: cannot write {tmp_path}/mlflow.db")
    assert "MB are free" in err


@pytest.mark.parametrize("bug", [ValueError("a bug"), OSError(2, "No such file"), KeyError("x")])
def test_a_bug_is_not_caught(stages, bug):
    stages(train=bug)
    with pytest.raises(type(bug)):
        door.main(["train"])


def test_several_stages_run_in_the_order_given(stages, capsys):
    ran = stages(register="registered", monitor="quiet")
    assert door.main(["monitor", "register"]) == 0
    assert ran == ["monitor", "register"]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ran


def test_the_first_refusal_stops_the_stages_after_it(stages):
    ran = stages(ingest="done", validate=DataRejected("no"), features="done")
    assert door.main(["ingest", "validate", "features"]) == 1
    assert ran == ["ingest", "validate"]


@pytest.mark.parametrize("arguments", [[], ["trian"], ["train", "trian"], ["--fast", "train"]])
def test_a_wrong_call_answers_2_and_runs_nothing(stages, capsys, arguments):
    ran = stages(train="done")
    with pytest.raises(SystemExit) as left:
        door.main(arguments)
    assert left.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("python -m pipeline: error: ")
    assert said.endswith("`make help-all` lists commands and values")
    assert ran == []


def test_a_number_of_trials_that_is_none_is_refused_in_one_sentence(capsys):
    with pytest.raises(SystemExit) as left:
        door.main(["tune", "--trials=x"])
    assert left.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "'x' is no whole number from 1 to 1000" in said


def test_an_option_reaches_the_command_that_takes_it_and_no_other(monkeypatch, capsys):
    heard = []
    here = sys.modules[__name__].__dict__
    monkeypatch.setitem(here, "listen", lambda **given: heard.append(given) or "heard")
    monkeypatch.setitem(door.STAGES, "train", f"{__name__}:listen")
    monkeypatch.setitem(door.OPTIONS, "train", {"as-of": {}, "all": {"action": "store_true"}})
    assert door.main(["train", "--as-of", "2013-05"]) == 0
    assert door.main(["train"]) == 0
    assert heard == [{"as_of": "2013-05"}, {}]
    with pytest.raises(SystemExit) as left:
        door.main(["register", "--as-of", "2013-05"])
    assert left.value.code == 2
    assert "register takes no --as-of" in capsys.readouterr().err


def test_no_tool_calls_home_unless_the_user_said_so(stages, monkeypatch):
    for name in door.QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    stages(train="done")
    door.main(["train"])
    assert door.os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert door.os.environ["DO_NOT_TRACK"] == "0"


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_answers_2_where_there_is_no_config(tmp_path):
    done = command(tmp_path, "register")
    assert done.returncode == 2
    assert done.stderr.startswith("register: ConfigError: configs/register.yaml is missing")
    assert "Traceback" not in done.stderr


def test_the_command_shows_the_traceback_of_a_bug():
    bug = "import pipeline.__main__ as m; m.STAGES['train'] = 'builtins:nothing'; m.main(['train'])"
    done = subprocess.run(
        [sys.executable, "-c", bug], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "AttributeError" in done.stderr
