"""What requirements.lock holds: known vulnerabilities (pip-audit), and a CycloneDX bill of it.

A package that the vulnerability service does not know, or a service that does not answer, is no
finding and no all-clear either: the last line says how many were checked. 1 only for a finding, or
for a lock or a bill that is wrong.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.__main__ import run_command

LOCK = Path("requirements.lock")
BILL = Path("state/sbom.json")
UNREACHED = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError", "Max retries")
"""What pip-audit's last words hold where its service cannot be reached."""


def _tool(name: str) -> str:
    """A program of this Python's own environment, whatever the path says."""
    return str(Path(sys.executable).parent / name)


def bill() -> str:
    """Write the bill of materials, checked against CycloneDX's own schema by its own tool."""
    BILL.parent.mkdir(exist_ok=True)
    command = [_tool("cyclonedx-py"), "requirements", str(LOCK), "--pyproject", "pyproject.toml"]
    output = ["--of", "JSON", "--sv", "1.6", "--output-reproducible", "-o", str(BILL), "--validate"]
    subprocess.run([*command, *output], check=True, stderr=subprocess.PIPE)
    packages = json.loads(BILL.read_text(encoding="utf-8"))["components"]
    if bare := [p["name"] for p in packages if not p.get("version") or not _hashes(p)]:
        sys.exit(f"audit: {BILL} has no version or no hash for {', '.join(bare)}")
    return f"{len(packages)} packages with version and hashes, valid CycloneDX 1.6 -> {BILL}"


def _hashes(package: dict[str, Any]) -> list[str]:
    places = package.get("externalReferences", [])
    return [found["content"] for place in places for found in place.get("hashes", [])]


def ask() -> tuple[int, str, str]:
    """pip-audit on the lock, with nothing installed: its exit code, its answer, its last words."""
    command = [_tool("pip-audit"), "--requirement", str(LOCK), "--require-hashes", "--disable-pip"]
    output = ["--format", "json", "--desc", "off", "--progress-spinner", "off"]
    done = subprocess.run([*command, *output], check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def judge(code: int, answer: str, words: str) -> tuple[int, str]:
    """The exit code and what to say: findings are a no, what was not checked is said plainly."""
    last = (words.strip().splitlines() or ["it said nothing"])[-1]
    if not answer.strip():
        if code and any(sign in words for sign in UNREACHED):
            return 0, f"vulnerabilities NOT CHECKED: the service cannot be reached ({last:.200})"
        return 1, f"pip-audit failed with {code}: {last:.400}"
    packages = json.loads(answer)["dependencies"]
    known = [package for package in packages if "vulns" in package]
    found = [
        f"\n  {package['name']} {package['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in known
        for vulnerability in package["vulns"]
    ]
    if not known:
        return 0, f"vulnerabilities NOT CHECKED: the service knows none of {len(packages)} packages"
    said = f"{len(found)} known vulnerabilities in {len(known)} of {len(packages)} packages checked"
    return int(bool(found)), said + "".join(found)


def main() -> int:
    """Write the bill, then ask for vulnerabilities; 1 on a finding."""
    print(f"audit: {bill()}", flush=True)
    code, said = judge(*ask())
    print(f"audit: {said}", file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
