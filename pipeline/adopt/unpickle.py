"""A child that loads one pickle and says what it is: kind, arguments, inputs, and its ONNX parity.

Only classes of scikit-learn, NumPy and SciPy are looked up: whatever else a pickle names ends the
child before it is called. That narrows what a pickle can do and is no proof of its good faith; the
owner's word is asked for before this runs.
"""

import contextlib
import inspect
import io
import json
import pickle
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from joblib.numpy_pickle import NumpyUnpickler

from pipeline.__main__ import run_command
from pipeline.adopt.recipe import KINDS, LINEAR
from pipeline.models import onnx_export
from pipeline.shared.errors import ParityFailed

MODULES = ("sklearn", "numpy", "scipy", "joblib.numpy_pickle", "_codecs")
BUILTINS = frozenset("set frozenset dict list tuple bytearray complex object slice range".split())
COMMON = {"collections": {"OrderedDict", "defaultdict"}, "copyreg": {"_reconstructor"}}
_TOLERANCE, _SINGLE = 1e-5, 1e-4
"""Differences allowed of trees, and of kinds that compute in single precision as they are."""
_MEMORY_BYTES = 8 << 30
_ROWS = 5_000


class RestrictedUnpickler(NumpyUnpickler):  # type: ignore[misc]
    """An unpickler, of joblib's files too, that looks up few classes."""

    def find_class(self, module: str, name: str) -> Any:
        """The class, if it may be looked up.

        Raises:
            pickle.UnpicklingError: it is none of them.
        """
        allowed = module.split(".")[0] in MODULES or module in MODULES
        allowed |= module == "builtins" and name in BUILTINS
        allowed |= name in COMMON.get(module, ())
        if not allowed or name.startswith("__") or "test" in module:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


def _describe(path: Path, table: Path, names: list[str]) -> dict[str, Any]:
    """The description of a pickle; `names` are the numeric columns of the table, in order."""
    content = path.read_bytes()
    fitted = RestrictedUnpickler(
        str(path), io.BytesIO(content), ensure_native_byte_order=True
    ).load()
    inner = getattr(fitted, "best_estimator_", fitted)
    last = inner.steps[-1][1] if hasattr(inner, "steps") else inner
    kind = type(last).__name__
    inputs = [str(one) for one in getattr(inner, "feature_names_in_", [])]
    found: dict[str, Any] = {
        "kind": kind,
        "module": type(last).__module__,
        "arguments": _arguments(last) if kind in KINDS else {},
        "classes": [str(one) for one in getattr(last, "classes_", [])],
        "inputs": inputs or None,
        "count": int(getattr(inner, "n_features_in_", len(inputs))),
        "parity": None,
    }
    if kind in KINDS and len(found["classes"]) == 2:
        found |= _parity(inner, kind, table, inputs or names, found["count"])
    return found


def _arguments(last: Any) -> dict[str, Any]:
    """The arguments that are not the kind's own defaults."""
    defaults = inspect.signature(type(last)).parameters
    given = last.get_params(deep=False).items()
    plain = (str, int, float, bool, type(None))
    return {n: v for n, v in given if isinstance(v, plain) and v != defaults[n].default}


def _parity(fitted: Any, kind: str, table: Path, names: list[str], count: int) -> dict[str, Any]:
    """The largest difference between the model and its ONNX form on rows of the table."""
    rows = pd.read_csv(table, nrows=_ROWS)
    columns = {one: one for one in rows.columns}
    from pipeline.tabular.declaration import identifier

    numeric = rows.rename(columns=identifier)[
        [identifier(one) for one in names if identifier(one) in map(identifier, columns)]
    ].select_dtypes("number")
    if numeric.shape[1] != count:
        return {"why": f"it takes {count} inputs, {numeric.shape[1]} of them are numbers here"}
    inputs = numeric.dropna().to_numpy("float32")
    with tempfile.TemporaryDirectory() as folder:
        try:
            _, worst = onnx_export.save(
                fitted,
                names,
                inputs,
                Path(folder) / "m.onnx",
                _SINGLE if kind in LINEAR else _TOLERANCE,
            )
        except ParityFailed as failed:
            return {"failed": str(failed)}
    return {"parity": worst, "rows": len(inputs)}


def main() -> int:
    """Describe the pickle that the arguments name, within a limit of memory."""
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    print(json.dumps(_describe(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
