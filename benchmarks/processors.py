"""Are train's and evaluate's outputs the same on every x86-64 processor?

Libraries choose their kernels by the processor: OpenBLAS, NumPy and the C library can be told to
choose as on another one, and an emulator (qemu-user, where it is installed) is another one to ONNX
Runtime too. Each time train and evaluate run in a checkout of their own, and the MD5 of each output
is held against the committed dvc.lock.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.study import ROOT, Watch, kept
from pipeline.__main__ import run_command
from pipeline.shared import dvc_lock
from pipeline.shared.files import read_json
from simulation.sandbox import open_sandbox

NAME = "processors"
STAGES = ("train", "evaluate")
_WITHOUT_AVX2 = "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_ICL"
HASH_SEEDS = (1, 2, 3, 4)
"""Python orders its sets of texts by a seed that it draws at every start."""
SETS: dict[str, dict[str, str]] = {
    "this processor": {},
    "OpenBLAS as on Haswell (AVX2)": {"OPENBLAS_CORETYPE": "Haswell"},
    "OpenBLAS as on Sandy Bridge (AVX)": {"OPENBLAS_CORETYPE": "Sandybridge"},
    "OpenBLAS as on Prescott (SSE3), NumPy without AVX2": {
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": _WITHOUT_AVX2,
    },
    "the C library without AVX2 and FMA": {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F,-AVX2_Usable,-FMA_Usable"
    },
    "two threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    **{f"hash seed {seed}": {"PYTHONHASHSEED": str(seed)} for seed in HASH_SEEDS},
}
EMULATED = {
    f"evaluate on an emulated {name}, NumPy without AVX2": name for name in ("Haswell", "EPYC-Rome")
}
"""Training needs instructions that the emulator of Debian 12 gets wrong: it ends in a crash."""


def ran(folder: Path, stage: str, changes: dict[str, str], before: list[str]) -> None:
    """Run a stage; raises where it fails."""
    module = ["-W", "ignore", "-m", "pipeline", stage]
    command = [sys.executable, *module]
    if before:  # an emulator starts the interpreter itself, not a link to it
        command = [*before, "-0", sys.executable, os.path.realpath(sys.executable), *module]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **changes}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{stage} ended with {done.returncode}: {done.stderr.decode()[-500:]}")


def wanted() -> Iterator[tuple[str, tuple[str, ...], dict[str, str], list[str]]]:
    """Each set: its name, the stages to run, what is changed, and the command before."""
    for name, changes in SETS.items():
        yield name, STAGES, changes, []
    if emulator := shutil.which("qemu-x86_64"):
        for name, processor in EMULATED.items():
            changes = {"NPY_DISABLE_CPU_FEATURES": _WITHOUT_AVX2}
            yield name, ("evaluate",), changes, [emulator, "-cpu", processor]


def main() -> int:
    """Write benchmarks/processors.json after each set; 1 if an output differs anywhere.

    Sets that were tried against the same outputs are not tried again.
    """
    watch, path = Watch(), ROOT / "benchmarks" / f"{NAME}.json"
    locked = dvc_lock.read_lock(Path("dvc.lock"))
    outputs = {out: md5 for stage in STAGES for out, md5 in locked[stage].outs.items()}
    known = read_json(path, NAME) if path.is_file() else {}
    found = dict(known["differ"]) if known.get("outputs") == outputs else {}
    folder, _ = open_sandbox("processors")
    for name, stages, changes, before in wanted():
        if name in found:
            continue
        for stage in stages:
            ran(folder, stage, changes, before)
        found[name] = [out for out, md5 in outputs.items() if dvc_lock.md5(folder / out) != md5]
        kept(NAME, {"outputs": outputs, "sets": len(found), "differ": found})
        watch.said(f"{name}: {len(found[name])} of {len(outputs)} outputs differ {found[name]}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(run_command(main))
