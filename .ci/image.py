"""Build the online server's image by docker, podman or buildah: `make image FROM=IMAGE`.

Packages are fetched here, by uv and this machine's way to a registry, checked by their hashes; the
build copies them and needs no network. What no server imports is left out of them.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from pipeline.__main__ import run_command
from pipeline.registry.release_loader import RELEASES, export
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.errors import EnvironmentUnfit, PipelineError, UsageError, shell_quote
from pipeline.shared.files import file_hash, write_text
from pipeline.shared.loopback import HOST
from pipeline.shared.programs import installing

BUILDERS = ("docker", "podman", "buildah")
"""Programs that build an image, in order of preference."""
CONTAINERFILE = Path("configs/serve/Containerfile")
LOCK = Path("configs/serve/requirements.lock")
CONTEXT = Path("state/image")
STAMP = "lock.txt"
PYTHON = "3.11"
MACHINES = {"x86_64": "x86_64", "AMD64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
UNUSED = "bin **/tests onnx/backend/test feast/ui pyarrow/include pyarrow/src".split()
"""What packages bring along that no server imports."""


def builder(wanted: str | None) -> str:
    """The wanted program, or the first that can build here: docker may lack its daemon.

    Raises:
        EnvironmentUnfit: there is none.
    """
    for name in [wanted] if wanted else BUILDERS:
        ready = [name, "info"]
        if shutil.which(name) and not subprocess.run(ready, capture_output=True).returncode:
            return name
    raise EnvironmentUnfit(
        f"none of {wanted or ', '.join(BUILDERS)} is here and answers `info`, one is needed to "
        f"build an image; `{installing([wanted or 'podman'])}` installs one, then `make image`"
    )


def fetch(packages: Path) -> None:
    """Put the lock's packages into a folder, for a container of this machine's processor.

    Raises:
        EnvironmentUnfit: there is no such container, or a package cannot be had.
    """
    stamp, wanted = packages.with_name(STAMP), f"{file_hash(LOCK)} without {' '.join(UNUSED)}\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    machine = MACHINES.get(platform.machine())
    if machine is None:
        known = ", ".join(sorted(set(MACHINES.values())))
        raise EnvironmentUnfit(
            f"no wheels are locked for a {platform.machine()}, only for {known}: build on one"
        )
    shutil.rmtree(packages, ignore_errors=True)
    uv = [sys.executable, "-I", ".ci/registry.py", "pip", "install", "--quiet", "--no-deps"]
    checked = ["--require-hashes", "--only-binary", ":all:", "--link-mode", "copy"]
    there = ["--python-version", PYTHON, "--python-platform", f"{machine}-manylinux_2_28"]
    target = ["--target", str(packages), "--requirement", str(LOCK)]
    done = subprocess.run([*uv, *checked, *there, *target], capture_output=True, text=True)
    if done.returncode:
        said = " ".join(done.stderr.split())[-600:]
        raise EnvironmentUnfit(
            f"the packages of {LOCK} cannot be fetched: {said}; `make setup` says how a company's "
            "registry is named, then `make image`"
        )
    for found in [path for pattern in UNUSED for path in packages.glob(pattern)]:
        shutil.rmtree(found, ignore_errors=True)
    write_text(stamp, wanted)


def assemble(context: Path) -> None:
    """The build's context: packages, code and configs, readable by every account."""
    for name in ("pipeline", "configs"):
        shutil.rmtree(context / name, ignore_errors=True)
        left_out = shutil.ignore_patterns("__pycache__", "*.pyc", "*.lock", "Containerfile")
        shutil.copytree(name, context / name, ignore=left_out)
    for path in [context, *context.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))


def build(program: str, base: str | None, tag: str) -> None:
    """Build the image, without a network.

    Raises:
        EnvironmentUnfit: the program failed; what it said is above.
    """
    # A build that is isolated by chroot alone has no network of its own to be cut off from.
    network = "host" if os.environ.get("BUILDAH_ISOLATION") == "chroot" else "none"
    options = ["--network", network, "--file", str(CONTAINERFILE), "--tag", tag]
    options += ["--build-arg", f"BASE={base}"] if base else []
    # OCI's own format has no health check.
    options += ["--format", "docker"] if program != "docker" else []
    done = subprocess.run([program, "build", *options, str(CONTEXT)])
    if done.returncode:
        raise EnvironmentUnfit(
            f"{program} ended with {done.returncode}, wanted is 0; what it said is above; another "
            "base with Python 3.11 is named by `make image FROM=IMAGE`"
        )


def advice(program: str, tag: str) -> str:
    """The command that runs the image on the champion's release, which is exported for it."""
    try:
        digest = export("champion")
    except (PipelineError, UsageError) as refusal:
        return f"no champion to serve: {refusal}"
    published = f"--publish {HOST}:{load(ServeConfig).port}:8080 --user $(id -u)"
    mounted = f"--volume {shell_quote(RELEASES.absolute())}:/app/{RELEASES}:ro"
    engine = "podman" if program == "buildah" else program
    return f"{engine} run {published} {mounted} {tag} --version={digest}"


def main() -> int:
    """0 with the image built, 2 where it cannot be."""
    parser = argparse.ArgumentParser(prog="image")
    parser.add_argument("--from", dest="base", default=None, help="an image with Python 3.11")
    parser.add_argument("--tool", default=None, choices=BUILDERS, help="what builds it")
    given, began = parser.parse_args(), time.monotonic()
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    tag = f"{project['name']}-server:{project['version']}"
    try:
        program = builder(given.tool)
        fetch(CONTEXT / "packages")
        assemble(CONTEXT)
        build(program, given.base, tag)
    except (PipelineError, UsageError) as refusal:
        print(f"image: {refusal}", file=sys.stderr)
        return refusal.exit_code
    took = time.monotonic() - began
    print(f"image: {tag} built by {program} in {took:.0f} s", flush=True)
    print(f"image: {advice(program, tag)}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
