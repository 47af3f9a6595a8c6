"""`make image`: a program that builds it, or a refusal that names one; a file without surprises."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules import tree

CONTAINERFILE = tree.read("configs/serve/Containerfile")


def _image(*options: str, path: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path, "PYTHONPATH": "."}
    command = [sys.executable, ".ci/image.py", *options]
    return subprocess.run(
        command, cwd=tree.ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.long
@pytest.mark.parametrize("options", [[], ["--tool=buildah"]])
def test_without_a_program_that_builds_it_says_what_installs_one(
    options: list[str], tmp_path: Path
) -> None:
    done = _image(*options, path=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    wanted = "buildah" if options else "docker, podman, buildah"
    assert done.stderr.startswith(f"image: none of {wanted} is here and answers `info`")
    assert re.search(
        rf"`[^`]*{'buildah' if options else 'podman'}` installs one, then `make image`", done.stderr
    )


def test_a_program_whose_service_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    """Docker's client may be there without its daemon."""
    (tmp_path / "docker").write_text(f"#!{shutil.which('sh')}\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    assert _image(path=str(tmp_path)).stderr.startswith("image: none of docker, podman, buildah")


def test_the_container_has_no_rights_no_model_and_a_health_check() -> None:
    said = dict(re.findall(r"^([A-Z]+) (.+)$", CONTAINERFILE, re.MULTILINE))
    assert said["ARG"].startswith("BASE=")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", said["USER"])
    assert "/v2/health/ready" in CONTAINERFILE.partition("HEALTHCHECK")[2]
    copied = [line.split()[1] for line in re.findall(r"^COPY .+$", CONTAINERFILE, re.MULTILINE)]
    assert copied == ["packages", "pipeline", "configs"]
    assert not re.search(r"\b(pip install|apt-get|curl|ADD)\b", CONTAINERFILE)
