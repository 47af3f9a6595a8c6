import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from pipeline.shared import git as door
from pipeline.shared import lineage
from pipeline.shared.errors import EnvironmentUnfit
from tests.shared import project
from tests.shared.project import configure, git

pytestmark = pytest.mark.answer("three-artefacts")


@pytest.fixture
def checkout(tmp_path_factory, tmp_path, monkeypatch):
    return project.enter("started", tmp_path_factory, tmp_path, monkeypatch)


def test_the_commit_is_the_one_that_is_checked_out(checkout):
    assert lineage.require_checkout() == git("rev-parse", "HEAD")
    assert len(lineage.require_checkout()) == 40


def test_an_untouched_tree_is_clean(checkout):
    assert lineage.patch() == b""
    assert lineage.collect()["git_tree"] == "clean"


def test_what_the_pipeline_itself_writes_does_not_make_a_tree_dirty(checkout):
    Path(".gitignore").write_text("/state/\n/data/*\n!/data/train/\n/configs/register.yaml\n")
    Path("data/train").mkdir()
    Path("data/train/metrics.json").write_text("{}\n")
    project.commit()
    Path("data/train/metrics.json").write_text('{"rows": 1}\n')
    Path("data/train/reference.csv").write_text("a new one\n")
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    assert lineage.patch() == b""


def change_much():
    """Edit, delete, rename and add files of every sort."""
    configure("train", seed=7)
    Path("configs/monitor.yaml").unlink()
    Path("configs/ingest.yaml").rename("configs/arrive.yaml")
    Path("notes").mkdir()
    Path("notes/untracked é.txt").write_text("no newline at its end")
    Path("notes/latin.txt").write_bytes(b"caf\xe9\r\nnext\r\n")
    Path("notes/picture.png").write_bytes(bytes(range(256)) * 4)
    Path("notes/run.sh").write_text("#!/bin/sh\n")
    Path("notes/run.sh").chmod(0o755)


def contents(folder):
    """Every file that is a part of the tree, and what is in it."""
    left_out = {".git", "data", "state"}
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o100)
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in left_out
        if path.name not in ("register.yaml", "dvc.lock")
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "color.ui": "always",
            "diff.noprefix": "true",
            "diff.external": "true",
            "diff.renames": "copies",
            "status.showUntrackedFiles": "no",
            "core.quotePath": "false",
        },
    ],
    ids=["plain git", "a user's own git"],
)
def test_the_patch_turns_the_commit_into_the_tree(checkout, tmp_path_factory, settings):
    for name, value in settings.items():
        git("config", name, value)
    change_much()
    elsewhere = tmp_path_factory.mktemp("clone")
    git("clone", "--quiet", ".", str(elsewhere / "clone"))
    (elsewhere / "tree.patch").write_bytes(lineage.patch())
    git("-C", str(elsewhere / "clone"), "apply", str(elsewhere / "tree.patch"))
    assert contents(elsewhere / "clone") == contents(checkout)


def test_an_untracked_file_alone_makes_a_tree_dirty_whatever_the_users_settings(checkout):
    git("config", "status.showUntrackedFiles", "no")
    Path("extra.py").write_text("print(1)\n")
    assert b"+print(1)" in lineage.patch()
    assert lineage.collect()["git_tree"].startswith("changed, patch ")


def test_taking_the_patch_leaves_the_users_index_as_it_was(checkout):
    Path("staged.py").write_text("print(1)\n")
    git("add", "staged.py")
    Path("extra.py").write_text("print(2)\n")
    before = git("status", "--porcelain")
    lineage.patch()
    assert git("status", "--porcelain") == before == "A  staged.py\n?? extra.py"


def test_a_folder_without_git_is_refused_with_what_to_do(checkout):
    shutil.rmtree(".git")
    with pytest.raises(
        EnvironmentUnfit, match=r"not a git checkout .*; clone the project, or `git"
    ):
        lineage.require_checkout()


def test_a_checkout_without_a_commit_is_refused(checkout):
    shutil.rmtree(".git")
    git("init", "--quiet")
    with pytest.raises(EnvironmentUnfit, match="not a git checkout with a commit"):
        lineage.collect()


def test_a_machine_without_git_is_refused(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    with pytest.raises(EnvironmentUnfit, match=r"no git on the PATH .*; `install git`"):
        lineage.require_checkout()


@pytest.fixture
def new_module(checkout):
    """A module that a stage has just come to depend on, and its bytecode."""
    graph = yaml.safe_load(Path("dvc.yaml").read_text())
    graph["stages"]["train"]["deps"].append("lib")
    Path("dvc.yaml").write_text(yaml.safe_dump(graph))
    Path("lib/__pycache__").mkdir(parents=True)
    Path("lib/new.py").write_text("print(1)\n")
    Path("lib/__pycache__/new.pyc").write_bytes(b"of a run")
    return checkout / "lib/new.py"


@pytest.mark.parametrize("place", ["global", "exclude", ".gitignore"])
def test_a_dependency_of_the_graph_that_git_ignores_is_refused_with_the_rule(
    new_module, tmp_path_factory, monkeypatch, place
):
    rules = tmp_path_factory.mktemp("home") / "ignored"
    if place == "global":
        settings = rules.with_name("gitconfig")
        settings.write_text(f"[core]\n\texcludesFile = {rules}\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    elif place == "exclude":
        Path(".git/info").mkdir(exist_ok=True)
        rules = Path(".git/info/exclude")
    else:
        rules = Path(".gitignore")
    rules.write_text(f"{rules.read_text() if rules.is_file() else ''}new*\n")
    line = len(rules.read_text().splitlines())
    with pytest.raises(EnvironmentUnfit) as refused:
        lineage.patch()
    said = str(refused.value)
    assert said.startswith("git ignores 1 file(s) that the DVC pipeline depends on")
    assert f"lib/new.py, by the rule {rules}:{line}:new*; change that rule" in said
    assert "`git add --force lib/new.py`" in said
    with pytest.raises(EnvironmentUnfit, match=r"lib/new\.py"):
        lineage.collect()
    git("add", "--force", "lib/new.py")
    assert b"+print(1)" in lineage.patch()


def test_ignored_files_on_which_no_stage_depends_are_no_concern(new_module):
    Path(".gitignore").write_text(f"{Path('.gitignore').read_text()}notes*\n*.pyc\n")
    Path("notes.py").write_text("print(1)\n")
    recorded = lineage.patch()
    assert b"lib/new.py" in recorded
    assert b"new.pyc" not in recorded
    assert b"notes.py" not in recorded


def test_the_hash_of_the_configs_changes_with_a_value_a_name_and_a_file(checkout):
    seen = {lineage.configs_hash()}
    configure("train", seed=7)
    seen.add(lineage.configs_hash())
    Path("configs/monitor.yaml").rename("configs/watch.yaml")
    seen.add(lineage.configs_hash())
    Path("configs/watch.yaml").unlink()
    seen.add(lineage.configs_hash())
    assert len(seen) == 4


def test_the_hash_of_the_data_is_that_of_their_content_not_of_their_files(checkout):
    path = Path("data/ingest/manifest.json")
    before, manifest = lineage.data_hash(), path.read_text()
    path.write_text(manifest.replace("f" * 64, "e" * 64))  # the same rows in another file
    assert lineage.data_hash() == before
    path.write_text(re.sub(r'("content_hash": ")\w+', r"\g<1>" + "0" * 64, manifest))
    assert lineage.data_hash() != before


def test_the_lineage_names_everything_that_a_rebuild_needs(checkout):
    found = lineage.collect()
    assert set(found) == {
        *("git_commit", "git_tree", "data_hash", "configs_hash"),
        *("dvc_lock_hash", "environment_hash", "python", "machine"),
    }
    Path("dvc.lock").unlink()
    assert lineage.collect()["dvc_lock_hash"] == "none yet"


@pytest.mark.parametrize(
    "name", [".DS_Store", "a.py~", ".a.py.swp", "._a.py", ".ipynb_checkpoints/x"]
)
def test_what_an_editor_leaves_is_no_part_of_what_the_graph_depends_on(checkout, new_module, name):
    left = Path("lib", name)
    left.parent.mkdir(exist_ok=True)
    left.write_text("of an editor\n")
    with Path(".gitignore").open("a") as stream:
        stream.write(f"{name.split('/')[0]}\n")
    assert b"of an editor" not in lineage.patch()


@pytest.mark.parametrize("how", ["--assume-unchanged", "--skip-worktree"])
def test_a_file_that_git_does_not_look_at_is_refused_and_the_advice_helps(checkout, how):
    door.run(Path(), "update-index", how, "configs/train.yaml")
    configure("train", seed=7)
    with pytest.raises(EnvironmentUnfit, match=r"1 file.* such as configs/train.yaml") as refused:
        lineage.patch()
    _, *advice = shlex.split(str(refused.value).split("`")[1])
    door.run(Path(), *advice)
    assert b"seed: 7" in lineage.patch()


def test_a_repository_within_what_the_graph_depends_on_is_refused(checkout, new_module):
    door.own(Path("lib"), "init", "--quiet", "extra")
    Path("lib/extra/lost.py").write_text("print(2)\n")
    door.own(Path("lib/extra"), "add", "--all")
    door.own(Path("lib/extra"), "commit", "--quiet", "--message", "theirs")
    with pytest.raises(EnvironmentUnfit, match="lib/extra is a git repository among"):
        lineage.patch()


def test_a_temporary_folder_in_the_project_changes_no_patch(checkout, monkeypatch):
    configure("train", seed=7)
    before = lineage.patch()
    Path("tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(Path("tmp").resolve()))
    assert lineage.patch() == before


@pytest.mark.parametrize("setting", ["core.abbrev=4", "core.quotePath=false", "diff.orderFile=/no"])
def test_how_a_user_likes_to_see_a_patch_changes_none(checkout, setting):
    configure("train", seed=7)
    Path("configs/nüance.yaml").write_text("a: 1\n")
    before = lineage.patch()
    door.run(Path(), "config", *setting.split("="))
    assert lineage.patch() == before


def test_a_part_of_another_checkout_is_no_checkout(checkout):
    with pytest.raises(EnvironmentUnfit, match="configs is a part of the git checkout"):
        lineage.require_checkout(Path("configs"))


@pytest.fixture
def library(new_module, tmp_path_factory):
    """Code of another folder that the user's own would link to."""
    folder = tmp_path_factory.mktemp("the team's library")
    (folder / "shared.py").write_text("print(2)\n")
    return folder


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "new"])
@pytest.mark.parametrize("kind", ["file", "folder", "the dependency itself", "nowhere"])
def test_a_link_that_leads_out_of_the_checkout_is_refused_and_its_advice_works(
    library, kind, committed
):
    link, to = Path("lib/link"), library
    if kind == "file":
        link, to = Path("lib/link.py"), library / "shared.py"
    elif kind == "the dependency itself":
        link = Path("lib")
        shutil.rmtree(link)
    elif kind == "nowhere":
        to = library / "gone"
    link.symlink_to(to)
    if committed:
        project.commit()
    with pytest.raises(EnvironmentUnfit, match=rf"^{link} leads to {re.escape(str(to))}, and git"):
        lineage.patch()
    with pytest.raises(EnvironmentUnfit) as refused:
        lineage.require_recorded(Path())
    if kind == "nowhere":
        return
    command = re.search("`(.*)`", str(refused.value))[1]
    subprocess.run(["sh", "-c", command], check=True)
    assert b"print(2)" in lineage.patch()
    assert (library / "shared.py").read_text() == "print(2)\n"


def test_a_link_within_the_checkout_counts_where_git_records_what_is_there(new_module):
    Path("elsewhere.py").write_text("print(3)\n")
    Path("lib/link.py").symlink_to("../elsewhere.py")
    assert b"+print(3)" in lineage.patch()
    Path("data/train").mkdir(parents=True, exist_ok=True)
    Path("data/train/made.py").write_text("print(4)\n")
    Path("lib/made.py").symlink_to("../data/train/made.py")
    with pytest.raises(EnvironmentUnfit, match=r"^lib/made\.py leads to .*data/train/made\.py"):
        lineage.patch()


def calls(monkeypatch, module, name):
    """How often something is done from here on."""
    count, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **k: (count.append(a), real(*a, **k))[1])
    return count


def test_the_commit_takes_one_call_of_git_and_a_patch_reads_the_graph_once(checkout, monkeypatch):
    Path("extra.py").write_text("print(1)\n")
    gits = calls(monkeypatch, door, "_run")
    lineage.require_checkout()
    assert len(gits) == 1
    reads = calls(monkeypatch, lineage, "_sources")
    lineage.patch()
    assert len(reads) == 1


def test_a_file_that_is_called_head_is_no_commit(checkout):
    shutil.rmtree(".git")
    git("init", "--quiet")
    Path("HEAD").write_text("no commit\n")
    with pytest.raises(EnvironmentUnfit, match="not a git checkout with a commit yet"):
        lineage.require_checkout()
