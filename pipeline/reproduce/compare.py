"""Comparison of rebuilt outputs with the recorded ones: equal, within tolerance, or different.

Outputs are compared as files, without the code that wrote them: an old version may have had other
record formats and other features. Equal means equal bytes or equal rows. Only the results of
training and evaluation have a tolerance; data and features have none.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.features.definitions import REQUEST_KEY
from pipeline.shared import dvc_lock, files
from pipeline.shared.config.reproduce import ReproduceConfig
from pipeline.shared.contracts import EVALUATE, Record

PREDICTIONS = EVALUATE / "predictions.parquet"
Answer = Literal["equal", "within tolerance", "different"]
COMPUTED = ("train", "evaluate")
"""The stages whose floating-point results may differ on another processor."""
WHY = {
    "logistic.onnx": "a linear solver adds in another order on a processor that is not x86-64",
    "importance.json": "means of logarithms, which vector instructions round each in their way",
    "training.json": "holds digests and rounding errors of the models beside it",
    "metrics.json": "holds differences to the linear baseline",
    "verdict.json": "holds differences to the linear baseline",
    "verdict.html": "shows verdict.json",
    "predictions.parquet": "holds the predictions of the linear baseline too",
    "figures": "pictures, drawn from what is compared itself",
}
"""Outputs that are not reproduced bit by bit on every machine, and the reason."""
_DIGEST = re.compile(r"(?=[0-9]*[a-f])[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{64}")
_NUMBER = r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_TOKEN = re.compile(rf"(?<!\w)(?<!\w[.-])(?:{_DIGEST.pattern}|{_NUMBER})(?!\w)")
"""A number or digest by itself; digits within a name, or joined to one, belong to it."""
_PICTURES = {".png"}


class ComparedItem(Record):
    """One comparison: the recorded value, the rebuilt one, and the answer."""

    stage: str
    what: str
    answer: Answer
    recorded: str
    found: str
    detail: str = ""


@dataclass(frozen=True)
class Rebuild:
    """A checkout in which the DVC pipeline ran again, and the release to compare it with."""

    folder: Path
    release_folder: Path
    lock: dict[str, dvc_lock.Stage]
    expected: dict[str, str]
    """Texts that were changed on purpose: the recorded text, and the text expected now."""

    @property
    def cache(self) -> Path:
        """The DVC cache with the recorded outputs."""
        return self.folder / ".dvc/cache"

    def recorded_file(self, path: str, md5: str) -> Path:
        """The recorded file: a small one from the release, any other from the DVC cache."""
        paper = self.release_folder / path
        return paper if paper.is_file() else dvc_lock.cache_path(md5, self.cache)


def compare_outputs(rebuilt: Rebuild, config: ReproduceConfig) -> list[ComparedItem]:
    """Compare every output of every stage with the recorded one, in the order of the pipeline."""
    return [
        _output(rebuilt, config, stage, path, md5)
        for stage, entry in rebuilt.lock.items()
        for path, md5 in entry.outs.items()
    ]


def compare_values(
    stage: str, what: str, recorded: str, found: str, otherwise: Answer = "different"
) -> ComparedItem:
    """Compare two short texts, such as digests; `otherwise` is the answer if they differ."""
    answer = "equal" if recorded == found else otherwise
    if answer == "equal" and recorded != found:
        answer = "within tolerance"  # the same rows in other bytes
    return ComparedItem(stage=stage, what=what, answer=answer, recorded=recorded, found=found)


def _output(
    rebuilt: Rebuild, config: ReproduceConfig, stage: str, path: str, md5: str
) -> ComparedItem:
    found = dvc_lock.md5(rebuilt.folder / path)
    if found == md5:
        return compare_values(stage, path, md5, found)
    answer, detail = _content(rebuilt, config, stage, path, md5)
    why = WHY.get(Path(path).name, "") if answer == "within tolerance" else ""
    detail = f"{detail}; {why}" if why else detail
    found = found or "nothing"
    return ComparedItem(
        stage=stage, what=path, answer=answer, recorded=md5, found=found, detail=detail
    )


def _content(
    rebuilt: Rebuild, config: ReproduceConfig, stage: str, path: str, md5: str
) -> tuple[Answer, str]:
    """Compare files or folders whose bytes differ."""
    new = rebuilt.folder / path
    is_folder = md5.endswith(".dir")
    if not (new.is_dir() if is_folder else new.is_file()):
        return "different", "it was not written: the DVC pipeline stopped before"
    old = rebuilt.recorded_file(path, md5)
    if not old.is_file():
        return "different", "other bytes, and the recorded file is not available"
    if is_folder:
        return _folder(rebuilt, config, stage, path, md5)
    tolerances = (config.prediction_tolerance, config.figure_tolerance)
    predictions, figures = tolerances if stage in COMPUTED else (0.0, 0.0)
    try:
        return _file(rebuilt, old, path, predictions, figures)
    except ValueError as error:
        return "different", f"other bytes, and one cannot be read ({str(error).splitlines()[0]})"


def _file(
    rebuilt: Rebuild, old: Path, path: str, predictions: float, figures: float
) -> tuple[Answer, str]:
    new, kind = rebuilt.folder / path, Path(path).suffix
    if kind == ".parquet":
        return compare_tables(pd.read_parquet(old), pd.read_parquet(new), predictions)
    if kind == ".onnx":
        return _models(rebuilt, Path(path).stem, predictions)
    if kind in _PICTURES:
        return "within tolerance" if figures else "different", "other bytes"
    recorded = old.read_text(encoding="utf-8")
    for was, now in rebuilt.expected.items():
        recorded = recorded.replace(was, now)
    return compare_texts(recorded, new.read_text(encoding="utf-8"), figures)


def _folder(
    rebuilt: Rebuild, config: ReproduceConfig, stage: str, path: str, md5: str
) -> tuple[Answer, str]:
    old = dvc_lock.cached_members(md5, rebuilt.cache)
    folder = rebuilt.folder / path
    new = {path.relative_to(folder).as_posix() for path in files.members(folder)}
    if new != old.keys():
        return "different", f"{len(old)} files were recorded, {len(new)} are there"
    found = [
        (name, _content(rebuilt, config, stage, f"{path}/{name}", member))
        for name, member in old.items()
        if dvc_lock.md5(folder / name) != member
    ]
    if not found:
        return "equal", "the same files, listed otherwise"
    worst = max(found, key=lambda one: _rank(one[1][0]))
    return worst[1][0], f"{len(found)} of {len(old)} files; {worst[0]}: {worst[1][1]}"


def _rank(answer: Answer) -> int:
    return ("equal", "within tolerance", "different").index(answer)


def compare_tables(old: pd.DataFrame, new: pd.DataFrame, tolerance: float) -> tuple[Answer, str]:
    """Compare two tables: the same columns and rows, and numbers within `tolerance`."""
    if list(old) != list(new) or not old.index.equals(new.index):
        extra = sorted(map(str, set(old) ^ set(new)))
        return "different", (
            f"{len(old):,} rows of {old.shape[1]} columns were recorded, {len(new):,} of "
            f"{new.shape[1]} are there{f'; columns {extra[:5]}' if extra else ''}"
        )
    apart = {str(name): _largest_difference(old[name], new[name]) for name in old}
    largest = max(apart, key=lambda name: apart[name], default="")
    if not largest or apart[largest] == 0:
        return "equal", "the same rows in other bytes"
    differing = sum(value > 0 for value in apart.values())
    detail = f"{differing} of {len(apart)} columns, largest difference {apart[largest]:.1e}"
    answer: Answer = "within tolerance" if apart[largest] <= tolerance else "different"
    return answer, f"{detail} in {largest}"


def _largest_difference(old: pd.Series, new: pd.Series) -> float:
    """The largest difference of two columns; infinite if they cannot be subtracted."""
    if old.dtype != new.dtype or (old.isna() != new.isna()).any():
        return float("inf")
    if not pd.api.types.is_float_dtype(old.dtype):
        return 0.0 if old.equals(new) else float("inf")
    was, now = old.to_numpy("float64"), new.to_numpy("float64")
    differing = (was != now) & ~np.isnan(was)
    return float(np.abs(was[differing] - now[differing]).max(initial=0.0))


def _models(rebuilt: Rebuild, name: str, tolerance: float) -> tuple[Answer, str]:
    """Compare models by their predictions, since equal models may have other bytes."""
    column = "challenger" if name == "model" else name
    path = str(PREDICTIONS)
    md5 = next((e.outs[path] for e in rebuilt.lock.values() if path in e.outs), "")
    old, new = rebuilt.recorded_file(path, md5), rebuilt.folder / path
    if not (md5 and old.is_file() and new.is_file()):
        return "different", "other bytes, and no predictions to compare"
    columns = [*REQUEST_KEY, column]
    answer, detail = compare_tables(
        pd.read_parquet(old, columns=columns), pd.read_parquet(new, columns=columns), tolerance
    )
    same_predictions = "other bytes, the same predictions"
    return (answer, same_predictions) if answer == "equal" else (answer, f"predictions: {detail}")


def compare_texts(old: str, new: str, tolerance: float) -> tuple[Answer, str]:
    """Compare two texts: the same words, and numbers within `tolerance`.

    Digests stand for files that are compared themselves, so differing digests are only counted.
    """
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if _TOKEN.split(old) != _TOKEN.split(new):
        return "different", "other words"
    digests, largest = 0, 0.0
    for was, now in zip(before, after, strict=True):
        if was == now:
            continue
        if len(was) == len(now) and _DIGEST.fullmatch(was) and _DIGEST.fullmatch(now):
            digests += 1
        else:
            largest = max(largest, _distance(was, now))
    follow = f", {digests} digest(s) of compared files" if digests else ""
    answer: Answer = "within tolerance" if largest <= tolerance else "different"
    return answer, f"largest difference of {len(before):,} numbers {largest:.1e}{follow}"


def _distance(was: str, now: str) -> float:
    """The exact difference of two numbers: as floats, two large ones may be equal."""
    try:
        return float(abs(Decimal(was) - Decimal(now)))
    except ArithmeticError:  # one is a digest, or larger than anything
        return float("inf")
