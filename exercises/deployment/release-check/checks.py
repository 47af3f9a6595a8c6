"""The checks of the reading of a release."""

from exercises.workbench.checking import check, expect, holds


def _read(change):
    """Beside the solution: write a whole release, change something, and read it by its digest."""
    import hashlib
    import json
    import tempfile
    from pathlib import Path

    from pipeline.registry import release

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "release"
        names = [str(one) for one in [*release.REQUIRED_FILES, release.CARD, "configs/train.yaml"]]
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"content of {name}", encoding="utf-8")
        listed = [name for name in names if name != change.get("unlisted")]
        if "unlisted" in change:
            (folder / change["unlisted"]).unlink()
        digests = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in listed}
        manifest = {
            "commit": "c" * 40,
            "patch": None,
            **dict.fromkeys(("data", "model", "config"), "a" * 64),
            "features": "flight_delay-53c0f2a91b7e",
            "python": "3.11.9",
            "machine": "x86_64",
            "papers": digests,
        }
        record = folder / release.RECORD
        record.write_text(json.dumps(manifest), encoding="utf-8")
        digest = hashlib.sha256(record.read_bytes()).hexdigest()
        for name, text in change.get("write", {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        for name in change.get("remove", []):
            (folder / name).unlink()
        if "manifest" in change:
            record.write_text(json.dumps(manifest | change["manifest"]), encoding="utf-8")
        try:
            return "read", release.read(folder, digest).commit
        except Exception as error:
            return type(error).__name__, str(error)


def _found(subject, words: str, **change: object) -> None:
    kind, said = subject.do(_read, change)
    holds(kind == "ArtifactTampered", "ArtifactTampered", f"{kind}: {said}")
    holds(words in said, f"words that name {words}", said)


@check(2)
def test_a_release_as_it_was_written_is_read(subject):
    """Its manifest comes back, and nothing is refused."""
    expect(subject.do(_read, {}), ["read", "c" * 40])


@check(2)
def test_a_changed_file_is_found(subject):
    """By its name, so that a person knows what to restore."""
    _found(subject, "requirements.lock", write={"requirements.lock": "other packages"})


@check(2)
def test_a_file_that_is_gone_is_found(subject):
    """A verdict that nobody wants to be read, say."""
    _found(subject, "verdict.json", remove=["data/evaluate/verdict.json"])


@check(2)
def test_a_file_too_many_is_found(subject):
    """A config beside the others is read by the server."""
    _found(subject, "configs/extra.yaml", write={"configs/extra.yaml": "a: 1"})


@check(3)
def test_another_manifest_is_found(subject):
    """Whoever changes a file can change its line as well, but not the digest of all lines."""
    _found(subject, "release.json", manifest={"commit": "d" * 40})


@check(1, hidden=True)
def test_a_manifest_that_lacks_a_required_file_is_refused(subject):
    """Whole by its own list, and still no release."""
    _found(subject, "verdict.json", unlisted="data/evaluate/verdict.json")


@check(1, hidden=True)
def test_a_release_without_a_manifest_is_refused(subject):
    """Nothing to compare with is not nothing to compare."""
    _found(subject, "release.json", remove=["release.json"])
