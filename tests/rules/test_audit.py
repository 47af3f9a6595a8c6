"""An audit that checked nothing is no all-clear: what `make audit` says of pip-audit's answers."""

import importlib.util
import json
import re

import pytest

from tests.rules import tree

SPEC = importlib.util.spec_from_file_location("audit", tree.ROOT / ".ci/audit.py")
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)

SAFE = {"name": "numpy", "version": "2.4.0", "vulns": []}
UNKNOWN = {"name": "dvc", "skip_reason": "Dependency not found on PyPI and could not be audited"}
BROKEN = {
    "name": "jinja2",
    "version": "2.0",
    "vulns": [
        {"id": "PYSEC-1", "fix_versions": ["2.1", "3.0"], "aliases": []},
        {"id": "PYSEC-2", "fix_versions": [], "aliases": []},
    ],
}
UNREACHED = (
    "Traceback\nrequests.exceptions.ProxyError: HTTPSConnectionPool(host='localhost', port=443): "
    "Max retries exceeded with url: /x (Caused by ProxyError('Unable to connect to proxy'))"
)


def _judged(code, *packages, words=""):
    answer = json.dumps({"dependencies": list(packages), "fixes": []}) if packages else ""
    return audit.judge(code, answer, words)


def test_a_finding_is_a_no_with_package_and_remedy():
    code, said = _judged(1, SAFE, BROKEN)
    assert code == 1
    assert said.startswith("2 known vulnerabilities in 2 of 2 packages checked")
    assert "jinja2 2.0: PYSEC-1, fixed in 2.1, 3.0" in said
    assert "jinja2 2.0: PYSEC-2, fixed in no version yet" in said


def test_packages_that_the_service_does_not_know_are_counted_out():
    assert _judged(0, SAFE, UNKNOWN) == (
        0,
        "0 known vulnerabilities in 1 of 2 packages checked",
    )


def test_a_service_that_knows_nothing_has_checked_nothing():
    """pip-audit itself says "No known vulnerabilities found" and exits with 0."""
    code, said = _judged(0, UNKNOWN, UNKNOWN)
    assert code == 0
    assert said == "vulnerabilities NOT CHECKED: the service knows none of 2 packages"


def test_a_service_that_cannot_be_reached_is_said_plainly_and_is_no_failure():
    code, said = _judged(1, words=UNREACHED)
    assert code == 0
    assert said.startswith("vulnerabilities NOT CHECKED: the service cannot be reached (requests")


@pytest.mark.parametrize("words", ["", "ERROR: requirement numpy is not pinned", "KeyError: 'x'"])
@pytest.mark.parametrize("code", [0, 1])
def test_any_other_silence_is_a_failure(code, words):
    assert _judged(code, words=words)[0] == 1


@pytest.mark.long
@pytest.mark.slow
def test_the_bill_holds_the_whole_lock_with_its_hashes(tmp_path, monkeypatch):
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text(tree.read(name))
    monkeypatch.chdir(tmp_path)
    assert "valid CycloneDX 1.6" in audit.bill()
    bill = json.loads(audit.BILL.read_text())
    pins = re.findall(r"^([a-z0-9-]+)==(\S+)", tree.read("requirements.lock"), re.MULTILINE)
    assert sorted((c["name"], c["version"]) for c in bill["components"]) == sorted(pins)
    hashes = [found for package in bill["components"] for found in audit._hashes(package)]
    assert sorted(hashes) == sorted(re.findall(r"sha256:(\w{64})", tree.read("requirements.lock")))
    assert bill["metadata"]["component"]["name"] == "mlops-pipeline"


@pytest.mark.long
@pytest.mark.slow
def test_a_package_without_a_hash_is_refused(tmp_path, monkeypatch):
    (tmp_path / "requirements.lock").write_text("numpy==2.4.0\n")
    (tmp_path / "pyproject.toml").write_text(tree.read("pyproject.toml"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="no version or no hash for numpy"):
        audit.bill()
