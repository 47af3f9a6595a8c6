"""The checks of a reading of two release manifests."""

from pathlib import Path

from exercises.workbench.checking import check, expect
from exercises.workbench.modules import load

EVIDENCE = load(Path(__file__).with_name("evidence.py"))
RELEASES = EVIDENCE.releases()


@check(2)
def test_the_parts_that_changed_are_named(subject):
    """Of commit, data, model, features and config: those whose digests differ."""
    parts = ["commit", "data", "model", "features", "config"]
    expected = [name for name in EVIDENCE.differing() if name in parts]
    turns = [(sorted(parts), "two of the five are the same in both")]
    expect(sorted(subject.answer("changed")), sorted(expected), turns)


@check(2)
def test_the_server_of_the_champion_can_serve_it(subject):
    """A server refuses a release whose feature service is not its own."""
    same = RELEASES["champion"].features == RELEASES["challenger"].features
    expect(subject.answer("same_features"), same, why="compare the feature services")


@check(3)
def test_whether_it_is_a_refresh_is_not_known_from_this(subject):
    """A refresh has the champion's training code: the commit differs, the recipe is not here."""
    turns = [
        ("refresh", "the commit differs, so the training code may"),
        ("change", "the commit differs, but a commit of a page changes no training"),
    ]
    expect(subject.answer("kind"), "unknown", turns)


@check(1)
def test_the_environment_is_the_same(subject):
    """By the digest of requirements.lock, not by the version of Python alone."""
    one, two = (release.papers["requirements.lock"] for release in RELEASES.values())
    expect(subject.answer("same_environment"), one == two)


@check(2)
def test_the_cause_is_looked_up_in_the_lock(subject):
    """dvc.lock holds the digest of every input of every stage."""
    turns = [("requirements.lock", "it is the same in both"), ("configs/features.yaml", "the same")]
    expect(subject.answer("look_next"), "dvc.lock", turns)
