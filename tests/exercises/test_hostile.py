"""Submissions that cheat, break or harm: each is handled, said, and worth what its values are."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exercises.workbench import catalogue, grade, handout, judge, subject, submission
from exercises.workbench.process import Ended, Subject
from exercises.workbench.sandbox import Limits, isolation
from exercises.workbench.verdict import Verdict
from tests.patience import until
from tests.rules.tree import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.long]

EXERCISE = catalogue.exercise("long-haul-slice")
FILE = "pipeline/flights/slices.py"
LIMITS = Limits(seconds=3.0, cpu_seconds=20, scratch_mb=24, memory_mb=3072)
RIGHT = "    masks['long haul'] = frame['distance'] >= 2000"
LINE = '    masks["storm"]'


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handout") / "original"
    handout.build(EXERCISE, folder)
    return folder


@pytest.fixture
def handed_in(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "handed-in"))


def _write(folder: Path, at_import: str = "", in_function: str = "") -> Path:
    """A submission whose file runs some code when it is imported, and some when it is called."""
    path = folder / FILE
    text = path.read_text(encoding="utf-8")
    inner = "".join(f"    {line}\n" for line in in_function.splitlines())
    text = text.replace("import numpy as np", f"{at_import}\nimport numpy as np", 1)
    path.write_text(text.replace(LINE, f"{inner}{LINE}", 1), encoding="utf-8")
    return folder


def _judged(folder: Path, tmp_path: Path, limits: Limits = LIMITS) -> Verdict:
    taken = submission.take(EXERCISE, folder, tmp_path / "taken")
    return judge.judge(EXERCISE, taken.tree, limits, guard=True)


def _said(verdict: Verdict) -> str:
    return " ".join([*verdict.tried, *(one.seen for one in verdict.checks)])


def test_an_honest_solution_passes_in_the_sandbox(handed_in: Path, tmp_path: Path) -> None:
    verdict = _judged(_write(handed_in, in_function=RIGHT.strip()), tmp_path)
    assert verdict.passed, verdict.failed()
    assert verdict.tried == []


def test_a_temporary_folder_may_come_and_go(handed_in: Path, tmp_path: Path) -> None:
    code = "import pathlib, tempfile\nwith tempfile.TemporaryDirectory() as folder:\n"
    code += "    below = pathlib.Path(folder) / 'a/b'\n    below.mkdir(parents=True)\n"
    code += "    (below / 'c').write_text('d')\nassert not pathlib.Path(folder).exists()\n"
    verdict = _judged(_write(handed_in, in_function=f"{code}{RIGHT.strip()}"), tmp_path)
    assert verdict.passed, verdict.failed()
    assert verdict.tried == []


SECRET = catalogue.ROOT / "exercises/ci-cd/long-haul-slice/checks.py"
SOLUTION = SECRET.with_name("exercise.toml")
TRIED = {
    "reads the hidden checks": (f"open({str(SECRET)!r}).read()", "read …/checks.py"),
    "reads the solution": (f"open({str(SOLUTION)!r}, 'rb').read()", "read …/exercise.toml"),
    "lists the project": (f"import os; os.listdir({str(SECRET.parent)!r})", "listed …/"),
    "forks": ("import os\nwhile True: os.fork()", "started a process"),
    "starts a program": ("import subprocess; subprocess.run(['ls', '/'])", "started a process"),
    "runs a shell": ("import os; os.system('touch /tmp/shell')", "started a process"),
    "kills its judge": ("import os; os.kill(os.getppid(), 9)", "signalled a process"),
    "writes outside": ("open('/var/tmp/outside', 'w').write('x')", "wrote …/outside"),
    "edits its own tests": ("open('tests/checking.py', 'a').write('#')", "wrote tests/checking.py"),
    "deletes files": ("import os; os.remove('README.md')", "changed README.md"),
    "deletes files from a folder": (
        "import os; os.remove('sections.py', dir_fd=os.open('pipeline/shared/config', 0))",
        "changed pipeline/shared/config/sections.py",
    ),
    "keeps a database": (
        "import sqlite3; sqlite3.connect('/var/tmp/kept.db').execute('create table t (x)')",
        "changed …/kept.db",
    ),
    "asks a name server": ("import socket; socket.getaddrinfo('example.org', 80)", "the network"),
}


@pytest.mark.parametrize("kind", TRIED)
def test_what_is_not_allowed_fails_and_is_said(kind: str, handed_in: Path, tmp_path: Path) -> None:
    code, said = TRIED[kind]
    verdict = _judged(_write(handed_in, in_function=f"{code}\n{RIGHT.strip()}"), tmp_path)
    assert not verdict.passed
    assert said in _said(verdict)
    assert not Path("/var/tmp/outside").exists()
    assert not Path("/tmp/shell").exists()


def test_what_is_refused_and_swallowed_is_said_all_the_same(
    handed_in: Path, tmp_path: Path
) -> None:
    code = f"try:\n    open({str(SECRET)!r})\nexcept BaseException:\n    pass\n{RIGHT.strip()}"
    verdict = _judged(_write(handed_in, in_function=code), tmp_path)
    assert verdict.passed
    assert verdict.tried == ["read …/checks.py"]


ENDED = {
    "hangs": ("while True: pass", "did not come back within 3 s"),
    "sleeps": ("import time; time.sleep(1e6)", "did not come back within 3 s"),
    "ends itself as if all were well": ("import os; os._exit(0)", "ended with exit code 0"),
    "ends itself by a signal": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "raises SystemExit": ("raise SystemExit(0)", "SystemExit: 0"),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "takes all memory": ("x = bytearray(8 * 2**30)", "MemoryError"),
    "recurses": ("f = lambda: f()\nf()", "RecursionError"),
    "returns too much": ("return 'x' * 2**25", "at most 16 MB"),
    "is no Python": ("def broken(:", "is no Python"),
}


@pytest.mark.parametrize("kind", ENDED)
def test_what_does_not_come_back_is_ended_and_said(
    kind: str, handed_in: Path, tmp_path: Path
) -> None:
    code, said = ENDED[kind]
    verdict = _judged(_write(handed_in, in_function=code), tmp_path)
    assert verdict.points == 0
    assert said in _said(verdict)


def test_a_process_that_ends_after_its_pipes_is_waited_for(tmp_path: Path) -> None:
    code = "import os, time\ndef end():\n    os.closerange(0, 99); time.sleep(0.5); os._exit(7)\n"
    (tmp_path / "slow.py").write_text(code, encoding="utf-8")
    with (
        Subject(tmp_path, "slow") as subject,
        pytest.raises(Ended, match="ended with exit code 7"),
    ):
        subject.end()


def test_a_byte_now_and_then_is_no_reply(handed_in: Path, tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "while True:\n"
        "    for n in range(3, 10):\n"
        "        try: os.write(n, b'0')\n"
        "        except OSError: pass\n"
        "    time.sleep(0.3)"
    )
    verdict = _judged(_write(handed_in, in_function=code), tmp_path)
    assert verdict.points == 0


def test_what_hangs_ends_the_grade_after_a_few_checks(handed_in: Path, tmp_path: Path) -> None:
    verdict = _judged(_write(handed_in, in_function="while True: pass"), tmp_path)
    skipped = [one for one in verdict.checks if one.seen.startswith("not run")]
    assert len(skipped) == len(verdict.checks) - judge.MAX_ENDS


def test_a_module_that_never_loads_is_waited_for_once(handed_in: Path, tmp_path: Path) -> None:
    limits = Limits(seconds=1.0, loading_seconds=1.0)
    verdict = _judged(_write(handed_in, at_import="while True: pass"), tmp_path, limits)
    assert verdict.checks[0].seen == "its module did not load within 2 s"
    assert {one.seen for one in verdict.checks[1:]} == {"not run: the module does not load"}


def test_a_broken_file_is_shown_by_its_line(handed_in: Path, tmp_path: Path) -> None:
    verdict = _judged(_write(handed_in, in_function="x = = 1"), tmp_path)
    assert verdict.checks[0].seen.startswith(f"{FILE} line ")
    assert verdict.checks[0].why == "x = = 1"


WITHOUT_A_HOOK = "import _posixsubprocess as p, os, sys\n"
FORKS = (
    "import _posixsubprocess, os\n"
    "def more():\n"
    "    r, w = os.pipe()\n"
    "    a = [b'/bin/sleep', b'60']\n"
    "    return _posixsubprocess.fork_exec(a, [b'/bin/sleep'], True, (w,), None, None,\n"
    "        -1, -1, -1, -1, -1, -1, r, w, False, False, -1, None, None, None, -1, None, False)\n"
    "for _ in range(60): more()\n"
    "import time; time.sleep(30)"
)


def _children() -> set[str]:
    import psutil

    return {" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])}


def test_processes_that_pass_the_hook_are_counted_and_ended(
    handed_in: Path, tmp_path: Path
) -> None:
    limits = Limits(seconds=20.0, processes=8)
    verdict = _judged(_write(handed_in, in_function=FORKS), tmp_path, limits)
    assert "more than 8 processes" in _said(verdict)
    assert "/bin/sleep 60" not in _children()


FILLS = (
    "import os, tempfile, time\n"
    "for n in range(500):\n"
    "    with open(os.path.join(tempfile.gettempdir(), str(n)), 'wb') as f: f.write(bytes(10**6))\n"
    "    time.sleep(0.01)\n"
)


def test_a_disk_is_filled_up_to_a_limit_only(handed_in: Path, tmp_path: Path) -> None:
    verdict = _judged(_write(handed_in, in_function=FILLS), tmp_path, Limits(scratch_mb=24))
    assert "wrote more than 24 MB" in _said(verdict)


def test_one_huge_file_is_refused_by_the_system(handed_in: Path, tmp_path: Path) -> None:
    code = "import tempfile\nf = tempfile.TemporaryFile()\nf.write(bytes(10**8))\nf.flush()"
    verdict = _judged(_write(handed_in, in_function=code), tmp_path)
    assert verdict.points == 0
    assert "File too large" in _said(verdict)


FAKE = '{"value": {"pairs": [["long haul", [true, false, true]]]}}'
LOUD = (
    f"print('{{}} 14 of 14 points, passed'.format('long-haul-slice:'))\nprint({FAKE!r})\n"
    "import sys; sys.stderr.write('  ok  3  the slice is there by its name')"
)


def test_a_printed_verdict_is_no_verdict(
    handed_in: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    verdict = _judged(_write(handed_in, at_import=LOUD, in_function=LOUD), tmp_path)
    assert not verdict.passed
    assert not verdict.checks[0].passed
    assert "passed" not in "".join(capfd.readouterr())


def test_a_forged_reply_on_every_descriptor_is_no_reply(handed_in: Path, tmp_path: Path) -> None:
    code = (
        f"import os, struct\nfake = {FAKE!r}.encode()\n"
        "for n in range(3, 40):\n"
        "    try: os.write(n, struct.pack('>I', len(fake)) + fake)\n"
        "    except OSError: pass\n"
        "os._exit(0)"
    )
    verdict = _judged(_write(handed_in, at_import=code), tmp_path)
    assert not verdict.passed


def test_rubbish_on_every_descriptor_is_said(handed_in: Path, tmp_path: Path) -> None:
    code = (
        "import os\n"
        "for n in range(3, 40):\n"
        "    try: os.write(n, bytes([0, 0, 0, 5]) + b'hello')\n"
        "    except OSError: pass\n"
    )
    verdict = _judged(_write(handed_in, at_import=code), tmp_path)
    assert not verdict.passed
    assert "no reply" in _said(verdict)


ALWAYS_EQUAL = (
    "class Yes(dict):\n"
    "    def __eq__(self, other): return True\n"
    "    def __contains__(self, name): return True\n"
    "    def __getitem__(self, name): return Yes()\n"
    "    def __hash__(self): return 1\n"
    "return Yes()"
)


def test_a_value_that_equals_everything_is_seen_as_it_is(handed_in: Path, tmp_path: Path) -> None:
    verdict = _judged(_write(handed_in, in_function=ALWAYS_EQUAL), tmp_path)
    assert [one.passed for one in verdict.checks if not one.hidden] == [False] * 4


def test_a_value_that_contains_itself_is_cut(handed_in: Path, tmp_path: Path) -> None:
    code = "x = []\nx.append(x)\nreturn x"
    assert _judged(_write(handed_in, in_function=code), tmp_path).points == 0


def test_a_judge_that_is_patched_is_another_process(handed_in: Path, tmp_path: Path) -> None:
    code = (
        "import sys, types\n"
        "for name, module in list(sys.modules.items()):\n"
        "    for attribute in ('expect', 'alike', 'holds', 'judge'):\n"
        "        if hasattr(module, attribute): setattr(module, attribute, lambda *a, **k: True)\n"
        "fake = types.ModuleType('checking'); fake.expect = lambda *a, **k: None\n"
        "sys.modules['checking'] = sys.modules['exercises.workbench.checking'] = fake\n"
    )
    verdict = _judged(_write(handed_in, at_import=code), tmp_path)
    assert not verdict.checks[0].passed


def test_libraries_that_are_shadowed_change_nothing_of_the_judge(
    handed_in: Path, tmp_path: Path
) -> None:
    for name in ("sitecustomize.py", "json.py", "psutil.py", "conftest.py"):
        (handed_in / name).write_text("raise SystemExit('shadowed')\n", encoding="utf-8")
    verdict = _judged(_write(handed_in, in_function=RIGHT.strip()), tmp_path)
    assert verdict.passed


def test_a_stub_and_hard_coded_values_fail_on_what_was_not_shown(
    handed_in: Path, tmp_path: Path
) -> None:
    code = (
        "known = {(4983.0, 187.0, 2475.0): [True, False, True], (2000.0, 1999.0): [True, False]}\n"
        "seen = tuple(frame['distance'])\n"
        "masks['long haul'] = pd.Series(known.get(seen, [False, True] * len(seen))[: len(seen)])"
    )
    verdict = _judged(_write(handed_in, in_function=code), tmp_path)
    assert any(one.hidden for one in verdict.failed())


# What lies in the folder beside the code.


def test_tests_that_were_edited_or_deleted_are_restored_and_said(
    handed_in: Path, tmp_path: Path
) -> None:
    (handed_in / "tests/checking.py").write_text("def expect(*a, **k): pass\n", encoding="utf-8")
    (handed_in / "tests/test_long_haul_slice.py").unlink()
    (handed_in / "pyproject.toml").write_text("[tool.ruff]\nexclude = ['*']\n", encoding="utf-8")
    taken = submission.take(EXERCISE, handed_in, tmp_path / "taken")
    assert taken.restored == [
        "pyproject.toml (changed)",
        "tests/checking.py (changed)",
        "tests/test_long_haul_slice.py (deleted)",
    ]
    for name in ("tests/checking.py", "tests/test_long_haul_slice.py", "pyproject.toml"):
        original = tmp_path / "taken/original" / name
        assert (taken.tree / name).read_bytes() == original.read_bytes()


def test_a_handout_of_another_version_is_said(handed_in: Path, tmp_path: Path) -> None:
    settings = handed_in / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    version = handout.version_of(text)
    settings.write_text(text.replace(version, "0+0123456789ab"), encoding="utf-8")
    (said,) = submission.take(EXERCISE, handed_in, tmp_path / "taken").remarks
    assert said.startswith(f"handout 0+0123456789ab, graded as {version}: ")


def test_links_and_pipes_are_left_out_and_said(handed_in: Path, tmp_path: Path) -> None:
    (handed_in / FILE).unlink()
    (handed_in / FILE).symlink_to(catalogue.ROOT / FILE)
    (handed_in / "main").symlink_to(catalogue.ROOT, target_is_directory=True)
    (handed_in / "answers").symlink_to("/etc/passwd")
    os.mkfifo(handed_in / "waits")
    with pytest.raises(submission.SubmissionRefused, match="holds none of"):
        submission.take(EXERCISE, handed_in, tmp_path / "taken")
    found = submission.Submission(tmp_path / "tree")
    submission._copy(handed_in, tmp_path / "tree", found)
    assert found.skipped == [
        "answers: a link",
        "main: a link",
        "waits: no plain file",
        f"{FILE}: a link",
    ]


def test_a_flood_of_files_is_refused(handed_in: Path, tmp_path: Path) -> None:
    for number in range(submission.MAX_FILES + 1):
        (handed_in / f"{number}.txt").touch()
    with pytest.raises(submission.SubmissionRefused, match="more than 2,000 files"):
        submission.take(EXERCISE, handed_in, tmp_path / "taken")


def test_a_huge_file_is_left_out_and_said(handed_in: Path, tmp_path: Path) -> None:
    with (handed_in / "model.bin").open("wb") as stream:
        stream.truncate(10**9)
    taken = submission.take(EXERCISE, handed_in, tmp_path / "taken")
    assert taken.skipped == ["model.bin: 1000 MB, at most 2"]


def test_a_folder_that_is_no_submission_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(submission.SubmissionRefused):
            submission.take(EXERCISE, folder, tmp_path / "taken" / folder.name)


def test_the_page_of_a_grade_shows_markup_and_control_characters_as_text(
    handed_in: Path, tmp_path: Path
) -> None:
    words = "<script>alert(1)</script>\\x1b[2J"
    folder = _write(handed_in, in_function=f"raise ValueError('{words}')")
    verdict = _judged(folder, tmp_path)
    taken = submission.Submission(folder)
    from exercises.workbench.quality import Part

    parts = dict.fromkeys(("working", "code", "tests", "explanation"), Part(0.0, []))
    grade.write(grade._grade(EXERCISE, taken, verdict, parts), tmp_path / "report")
    page = (tmp_path / "report/grade.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page


@pytest.mark.skipif(not isolation(), reason="this system cuts no process off the network")
def test_the_network_is_gone_even_below_the_hook(handed_in: Path, tmp_path: Path) -> None:
    """By the system, where the audit hook is gone around."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        port, reached = listening.getsockname()[1], threading.Event()
        listening.settimeout(4)

        def wait() -> None:
            try:
                listening.accept()
                reached.set()
            except OSError:
                pass

        waiting = threading.Thread(target=wait)
        waiting.start()
        code = (
            "import ctypes, socket, struct\n"
            "libc = ctypes.CDLL(None)\n"
            f"to = struct.pack('=HHI8x', 2, socket.htons({port}), socket.htonl(0x7F000001))\n"
            "libc.connect(libc.socket(2, 1, 0), to, 16)\n"
        )
        _judged(_write(handed_in, in_function=code), tmp_path)
        waiting.join()
    assert not reached.is_set()


@pytest.mark.skipif(not subject.landlock_version(), reason="this system has no Landlock")
def test_files_are_out_of_reach_even_below_the_hook(handed_in: Path, tmp_path: Path) -> None:
    """By the system, where the audit hook is gone around."""
    code = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"found = libc.open({str(SECRET).encode()!r}, 0)\n"
        "kept = libc.open(b'/var/tmp/outside', 0o101, 0o600)\n"
        "raise ValueError(f'opened {found} {kept}')"
    )
    verdict = _judged(_write(handed_in, in_function=code), tmp_path)
    assert "opened -1 -1" in _said(verdict)


JUDGE = """
import sys, time
from pathlib import Path
from exercises.workbench.process import Subject
with Subject(Path(sys.argv[1]), "endless", guard=sys.argv[2] == "guarded") as subject:
    subject.warm()
    print("asked", flush=True)
    time.sleep(3600)
"""


@pytest.mark.parametrize("guard", ["guarded", "free"])
def test_a_solution_in_an_endless_loop_ends_when_its_judge_is_killed(
    guard: str, tmp_path: Path
) -> None:
    (tmp_path / "endless.py").write_text("while True:\n    pass\n", encoding="utf-8")
    command = [sys.executable, "-c", JUDGE, str(tmp_path), guard]
    here = {**os.environ, "TMPDIR": str(tmp_path)}  # a killed judge leaves its folder
    judging = subprocess.Popen(command, cwd=ROOT, env=here, stdout=subprocess.PIPE, text=True)
    assert judging.stdout is not None
    with judging:
        assert judging.stdout.readline() == "asked\n"
        until(lambda: _solving(tmp_path))
        judging.kill()
    until(lambda: not _solving(tmp_path))


def _solving(tree: Path) -> list[str]:
    """The command lines of processes that run a solution of a tree."""
    return [line for line in _children() if "subject.py" in line and str(tree) in line]
