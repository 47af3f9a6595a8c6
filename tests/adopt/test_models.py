"""Models beside a table: a pickle after a yes by name, a script or a notebook that is only read."""

import json
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipeline.adopt import pickled, source_code, table_file
from pipeline.adopt.adopt import adopt
from pipeline.adopt.recipe import KINDS, Recipe
from pipeline.models import onnx_export
from pipeline.shared.errors import AdoptionRefused
from pipeline.tabular import declaration
from tests.adopt.tables import give, loans
from tests.rules.tree import ROOT

PROOF = pytest.mark.answer("notebook")
SCRIPT = """
import pandas as pd
from sklearn.ensemble import RandomForestClassifier as Forest
from sklearn.model_selection import train_test_split

df = pd.read_csv("table.csv")
y = (df["default"] == "yes").astype(int)
X = df.drop(columns=["default", "loan_id", "branch"])
model = Forest(n_estimators=30, max_depth=DEPTH, min_samples_leaf=5, n_jobs=-1)
model.fit(*train_test_split(X, y)[::2])
raise SystemExit("this was run")
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What adopting reads or writes of a checkout, with the whole code for the child."""
    folder = tmp_path / "checkout"
    skip = shutil.ignore_patterns("__pycache__", "Bikeshare.csv")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=skip)
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / "dvc.yaml", folder)
    monkeypatch.chdir(folder)
    return folder


def _save(folder: Path, model: Any, name: str = "model.pkl") -> Path:
    (folder / name).write_bytes(pickle.dumps(model))
    return folder


def _fitted(model: Any, columns: list[str] | None = None) -> Any:
    table = loans()
    return model.fit(table[columns or ["Income (k)"]], table["default"])


class Evil:
    """What a pickle can do: call anything while it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch ran",)


@PROOF
def test_a_pickle_is_not_loaded_without_a_yes_by_its_name(checkout: Path, tmp_path: Path) -> None:
    folder = _save(give(tmp_path / "loans", loans()), Evil())
    with pytest.raises(AdoptionRefused, match=r"can run any code.*TRUST=model\.pkl"):
        adopt(folder)
    with pytest.raises(AdoptionRefused, match=r"TRUST=other\.pkl names none of 1"):
        adopt(folder, trusted="other.pkl")
    assert not list(tmp_path.rglob("ran"))


@PROOF
def test_a_trusted_pickle_that_names_more_than_its_model_is_ended_before_it_runs(
    checkout: Path, tmp_path: Path
) -> None:
    folder = _save(give(tmp_path / "loans", loans()), Evil())
    with pytest.raises(AdoptionRefused, match=r"cannot be loaded .*it names posix\.system"):
        adopt(folder, trusted="model.pkl")
    assert not list(tmp_path.rglob("ran"))
    assert not (checkout / "pipeline/loans").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["model.pkl", "model.joblib"])
def test_a_forest_is_taken_over_with_its_onnx_parity(
    checkout: Path, tmp_path: Path, name: str
) -> None:
    folder = give(tmp_path / "loans", loans())
    model = _fitted(RandomForestClassifier(20, min_samples_leaf=9, random_state=1))
    (joblib.dump if name.endswith("joblib") else lambda one, path: _save(folder, one))(
        model, folder / name
    )
    said = adopt(folder, trusted=name)
    assert "RandomForestClassifier(min_samples_leaf=9, n_estimators=20, random_state=" in said
    of = declaration.read(checkout / "pipeline/loans")
    assert (of.numeric, of.categories) == (["income_k"], {})
    assert of.excluded["kind"] == "the given model does not take it"
    listed = (checkout / "pipeline/loans/ADOPTED.md").read_text()
    assert "its ONNX form differs by" in listed
    assert "adopted" in (checkout / "pipeline/models/classifier.py").read_text()
    assert "pipeline/models/adopted.py" in (checkout / "dvc.yaml").read_text()


@pytest.mark.long
def test_a_pipeline_with_encoders_gives_its_classifier_and_says_what_was_not_compared(
    checkout: Path, tmp_path: Path
) -> None:
    encode = make_column_transformer((OneHotEncoder(), ["kind"]), remainder=StandardScaler())
    model = make_pipeline(encode, LogisticRegression(C=0.5))
    folder = _save(give(tmp_path / "loans", loans()), _fitted(model, ["Income (k)", "kind"]))
    assert "LogisticRegression(C=0.5" in adopt(folder, trusted="model.pkl")
    of = declaration.read(checkout / "pipeline/loans")
    assert (of.numeric, list(of.categories)) == (["income_k"], ["kind"])
    assert "was not compared as it is" in (checkout / "pipeline/loans/ADOPTED.md").read_text()


class Unheard(LogisticRegression):
    """A kind of the owner's own."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "words"),
    [
        (KMeans(2, n_init=1), r"is a sklearn KMeans, none of \d+ kinds"),
        (RandomForestClassifier(3), r"takes 2 inputs, 1 of them are not in table\.csv: Age"),
        (Unheard(), r"cannot be loaded .*it names .*"),
        ({"a": 1}, r"is a builtins dict, none of"),
    ],
)
def test_a_model_that_cannot_be_taken_over_is_refused(
    checkout: Path, tmp_path: Path, model: Any, words: str
) -> None:
    folder = give(tmp_path / "loans", loans())
    table = loans().rename(columns={"branch": "Age"}).assign(Age=1.0)
    columns = ["Income (k)", "Age"] if isinstance(model, RandomForestClassifier) else ["Income (k)"]
    if hasattr(model, "fit"):
        model.fit(table[columns], table["default"])
    with pytest.raises(AdoptionRefused, match=words):
        adopt(_save(folder, model), trusted="model.pkl")
    assert not (checkout / "pipeline/loans").exists()
    assert "boosting" in (checkout / "pipeline/models/classifier.py").read_text()


def test_bytes_that_are_no_pickle_are_refused(checkout: Path, tmp_path: Path) -> None:
    folder = give(tmp_path / "loans", loans())
    (folder / "model.pkl").write_bytes(b"no pickle")
    with pytest.raises(AdoptionRefused, match=r"cannot be loaded \(exit 1, 0 is needed\)"):
        adopt(folder, trusted="model.pkl")


@PROOF
def test_a_script_is_read_and_never_run(checkout: Path, tmp_path: Path) -> None:
    folder = give(tmp_path / "loans", loans())
    (folder / "train.py").write_text(SCRIPT)
    said = adopt(folder)
    assert "RandomForestClassifier(n_estimators=30, min_samples_leaf=5, random_state=" in said
    of = declaration.read(checkout / "pipeline/loans")
    assert of.label.positive == "yes"
    assert of.excluded["branch"] == "the given code leaves it out"
    listed = (checkout / "pipeline/loans/ADOPTED.md").read_text()
    assert "max_depth of RandomForestClassifier is no plain value: left out" in listed
    assert "| label | default | the given code predicts it |" in listed


@PROOF
def test_a_notebook_says_what_its_cells_say(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# y = df['no']"]},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "!pip install x\n", "1"],
        },
        {"cell_type": "code", "source": SCRIPT.splitlines(keepends=True)},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    said = source_code.read(tmp_path / "a.ipynb")
    assert said.target == "default"
    assert said.dropped == ["default", "loan_id", "branch"]
    assert said.recipe is not None
    assert said.recipe.kind == "RandomForestClassifier"


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ('y = df["a"]', "a"),
        ("y = df.a", "a"),
        ("y = df.a.values", "a"),
        ('y = df.pop("a")', "a"),
        ('target = "a"', "a"),
        ('y = df["a"].map({"x": 1})', "a"),
        ('y = (df["a"] > 3).astype(int)', "a"),
        ("y = f(x)", None),
        ("y = 3", None),
    ],
)
def test_a_target_is_found_in_its_usual_forms(
    tmp_path: Path, line: str, target: str | None
) -> None:
    (tmp_path / "a.py").write_text(line)
    assert source_code.read(tmp_path / "a.py").target == target


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "def"),
        ("a.py", "\0"),
        ("a.ipynb", "{"),
        ("a.ipynb", '{"cells": [{"cell_type": "code"}]}'),
        ("a.ipynb", "[]"),
        ("a.py", "(" * 500),
    ],
)
def test_what_is_no_script_or_notebook_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AdoptionRefused, match=f"{name} is no"):
        source_code.read(tmp_path / name)


def test_two_scripts_are_refused(tmp_path: Path) -> None:
    for name in ("a.py", "b.ipynb"):
        (tmp_path / name).touch()
    with pytest.raises(AdoptionRefused, match="holds 2 scripts"):
        source_code.find(tmp_path)


@pytest.mark.long
@PROOF
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_is_taken_over_has_a_converter_and_code_that_fits(
    tmp_path: Path, kind: str, record_property: Any
) -> None:
    code: dict[str, Any] = {}
    exec(compile(Recipe(kind, {}).code("a test"), "adopted.py", "exec"), code)
    inputs = np.random.default_rng(0).normal(50, 20, (300, 3)).astype("float32")
    inputs[::7, 1] = np.nan
    labels = (inputs[:, 0] > 50).astype("int8")
    fitted = code["adopted"](SimpleNamespace(seed=0), ["a", "b", "c"], inputs, labels)
    _, worst = onnx_export.save(fitted, ["a", "b", "c"], inputs, tmp_path / "m.onnx", 1e-5)
    assert worst <= 1e-5
    record_property(f"largest difference of a {kind} and its ONNX form", f"{worst:.0e}")


def test_arguments_that_are_no_plain_words_cannot_become_code() -> None:
    call = Recipe("LogisticRegression", {"C": 2, "x=1, y": 3, "penalty": object()}).call
    assert call == "LogisticRegression(C=2, random_state=config.seed)"


def test_a_model_without_names_is_held_against_the_number_of_columns(tmp_path: Path) -> None:
    given = table_file.read(give(tmp_path / "loans", loans()))
    with pytest.raises(AdoptionRefused, match=r"takes 9 inputs, table\.csv has 4 columns"):
        pickled._require_inputs(Path("m.pkl"), given, {"inputs": None, "count": 9})
    pickled._require_inputs(Path("m.pkl"), given, {"inputs": None, "count": 1})
