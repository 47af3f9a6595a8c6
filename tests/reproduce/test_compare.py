"""No real difference passes as equal or as tolerated; and what is tolerated is said to be so."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from pipeline.features.definitions import REQUEST_KEY
from pipeline.reproduce import compare
from pipeline.reproduce.compare import (
    PREDICTIONS,
    WHY,
    Rebuild,
    compare_outputs,
    compare_tables,
    compare_texts,
    compare_values,
)
from pipeline.shared import dvc_lock
from pipeline.shared.config.reproduce import ReproduceConfig

pytestmark = pytest.mark.answer("three-artefacts")

CONFIG = ReproduceConfig(prediction_tolerance=1e-5, figure_tolerance=1e-4)
SMALL = 1e-4
ONE, OTHER = "a1" * 32, "b2" * 32
"""Two digests."""


def answer(told):
    return told[0]


# Texts.


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('"auc": 0.7301', '"auc": 0.73015', id="a figure within the tolerance"),
        pytest.param("+0.0123 [-0.0200]", "+0.0124 [-0.0201]", id="the last digit that is shown"),
        pytest.param("1e-05", "0.00001", id="the same number in another notation"),
        pytest.param("1e-05", "3.5E-05", id="two tiny numbers"),
        pytest.param("-0.00001", "0.00001", id="a sign of next to nothing"),
        pytest.param("0.5", "0.50", id="another number of digits"),
        pytest.param(f'"digest": "{ONE}"', f'"digest": "{OTHER}"', id="a digest that follows"),
        pytest.param(ONE[:32], OTHER[:32], id="an MD5 that follows"),
        pytest.param(f"Challenger {ONE[:12]} on", f"Challenger {OTHER[:12]} on", id="a short one"),
    ],
)
def test_texts_that_differ_by_no_more_than_the_tolerance_are_the_same(old, new):
    assert (
        answer(compare_texts(old, new, SMALL))
        == answer(compare_texts(new, old, SMALL))
        == "within tolerance"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('"auc": 0.7301', '"auc": 0.7303', id="a figure beyond the tolerance"),
        pytest.param("-0.5", "0.5", id="a sign"),
        pytest.param("0.123", "0.12", id="a digit is missing"),
        pytest.param("1e-05", "1e+05", id="the sign of an exponent"),
        pytest.param("1e-2", "1e-3", id="an exponent"),
        pytest.param("1860", "1861", id="a count moved by one"),
        pytest.param("1,860 flights", "1,861 flights", id="a count with a separator"),
        pytest.param("12,860 flights", "1,860 flights", id="another number of thousands"),
        pytest.param("[1,23]", "[12,3]", id="a list whose digits moved"),
        pytest.param("2013,1,18,UA", "2013,11,8,UA", id="the cells of a date in a CSV file"),
        pytest.param("1,200", "1200", id="one cell less"),
        pytest.param("UA,0.5", "AA,0.5", id="a carrier"),
        pytest.param("9E", "8E", id="a carrier with a digit"),
        pytest.param("N007", "N7", id="a tail number that begins with zeros"),
        pytest.param("N1E2", "N100", id="a tail number like an exponent"),
        pytest.param("check-0", "check0", id="a name without its hyphen"),
        pytest.param("x+1", "x-1", id="an operator"),
        pytest.param("true", "false", id="a boolean"),
        pytest.param("true", "1", id="a boolean as a number"),
        pytest.param("null", "0", id="nothing as a number"),
        pytest.param('"0.5"', "0.5", id="a text that is a number"),
        pytest.param("NaN", "0.5", id="a number where there was none"),
        pytest.param("NaN", "Infinity", id="two that are no numbers"),
        pytest.param("inf", "0.5", id="a number where there was infinity"),
        pytest.param("1e999", "2e999", id="two numbers too large for a float"),
        pytest.param("1e9999999999999999999", "1", id="a number too large for anything"),
        pytest.param("9007199254740993", "9007199254740992", id="integers that floats confuse"),
        pytest.param("1356998400000000000", "1356998400000000001", id="an instant in nanoseconds"),
        pytest.param("123456789012", "123456789013", id="a count as long as a short digest"),
        pytest.param("123456789012.5", "223456789012.5", id="a long number with a fraction"),
        pytest.param("123456789012", ONE[:12], id="a number becomes a digest"),
        pytest.param("0.5", ONE, id="a figure becomes a digest"),
        pytest.param(ONE, OTHER[:12], id="a digest is cut"),
        pytest.param(ONE, OTHER[:63], id="a digest lost a digit"),
        pytest.param(ONE, OTHER.upper(), id="a digest in capitals"),
        pytest.param(
            f"delay-{ONE[:12]}", f"delay-{OTHER[:12]}", id="a version, which names no file"
        ),
        pytest.param("2013-01-08", "2013-01-09", id="a day"),
        pytest.param("2013-01-08", "2013-1-8", id="a day written otherwise"),
        pytest.param("2013-11-18", "2013-11-19", id="a day without zeros"),
        pytest.param("2013-01-08T12:00:00", "2013-01-08T12:00:01", id="a second"),
        pytest.param("1.5.2", "1.5.3", id="a version of a package"),
        pytest.param("1.2.3.4", "1.2.3.40", id="the last part of a long version"),
        pytest.param("flight 007", "flight 7", id="a code that begins with zeros"),
        pytest.param("0.5 0.5", "0.9 0.50001", id="a large difference before a small one"),
        pytest.param("0.3 0.7", "0.7 0.3", id="two numbers swapped"),
        pytest.param("UA 0.3\nAA 0.7", "AA 0.7\nUA 0.3", id="two rows swapped"),
        pytest.param("# 5", "5 #", id="the sign that stands for a number"),
        pytest.param("5", "#", id="a sign in the place of a number"),
        pytest.param("0.5 0.5", "0.5", id="a number is missing"),
        pytest.param("0.5", "", id="everything is missing"),
        pytest.param("٣", "3", id="a digit of another script"),
    ],
)
def test_texts_that_mean_something_else_are_different(old, new):
    assert (
        answer(compare_texts(old, new, SMALL))
        == answer(compare_texts(new, old, SMALL))
        == "different"
    )


def test_a_text_says_its_largest_difference_and_counts_its_digests():
    told = compare_texts(f"0.5 0.25 {ONE}", f"0.50001 0.25003 {OTHER}", SMALL)
    words = "largest difference of 3 numbers 3.0e-05, 1 digest(s) of compared files"
    assert told == ("within tolerance", words)
    assert "digest" not in compare_texts(f"0.5 {ONE}", f"0.50001 {ONE}", SMALL)[1]
    assert compare_texts("a b", "a c", SMALL) == ("different", "other words")


def test_a_tolerance_of_zero_takes_the_same_number_and_nothing_else():
    assert answer(compare_texts("0.5", "0.50", 0.0)) == "within tolerance"
    assert answer(compare_texts("0.5", "0.5000000000000000001", 0.0)) == "different"


# Tables.


def table(**changes):
    whole = {
        "flight": [1, 2, 3],
        "carrier": ["UA", "9E", None],
        "late": [True, False, True],
        "at": pd.to_datetime(["2013-01-08", "2013-01-09", None]).tz_localize("UTC"),
        "risk": [0.1, 0.2, np.nan],
    }
    return pd.DataFrame({**whole, **changes})


def test_the_same_rows_are_equal_missing_and_infinite_ones_too():
    for risk in ([0.1, np.nan, np.inf], [np.nan] * 3, [np.inf, -np.inf, 0.0]):
        told = compare_tables(table(risk=risk), table(risk=risk), 0.0)
        assert told == ("equal", "the same rows in other bytes")
    assert answer(compare_tables(table()[:0], table()[:0], 0.0)) == "equal"
    assert answer(compare_tables(table()[[]], table()[[]], 0.0)) == "equal"


def test_numbers_within_the_tolerance_are_tolerated_and_the_largest_is_named():
    old = table(base=[0.1, 0.2, 0.3])
    told = compare_tables(old, table(base=[0.1, 0.2, 0.300004], risk=[0.1, 0.200001, np.nan]), 1e-5)
    assert told == ("within tolerance", "2 of 6 columns, largest difference 4.0e-06 in base")


def test_a_difference_beside_infinity_is_seen():
    old, new = table(risk=[np.inf, 0.1, np.nan]), table(risk=[np.inf, 0.2, np.nan])
    told = compare_tables(old, new, 1e-5)
    assert told == ("different", "1 of 5 columns, largest difference 1.0e-01 in risk")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"risk": [0.1, 0.2001, np.nan]}, id="a number beyond the tolerance"),
        pytest.param({"risk": [-0.1, 0.2, np.nan]}, id="a sign"),
        pytest.param({"risk": [0.2, 0.1, np.nan]}, id="two numbers swapped"),
        pytest.param({"risk": [0.1, np.nan, np.nan]}, id="a number is missing"),
        pytest.param({"risk": [0.1, 0.2, 0.3]}, id="a number where there was none"),
        pytest.param({"risk": [0.1, np.inf, np.nan]}, id="infinity"),
        pytest.param({"risk": np.float32([0.1, 0.2, np.nan])}, id="another precision"),
        pytest.param({"risk": ["0.1", "0.2", None]}, id="texts instead of numbers"),
        pytest.param({"flight": [1, 2, 4]}, id="an integer"),
        pytest.param({"flight": [1.0, 2.0, 3.0]}, id="integers as floats"),
        pytest.param({"flight": np.int32([1, 2, 3])}, id="smaller integers"),
        pytest.param({"carrier": ["UA", "9F", None]}, id="a carrier"),
        pytest.param({"carrier": ["UA", "9E", "AA"]}, id="a carrier where there was none"),
        pytest.param({"late": [True, True, True]}, id="a boolean"),
        pytest.param({"late": [1, 0, 1]}, id="booleans as integers"),
        pytest.param({"at": pd.to_datetime(["2013-01-08"] * 3)}, id="instants without a zone"),
        pytest.param({"at": table()["at"] + pd.Timedelta(seconds=1)}, id="a second"),
    ],
)
def test_tables_whose_values_mean_something_else_are_different(changes):
    assert answer(compare_tables(table(), table(**changes), 1e-5)) == "different"
    assert answer(compare_tables(table(**changes), table(), 1e-5)) == "different"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda t: t[:2], "3 rows of 5 columns were recorded, 2 of 5", id="a row"),
        pytest.param(lambda t: t[:0], "3 rows of 5 columns were recorded, 0 of 5", id="all rows"),
        pytest.param(lambda t: t.iloc[[1, 0, 2]], "3 rows", id="two rows swapped"),
        pytest.param(
            lambda t: t.iloc[[1, 0, 2]].reset_index(drop=True), "columns, largest", id="renumbered"
        ),
        pytest.param(lambda t: t.drop(columns="risk"), r"are there; columns \['ris", id="a column"),
        pytest.param(lambda t: t.assign(more=1), r"; columns \['more'\]", id="one column more"),
        pytest.param(lambda t: t.rename(columns={"risk": "r"}), r"\['r', 'risk'\]", id="a name"),
        pytest.param(lambda t: t[sorted(t)], "3 rows of 5 columns", id="another order of columns"),
    ],
)
def test_tables_of_another_shape_are_different_and_say_how(change, words):
    told = compare_tables(table(), change(table()), 1.0)
    assert answer(told) == "different"
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(told[1])


# Short texts.


def test_two_short_texts_are_equal_or_what_the_file_that_they_stand_for_is():
    assert compare_values("train", "model", ONE, ONE).answer == "equal"
    assert compare_values("train", "model", ONE, OTHER).answer == "different"
    assert (
        compare_values("train", "model", ONE, OTHER, "within tolerance").answer
        == "within tolerance"
    )
    assert compare_values("train", "model", ONE, OTHER, "equal").answer == "within tolerance"
    assert compare_values("train", "model", ONE, ONE, "different").answer == "equal"


# The outputs of a rebuilt checkout.


def put(folder, path, value):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, pd.DataFrame):
        value.to_parquet(target, index=False)
    elif isinstance(value, dict):
        for name, content in value.items():
            put(target, name, content)
    else:
        target.write_bytes(value if isinstance(value, bytes) else value.encode())


def kept(path, cache):
    """Put what was recorded into the cache, as DVC does."""
    md5 = dvc_lock.md5(path)
    at = dvc_lock.cache_path(md5, cache)
    at.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        listed = [{"md5": kept(p, cache), "relpath": p.relative_to(path).as_posix()} for p in files]
        at.write_text(json.dumps(listed))
    else:
        shutil.copy(path, at)
    return md5


@pytest.fixture
def rebuild(tmp_path):
    """Makes a checkout as a rebuild leaves it: texts, bytes, tables, folders; None is lost."""

    def made(stage, expected=None, uncached=(), **files):
        """A rebuilt checkout of one stage; each path as it was recorded and as it is now."""
        folder, before, papers = (tmp_path / name for name in ("now", "before", "papers"))
        folder.mkdir()
        outs = {}
        for path, (old, new) in files.items():
            put(before, path, old)
            outs[path] = kept(before / path, folder / ".dvc/cache")
            if path in uncached:
                dvc_lock.cache_path(outs[path], folder / ".dvc/cache").unlink()
                put(papers, path, old)
            if new is not None:
                put(folder, path, new)
        lock = {stage: dvc_lock.Stage({}, {}, outs)}
        return Rebuild(folder, papers, lock, expected or {})

    return made


def only(rebuilt):
    (item,) = compare_outputs(rebuilt, CONFIG)
    return item


PICTURE = b"\x89PNG one", b"\x89PNG other"
FLIGHTS = dict.fromkeys(REQUEST_KEY, 1)


def predictions(**changes):
    return pd.DataFrame([FLIGHTS | {"challenger": 0.25, "logistic": 0.5, **changes}])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics.json", '{"auc": 0.7301}'),
        ("reference.csv", "day,risk\n8,0.25\n"),
        ("verdict.html", "<td>0.7301"),
        ("rows.parquet", table()),
        ("model.onnx", b"bytes"),
        ("roc.png", PICTURE[0]),
        ("figures", {"roc.png": PICTURE[0], "below/one.json": "1"}),
    ],
)
def test_the_same_bytes_are_equal_whatever_the_file_is(rebuild, name, value):
    item = only(rebuild("train", **{f"data/train/{name}": (value, value)}))
    assert (item.stage, item.what, item.answer) == ("train", f"data/train/{name}", "equal")
    assert item.recorded == item.found
    assert item.detail == ""


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("metrics.json", '{"auc": 0.7301}', '{"auc": 0.73014}'),
        ("reference.csv", "day,risk\n8,0.25\n", "day,risk\n8,0.25001\n"),
        ("verdict.html", "<td>0.7301", "<td>0.7302"),
        ("predictions.parquet", table(), table(risk=[0.1, 0.200001, np.nan])),
        ("roc.png", *PICTURE),
        ("figures", {"a.png": PICTURE[0], "b.png": b""}, {"a.png": PICTURE[1], "b.png": b""}),
    ],
)
@pytest.mark.parametrize(
    ("stage", "found"),
    [
        ("train", "within tolerance"),
        ("evaluate", "within tolerance"),
        ("ingest", "different"),
        ("validate", "different"),
        ("features", "different"),
    ],
)
def test_what_is_computed_has_a_tolerance_and_data_and_features_have_none(
    rebuild, name, old, new, stage, found
):
    assert only(rebuild(stage, **{f"data/{stage}/{name}": (old, new)})).answer == found


def test_the_same_rows_in_other_bytes_are_equal_in_every_stage(rebuild):
    shown = table()
    shown.attrs["written"] = "by another version"
    item = only(rebuild("features", **{"data/features/rows.parquet": (table(), shown)}))
    assert (item.answer, item.detail) == ("equal", "the same rows in other bytes")
    assert item.recorded != item.found


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("metrics.json", '{"auc": 0.73}', '{"auc": 0.75}'),
        ("metrics.json", '{"passed": true}', '{"passed": false}'),
        ("reference.csv", "8,UA,0.25\n", "8,AA,0.25\n"),
        ("verdict.html", "<td>pass", "<td>fail"),
        ("predictions.parquet", table(), table(carrier=["UA", "UA", None])),
        ("predictions.parquet", table(), b"no table"),
        ("predictions.parquet", b"no table", table()),
        ("metrics.json", "{}", b"\xff\xfe"),
        ("figures", {"a.json": "1", "b.json": "2"}, {"a.json": "1"}),
        ("figures", {"a.json": "1"}, {"a.json": "1", "b.json": "2"}),
        ("figures", {"a.json": "1"}, {"b.json": "1"}),
        ("figures", {"a.json": "1"}, "a file"),
        ("metrics.json", "{}", {"a.json": "1"}),
        ("metrics.json", "{}", None),
        ("figures", {"a.json": "1"}, None),
    ],
)
def test_what_was_made_otherwise_or_not_at_all_is_different(rebuild, name, old, new):
    item = only(rebuild("train", **{f"data/train/{name}": (old, new)}))
    assert item.answer == "different"
    assert item.detail


def test_a_lost_output_is_told_to_be_lost(rebuild):
    item = only(rebuild("train", **{"data/train/metrics.json": ("{}", None)}))
    assert item.found == "nothing"
    assert item.detail == "it was not written: the DVC pipeline stopped before"


def test_the_worst_file_of_a_folder_decides_and_is_named(rebuild):
    old = {"a.png": PICTURE[0], "b.json": "1", "c.json": "0.5", "d.json": "4"}
    new = {"a.png": PICTURE[1], "b.json": "2", "c.json": "0.50001", "d.json": "4"}
    item = only(rebuild("train", **{"data/train/figures": (old, new)}))
    assert item.answer == "different"
    assert item.detail.startswith("3 of 4 files; b.json: largest difference")


def test_a_folder_that_was_only_listed_otherwise_is_equal(rebuild):
    files = {"a.json": "1", "b.json": "2"}
    rebuilt = rebuild("train", **{"data/train/figures": (files, files)})
    cache = rebuilt.cache
    recorded = rebuilt.lock["train"].outs
    listed = dvc_lock.cache_path(recorded["data/train/figures"], cache)
    recorded["data/train/figures"] = f"{'0' * 32}.dir"
    again = dvc_lock.cache_path(recorded["data/train/figures"], cache)
    again.parent.mkdir(parents=True)
    listed.rename(again)
    assert only(rebuilt).answer == "equal"


@pytest.mark.parametrize("files", [("1", "2"), ({"a.json": "1"}, {"a.json": "2"})])
def test_without_the_recorded_file_other_bytes_are_different(rebuild, files):
    rebuilt = rebuild("train", **{"data/train/figures": files})
    shutil.rmtree(rebuilt.cache)
    item = only(rebuilt)
    assert item.answer == "different"
    assert item.detail == "other bytes, and the recorded file is not available"


def test_a_small_figure_is_compared_with_the_paper_that_holds_it(rebuild):
    path = "data/train/metrics.json"
    rebuilt = rebuild("train", uncached=[path], **{path: ('{"a": 0.5}', '{"a": 0.50001}')})
    assert only(rebuilt).answer == "within tolerance"


def test_what_is_tolerated_says_why_it_differs(rebuild):
    old, new = '{"auc": 0.5}', '{"auc": 0.50001}'
    item = only(rebuild("train", **{"data/train/importance.json": (old, new)}))
    assert item.detail == f"largest difference of 1 numbers 1.0e-05; {WHY['importance.json']}"
    assert WHY.keys() == {name for name in WHY if WHY[name].strip()}


def test_what_differs_gives_no_excuse(rebuild):
    item = only(rebuild("train", **{"data/train/importance.json": ("0.5", "0.6")}))
    assert WHY["importance.json"] not in item.detail


def test_outputs_come_in_the_order_of_the_flow(rebuild):
    rebuilt = rebuild("train", **{f"data/train/{n}.json": ("1", "1") for n in ("z", "a")})
    rebuilt.lock["evaluate"] = dvc_lock.Stage({}, {}, {"data/evaluate/verdict.json": "0" * 32})
    found = [(item.stage, item.what) for item in compare_outputs(rebuilt, CONFIG)]
    assert found == [
        ("train", "data/train/z.json"),
        ("train", "data/train/a.json"),
        ("evaluate", "data/evaluate/verdict.json"),
    ]


# What was changed on purpose.

THREADS = {'"threads": 1': '"threads": 2'}


@pytest.mark.parametrize(
    ("now", "found"), [(2, "within tolerance"), (1, "different"), (3, "different")]
)
def test_what_was_changed_on_purpose_has_to_have_changed(rebuild, now, found):
    old, new = (f'{{"config": "{c}", "threads": {n}}}' for c, n in ((ONE, 1), (OTHER, now)))
    assert (
        only(rebuild("train", THREADS, **{"data/train/training.json": (old, new)})).answer == found
    )


def test_a_change_on_purpose_excuses_nothing_beside_it(rebuild):
    path = "data/train/training.json"
    old, new = '{"seed": 0, "threads": 1}', '{"seed": 1, "threads": 2}'
    assert only(rebuild("train", THREADS, **{path: (old, new)})).answer == "different"


# Models.


def models(rebuild, name, then, now):
    """A model of other bytes, and the predictions that were recorded and that were made."""
    files = {f"data/train/{name}.onnx": (b"old", b"new"), str(PREDICTIONS): (then, now)}
    found = {item.what: item for item in compare_outputs(rebuild("train", **files), CONFIG)}
    return found[f"data/train/{name}.onnx"]


def test_a_model_of_other_bytes_that_predicts_the_same_is_told_so(rebuild):
    item = models(rebuild, "model", predictions(), predictions(logistic=0.1))
    assert (item.answer, item.detail) == ("equal", "other bytes, the same predictions")


@pytest.mark.parametrize(("name", "column"), [("model", "challenger"), ("logistic", "logistic")])
@pytest.mark.parametrize(("by", "found"), [(1e-6, "within tolerance"), (1e-4, "different")])
def test_a_model_is_as_far_as_its_own_predictions(rebuild, name, column, by, found):
    then = predictions()
    item = models(rebuild, name, then, then.assign(**{column: then[column] + by}))
    assert item.answer == found
    assert f"largest difference {by:.1e} in {column}" in item.detail


def test_a_model_that_predicts_other_flights_is_different(rebuild):
    item = models(rebuild, "model", predictions(), predictions(flight=2))
    assert item.answer == "different"


@pytest.mark.parametrize("now", [None, b"no table", predictions().drop(columns="challenger")])
def test_a_model_without_predictions_to_compare_is_different(rebuild, now):
    assert models(rebuild, "model", predictions(), now).answer == "different"


def test_a_model_whose_recorded_predictions_are_lost_is_different(rebuild):
    rebuilt = rebuild("train", **{"data/train/model.onnx": (b"old", b"new")})
    item = only(rebuilt)
    assert item.answer == "different"
    assert item.detail == "other bytes, and no predictions to compare"


def test_the_recorded_predictions_are_found_whatever_stage_is_listed_last(rebuild):
    files = {"data/train/model.onnx": (b"old", b"new"), str(PREDICTIONS): [predictions()] * 2}
    rebuilt = rebuild("train", **files)
    rebuilt.lock["ingest"] = dvc_lock.Stage({}, {}, {})
    assert [item.answer for item in compare_outputs(rebuilt, CONFIG)] == ["equal", "equal"]


def test_every_stage_that_computes_is_a_stage_of_the_graph():
    assert set(compare.COMPUTED) == {"train", "evaluate"}
